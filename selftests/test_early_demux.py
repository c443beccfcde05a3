# SPDX-License-Identifier: GPL-2.0
"""A packet of an open connection gets its socket before IP routes it.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    203.0.113.2 eth1 ─────────── eth1 203.0.113.1   comes later
                                 192.0.2.1:80       service
                                 10.77.0.1..2:80    daemons
"""

import contextlib
import json

from lib import background, check, daemon, dispatch, namespace, topology, tracing, wait
from lib.client import Client, who
from lib.ip import endpoint, host_of, port_of
from lib.runner import test

_QUESTIONS = 50


def setup(version):
    tracing.need()
    net = topology.pair(version)
    daemon.start(*net.processes[:2], namespace=net.server)
    return net


def _routed(net, what):
    """How many look-ups of routes there were of packets that came by a device for one of the addresses."""

    def often():
        for _ in range(_QUESTIONS):
            what()

    return tracing.routed(net.version, (net.host, net.other_host), often)


def _check_not_routed(net, client, where):
    # A socket remembers no route of a packet that has to wait until its process lets go of it, and on a
    # busy computer each may. The first one after a pause need not.
    counts = []
    try:
        wait.until(lambda: counts.append(_routed(net, client.who)) or counts[-1] < _QUESTIONS / 5, "few are routed")
    except check.Failed as error:
        raise check.Failed(f"{where}: {error}: packets routed of {_QUESTIONS} questions: {counts}") from None


def _check_routed(net, client, where):
    client.who()
    routed = _routed(net, client.who)
    check.true(routed >= _QUESTIONS, f"{where}: {routed} packets were routed, of {_QUESTIONS} questions")


@contextlib.contextmanager
def _rules(net, rules):
    """nftables rules of the server, for the time being."""
    table = net.version.table
    net.server.run("nft", "-f", "-", stdin=f"table {table} test {{\n{rules}\n}}\n")
    try:
        yield
    finally:
        net.server.run("nft", "delete", "table", table, "test")


def _counted(net, rules):
    """What the rules' counters count of a client's questions, by name."""
    with _rules(net, rules), Client(net.client, net.service) as client:
        for _ in range(_QUESTIONS):
            client.who()
        listed = json.loads(net.server.run("nft", "-j", "list", "counters", "table", net.version.table, "test"))
    counters = (each["counter"] for each in listed["nftables"] if "counter" in each)
    return {each["name"]: each["packets"] for each in counters}


@contextlib.contextmanager
def _second_link(net):
    """Another way from a client to the server, with devices that weren't there when it was set up."""
    there, here = (f"{net.far(number)}/{net.near_length}" for number in (2, 1))
    namespace.link(net.client, "eth1", there, net.server, "eth1", here)
    net.client.ip(f"route add {net.other_host} via {net.far(1)}")
    try:
        yield
    finally:
        net.client.ip(f"route del {net.other_host}")
        # Its other end goes with it, wherever that is.
        net.client.ip("link del eth1")


@test
def packets_of_an_open_connection_are_not_routed_again(net):
    net.control.serve(net.service, *net.processes[:2])
    with Client(net.client, net.service) as client:
        _check_not_routed(net, client, "a connection of a remote client")


@test
def of_connections_to_a_service_that_had_one_no_packet_is_routed(net):
    net.control.serve(net.service, *net.processes[:2])
    who(net.client, net.service)
    routed = _routed(net, lambda: who(net.client, net.service))
    check.true(routed < _QUESTIONS * 0.3, f"{routed} packets were routed, of {_QUESTIONS} connections")


@test
def a_connection_whose_packets_come_by_another_device_than_its_SYN_goes_on(net):
    service = net.other_service
    net.control.serve(service, *net.processes[:2])
    with _second_link(net), Client(net.client, service, source=endpoint(net.client_address, 48000)) as client:
        process = client.who()
        net.client.ip(f"route replace {net.other_host} via {net.server_address}")
        _check_not_routed(net, client, "by the other device")
        check.equal(client.who(), process, "who serves whom")
        net.client.ip(f"route replace {net.other_host} via {net.far(1)}")
        _check_not_routed(net, client, "by the first device")
        check.equal(client.who(), process, "who serves whom")


@test
def when_the_route_of_the_service_address_changes_packets_are_routed_by_the_new_one(net):
    net.control.serve(net.service, *net.processes[:2])
    with Client(net.client, net.service) as client:
        client.who()
        net.server.ip(f"addr del {net.host}/{net.version.bits} dev lo")
        client.send("who")
        client.socket.settimeout(1)
        check.raises(TimeoutError, client.socket.recv, 1)
        net.server.batch(namespace.address(net.host, net.version.bits, "lo"))
        client.socket.settimeout(30)
        check.true(client.line().split()[0] in net.processes[:2], "who answers when the address is back")
        who(net.client, net.service)


@test
def without_early_demux_in_the_kernel_they_are(net):
    net.control.serve(net.service, *net.processes[:2])
    for name in ("ip_early_demux", "tcp_early_demux"):
        net.server.sysctl(f"net/ipv4/{name}", 0)
        try:
            with Client(net.client, net.service) as client:
                _check_routed(net, client, f"{name}=0")
        finally:
            net.server.sysctl(f"net/ipv4/{name}", 1)


@test
def a_device_that_comes_later_finds_sockets_too(net):
    net.control.serve(net.service, *net.processes[:2])
    net.control.serve(net.other_service, net.processes[0])
    with _second_link(net), Client(net.client, net.other_service) as client:
        _check_not_routed(net, client, "by a new device")


@test
def a_device_that_goes_to_a_namespace_without_services_works_there(net):
    other = namespace.Namespace("other", net.version)
    daemon.start(endpoint(net.other_host, 90), namespace=net.server)
    with _second_link(net):
        with Client(net.client, endpoint(net.other_host, 90)) as client:
            client.who()
        net.server.ip("link set eth1 netns other")
        addresses = ((net.far(1), net.near_length, "eth1"), (net.other_host, net.version.bits, "lo"))
        other.batch(*(namespace.address(*each) for each in addresses), "link set eth1 up")
        daemon.start(endpoint(net.other_host, 90), namespace=other)
        check.equal(who(net.client, endpoint(net.other_host, 90))[0], endpoint(net.other_host, 90), "who serves there")
        other.ip("link set eth1 netns server")


@test
def connections_go_on_when_the_range_is_set_again_and_again(net):
    net.control.serve(net.service, *net.processes[:2])
    control = dispatch.Dispatch(namespace.Namespace("empty", net.version), net.version)
    with Client(net.client, net.service) as client:
        for _ in range(3):
            control.up()
            client.who()
            control.tool("down")
            client.who()
        _check_not_routed(net, client, "after another namespace's set-up was taken down")


@test
def a_handler_of_another_takes_the_place_and_connections_go_on(net):
    service = net.other_service
    net.control.serve(service, *net.processes[:2])
    with _second_link(net), Client(net.client, service) as client:
        _check_not_routed(net, client, "before")
        # Its mode l3s has the device's handler for itself.
        net.server.ip("link add ipvl0 link eth1 type ipvlan mode l3s")
        try:
            net.server.ip("link set ipvl0 up")
            client.who()
            _check_routed(net, client, "while the handler is another's")
            check.equal(who(net.client, service)[0] in net.processes[:2], True, "a process serves a new connection")
        finally:
            net.server.ip("link del ipvl0")
        client.who()
        # The other way round: the handler is there already.
        net.server.ip("link add ipvl0 link eth1 type ipvlan mode l3s")
        net.control.up()
        client.who()
        net.server.ip("link del ipvl0")


@test
def the_input_chain_sees_the_service_address_and_not_the_process(net):
    net.control.serve(net.service, *net.processes[:2])
    ip = net.version.table
    rules = f"""
        counter service {{ }}
        counter process {{ }}
        chain input {{
            type filter hook input priority 0
            {ip} daddr {net.host} tcp dport 80 counter name service
            {ip} daddr {dispatch.RANGES[net.version]} counter name process
        }}"""
    seen = _counted(net, rules)
    check.true(seen["service"] >= _QUESTIONS, f"packets to the service in the input chain: {seen}")
    check.equal(seen["process"], 0, "packets to processes in the input chain")


@test
def the_output_chain_sees_the_service_address_and_the_device_that_packets_leave_by(net):
    net.control.serve(net.service, *net.processes[:2])
    ip = net.version.table
    rules = f"""
        counter service {{ }}
        counter port {{ }}
        counter process {{ }}
        chain output {{
            type filter hook output priority 0
            {ip} saddr {net.host} tcp sport 80 oifname "eth0" counter name service
            tcp sport 80 oifname "tcp_dispatch*" counter name port
            {ip} saddr {dispatch.RANGES[net.version]} oifname != "lo" counter name process
        }}"""
    seen = _counted(net, rules)
    check.true(seen["service"] >= _QUESTIONS, f"packets of the service in the output chain: {seen}")
    check.equal((seen["port"], seen["process"]), (0, 0), "packets by the port or of processes in the output chain")


@test
def a_client_whose_address_the_input_chain_changes_is_served(net):
    net.control.serve(net.service, *net.processes[:2])
    rules = f"""
        chain input {{
            type nat hook input priority 100
            {net.version.table} saddr {net.client_address} tcp dport 80 snat to {net.near(77)}
        }}"""
    net.server.ip(f"route add {net.near(77)} dev eth0")
    with _rules(net, rules), Client(net.client, net.service) as client:
        check.equal(host_of(client.who()[1]), net.near(77), "the client as the daemon sees it")
        check.equal(client.download(300_000), daemon.digest(1, 300_000), "SHA-256")


@test
def a_packet_that_becomes_another_connections_after_its_socket_was_found_does_not_reach_that_socket(net):
    net.control.serve(net.service, *net.processes[:2])
    with Client(net.client, net.service) as one, Client(net.client, net.service) as other:
        process = {each: each.who()[0] for each in (one, other)}
        check.true(process[one] != process[other], "two connections have two processes")
        port, others = (port_of(each.address) for each in (one, other))
        rules = f"""
            chain input {{
                type filter hook input priority 0
                tcp sport {port} tcp dport 80 tcp sport set {others}
            }}"""
        with _rules(net, rules):
            one.send("who")
            one.socket.settimeout(1)
            check.raises(TimeoutError, one.socket.recv, 1)
        # It is sent again, and arrives.
        one.socket.settimeout(30)
        check.equal(one.line().split()[0], process[one], "who answers once the rule is gone")
        check.equal(other.who()[0], process[other], "the other connection's process")


@test
def a_client_that_reuses_its_port_gets_a_new_connection(net):
    net.control.serve(net.service, *net.processes[:2])
    source = endpoint(net.client_address, 47000)
    for _ in range(4):
        with Client(net.client, net.service, source=source) as client:
            check.equal(client.who()[1], source, "the client as the daemon sees it")
            _check_not_routed(net, client, "a connection from a port that was used before")
            client.send("close")
            client.ended()
        # Until its FIN is acknowledged, the old socket has the addresses.
        wait.until(lambda: not net.client.run("ss", "-Htan", "src", source), "the client's socket is gone")


@test
def the_socket_of_a_process_is_found_beside_an_unrelated_service_at_a_port_that_looks_alike(net):
    """336 and 80 share their last byte: whether there is a service is asked by that."""
    net.control.serve(net.service, *net.processes[:2])
    daemon.start(endpoint(net.host, 336), namespace=net.server)
    with Client(net.client, endpoint(net.host, 336)) as unrelated, Client(net.client, net.service) as client:
        _check_not_routed(net, unrelated, "an unrelated service")
        _check_not_routed(net, client, "the service")
        check.equal(unrelated.who()[0], endpoint(net.host, 336), "who serves the unrelated service")


@test
def packets_of_many_connections_at_once_reach_their_own_processes(net):
    net.control.serve(net.service, *net.processes[:2])
    load = [background.fork(_ask_many, net) for _ in range(2)]
    check.equal([each.wait() for each in load], [0, 0], "exit statuses of the clients")


def _ask_many(net):
    clients = [Client(net.client, net.service) for _ in range(40)]
    first = [client.who() for client in clients]
    for _ in range(3):
        for client in clients:
            client.send("who")
        check.equal([tuple(client.line().split()) for client in clients], first, "who serves whom")
