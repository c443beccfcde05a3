# SPDX-License-Identifier: GPL-2.0
"""A SYN gets the route that SYNs before it had, where IP would give it the same; what IP refuses is refused.
Nor is the way back to a client looked up again who had a connection just now.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    203.0.113.2 eth1 ─────────── eth1 203.0.113.1
                                 192.0.2.1:80      service
                                 192.0.2.2         another address of the server
                                 10.77.0.1..2:80   daemons
"""

import contextlib
import time

from lib import capture, check, command, daemon, inject, namespace, netfilter, topology, tracing, wait
from lib.client import Attempt, Client, who
from lib.ip import IPV4, endpoint, host_of
from lib.packet import SYN
from lib.runner import test

_TABLE = 100
_CONNECTIONS = 20


def setup(version):
    tracing.need()
    net = topology.pair(version)
    ends = (f"{net.far(number)}/{net.near_length}" for number in (2, 1))
    namespace.link(net.client, "eth1", next(ends), net.server, "eth1", next(ends))
    net.server.ip(f"{version.option} route add {net.near(2)} via {net.far(2)} dev eth1 table {_TABLE}")
    for name in ("all", "eth0", "eth1") if version is IPV4 else ():
        for each in (net.client, net.server):
            each.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
    daemon.start(*net.processes[:2], namespace=net.server)
    return net


def _serve(net):
    """A service, and its route known."""
    net.control.serve(net.service, *net.processes[:2])
    who(net.client, net.service)


def _connect(net, connections):
    for _ in range(connections):
        who(net.client, net.service)


def _routed(net, connections):
    """How many look-ups of routes connections to the service took. On a busy computer further packets need one."""
    return tracing.routed(net.version, (net.host,), lambda: _connect(net, connections))


def _ways_back(net, connections):
    """How many tables were looked into for the ways back of connections to the service."""
    return tracing.looked_up(net.version, net.host, net.client_address, lambda: _connect(net, connections))


@contextlib.contextmanager
def _seen(net):
    """Counts the SYNs to the service that the input chain sees; what it gives says how many there were."""
    text = """counter seen { }
        chain input {
            type filter hook input priority 0
            tcp dport 80 tcp flags & (syn | ack) == syn counter name seen
        }"""
    with netfilter.rules(net.server, net.version, text) as counted:
        yield lambda: counted()["seen"]


def _rule(net, rule):
    """A rule of the server, for the time being."""
    return namespace.added(net.server, net.version, "rule", rule)


def _by_eth1(net):
    """What clients send to the service goes by eth1, for the time being; the way back is by eth0."""
    return namespace.added(net.client, net.version, "route", f"{net.host} via {net.far(1)} dev eth1")


@contextlib.contextmanager
def _local_table_second(net):
    """Room for rules before that of the local table."""
    with _rule(net, "pref 9 lookup local"):
        net.server.ip(f"{net.version.option} rule del pref 0")
        try:
            yield
        finally:
            net.server.ip(f"{net.version.option} rule add pref 0 lookup local")


@test
def a_services_first_SYN_is_routed_and_further_ones_are_not(net):
    net.control.serve(net.service, *net.processes[:2])
    check.true(_routed(net, 1) > 0, "the first SYN was routed")
    routed = _routed(net, _CONNECTIONS)
    check.true(routed < _CONNECTIONS / 2, f"{routed} packets were routed, of {_CONNECTIONS} connections")


@test
def a_SYN_is_routed_again_when_the_route_of_the_service_address_has_changed(net):
    _serve(net)
    net.server.ip(f"addr del {net.host}/{net.version.bits} dev lo")
    net.server.batch(namespace.address(net.host, net.version.bits, "lo"))
    check.true(_routed(net, 1) > 0, "a SYN was routed")
    routed = _routed(net, _CONNECTIONS)
    check.true(routed < _CONNECTIONS / 2, f"{routed} packets were routed, of {_CONNECTIONS} connections")


@test(only=IPV4)
def the_way_back_to_a_client_is_looked_up_once_a_second_at_most(net):
    _serve(net)
    # Each is looked for in two tables or more. A computer may be so slow that it takes seconds for the connections, and
    # each CPU looks for itself.
    few = lambda: _ways_back(net, _CONNECTIONS) < _CONNECTIONS
    wait.until(few, f"{_CONNECTIONS} connections that look into few tables")
    time.sleep(2)
    check.true(_ways_back(net, 1) > 0, "the way back was looked up after two seconds")


@test
def a_client_is_answered_by_the_way_that_is_meant_for_its_port(net):
    _serve(net)
    source = endpoint(net.client_address, 43000)
    with _rule(net, f"pref 1000 ipproto tcp dport 43000 lookup {_TABLE}"):
        with capture.Capture(net.client, "eth1") as wire:
            for _ in range(3):
                who(net.client, net.service)
            who(net.client, net.service, source=source)
    answered = {each.destination for each in wire.segments() if not each.outgoing}
    check.equal(answered, {source}, "who was answered by eth1")


def _check_each_is_looked_up(net, why):
    looked_up = _ways_back(net, _CONNECTIONS)
    check.true(looked_up >= _CONNECTIONS, f"{looked_up} tables were looked into, of {_CONNECTIONS} connections, {why}")


@test(only=IPV4)
def where_routes_may_go_by_ports_each_way_back_is_looked_up(net):
    _serve(net)
    for selector in ("dport 42000", "sport 81", "iif lo ipproto tcp dport 42000-42001"):
        with _rule(net, f"pref 1000 {selector} lookup {_TABLE}"):
            _check_each_is_looked_up(net, f"with a rule by {selector}")
    net.server.sysctl("net/ipv4/fib_multipath_hash_policy", 1)
    _check_each_is_looked_up(net, "with routes of several devices chosen by ports")
    net.server.sysctl("net/ipv4/fib_multipath_hash_policy", 0)


@test(only=IPV4)
def with_an_IPsec_policy_each_way_back_is_looked_up(net):
    try:
        net.server.ip("xfrm policy list")
    except command.CommandFailed:
        raise check.Skip("this kernel has no IPsec") from None
    _serve(net)
    policy = f"src {net.host} dst {net.client_address} proto tcp dport 42000 dir out"
    with namespace.added(net.server, net.version, "xfrm policy", policy):
        _check_each_is_looked_up(net, "with an IPsec policy")


@test
def a_SYN_from_an_address_of_the_server_itself_is_refused_unless_accept_local_is_set(net):
    if net.version is not IPV4:
        raise check.Skip("IPv6 asks no route where a packet may come from")
    _serve(net)
    send = inject.Injector(net.client)
    with _seen(net) as seen:

        def spoof():
            before = seen()
            send.segment(endpoint(net.other_host, 40000), net.service, SYN, 1000)
            who(net.client, net.service)  # packets keep their order
            return seen() - before - 1

        check.equal(spoof(), 0, "SYNs from the server's own address in the input chain")
        net.server.sysctl("net/ipv4/conf/eth0/accept_local", 1)
        check.equal(spoof(), 1, "SYNs from the server's own address in the input chain with accept_local")


@test
def a_SYN_that_comes_by_another_device_than_the_way_back_leaves_by_is_refused_by_strict_filtering(net):
    if net.version is not IPV4:
        raise check.Skip("IPv6 asks no route where a packet may come from")
    _serve(net)
    source = endpoint(net.client_address, 0)
    with _by_eth1(net), _seen(net) as seen:
        with Client(net.client, net.service, source=source) as client:
            client.who()
        check.equal(seen(), 1, "SYNs in the input chain without filtering")
        net.server.sysctl("net/ipv4/conf/eth1/rp_filter", 1)
        # By hand: a socket would send it again after a second.
        inject.Injector(net.client).segment(endpoint(net.client_address, 41000), net.service, SYN, 1000)
        net.server.sysctl("net/ipv4/conf/eth1/rp_filter", 2)
        with Client(net.client, net.service, source=source) as client:
            client.who()
        check.equal(seen(), 2, "SYNs in the input chain without filtering, and with the loose one")


@test
def a_SYN_that_a_rule_before_the_local_table_prohibits_is_refused(net):
    _serve(net)
    with _local_table_second(net), _seen(net) as seen:
        who(net.client, net.service)
        with _rule(net, f"pref 1 from {net.client_address} prohibit"):
            # The route is known of somebody who isn't meant.
            other = endpoint(net.far(2), 0)
            who(net.client, net.service, source=other)
            attempt = Attempt(net.client, net.service, source=endpoint(net.client_address, 0))
            who(net.client, net.service, source=other)  # packets keep their order
            check.true(attempt.result(0) != "open", "what came of the attempt of whom the rule means")
            attempt.close()
        check.equal(seen(), 3, "SYNs in the input chain")
        who(net.client, net.service)


def _marking(net, selector):
    """Rules of the client that give what it sends a service class, for which each SYN is routed."""
    mark = f"{selector} {net.version.table} dscp set ef"
    return netfilter.rules(net.client, net.version, f"chain out {{\ntype filter hook output priority 0\n{mark}\n}}")


@test
def a_SYN_that_the_input_chain_drops_leaves_its_way_back_to_no_other(net):
    _serve(net)
    drop = "chain input {\ntype filter hook input priority 0\ntcp sport 42000 tcp flags syn drop\n}"
    with _rule(net, f"pref 1000 ipproto tcp dport 42000 lookup {_TABLE}"):
        who(net.client, net.service)
        with capture.Capture(net.client, "eth1") as by_eth1:
            with netfilter.rules(net.server, net.version, drop), _marking(net, "tcp sport != 42000"):
                dropped = Attempt(net.client, net.service, source=endpoint(net.client_address, 42000))
                with capture.Capture(net.client, "eth0") as wire:
                    who(net.client, net.service)
                check.true(any(not each.outgoing for each in wire.segments()), "another is answered by its own way")
            check.equal(dropped.result(30 * wait.SCALE), "open", "what came of the one when it was sent again")
            dropped.close()
        answers = {host_of(each.source) for each in by_eth1.segments() if not each.outgoing}
        check.equal(answers, {net.host}, "who answered it by eth1")


@test
def SYNs_with_a_service_class_are_served(net):
    _serve(net)
    with _marking(net, ""):
        routed = _routed(net, _CONNECTIONS)
    if net.version is IPV4:
        check.true(routed >= _CONNECTIONS, f"{routed} packets were routed, of {_CONNECTIONS} connections")
