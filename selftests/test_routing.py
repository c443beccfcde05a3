# SPDX-License-Identifier: GPL-2.0
"""Several ways between clients and server: packets come by one, answers leave by that which routing chooses.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    203.0.113.2 eth1 ─────────── eth1 203.0.113.1
    198.18.0.2 lo                192.0.2.1:80, 192.0.2.2:80   services
                                 10.77.0.1..3:80              daemons

198.18.0.2 stands for the Internet: both ways lead there. What it sends to 192.0.2.1 goes by eth0, what it
sends to 192.0.2.2 by eth1; the server sends by eth0 unless told.
"""

import contextlib

from lib import capture, check, daemon, exchange, namespace, netfilter, topology, wait
from lib.client import Attempt, Client
from lib.ip import IPV4, endpoint, host_of
from lib.runner import test

_TABLE = 100


def setup(version):
    net = topology.pair(version)
    ends = (f"{net.far(number)}/{net.near_length}" for number in (2, 1))
    namespace.link(net.client, "eth1", next(ends), net.server, "eth1", next(ends))
    net.client.batch(
        namespace.address(net.wild(2), version.bits, "lo"), f"route add {net.other_host} via {net.far(1)} dev eth1"
    )
    net.server.batch(
        f"route add {net.wild(2)} via {net.near(2)} dev eth0",
        f"route add {net.wild(2)} via {net.far(2)} dev eth1 table {_TABLE}",
    )
    if version is IPV4:  # the client is no strict one
        for name in ("all", "eth0", "eth1"):
            net.client.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        # ARP by the device's own address: a strict server answers no other.
        net.client.sysctl("net/ipv4/conf/all/arp_announce", 2)
    daemon.start(*net.processes, namespace=net.server)
    return net


def _source(net, port=0):
    return endpoint(net.wild(2), port)


def _everything(net, service):
    exchange.everything(net.client, service, net.processes, source=lambda: _source(net))


@contextlib.contextmanager
def _route(net, way):
    """The server's route to the clients, for the time being."""
    option = net.version.option
    net.server.ip(f"{option} route replace {net.wild(2)} {way}")
    try:
        yield
    finally:
        net.server.ip(f"{option} route replace {net.wild(2)} via {net.near(2)} dev eth0")


def _rule(net, selector):
    """A rule that sends what it selects by eth1, for the time being."""
    return namespace.added(net.server, net.version, "rule", f"pref 1000 {selector} lookup {_TABLE}")


@contextlib.contextmanager
def _strict(net):
    """A server that takes a packet only by the device that the way back leaves by."""
    if net.version is IPV4:
        devices = ("all", "default", "lo", "eth0", "eth1")
        for name in devices:
            net.server.sysctl(f"net/ipv4/conf/{name}/rp_filter", 1)
        try:
            yield lambda: int(_netstat(net, "IPReversePathFilter"))
        finally:
            for name in devices:
                net.server.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        return
    text = """counter dropped { }
        chain prerouting {
            type filter hook prerouting priority raw
            tcp dport 80 fib saddr . iif oif missing counter name dropped drop
        }"""
    with netfilter.rules(net.server, net.version, text) as counted:
        yield lambda: counted()["dropped"]


def _netstat(net, name):
    with net.server, open("/proc/thread-self/net/netstat", encoding="ascii") as file:
        lines = [line.split() for line in file]
    values = {}
    for names, numbers in zip(lines[::2], lines[1::2]):
        values.update(zip(names[1:], numbers[1:]))
    return values[name]


class _Ways:
    """Watches both devices of the client. All that came is known when the `with` has ended."""

    def __init__(self, net):
        self._wires = {device: capture.Capture(net.client, device) for device in ("eth0", "eth1")}

    def __enter__(self):
        for wire in self._wires.values():
            wire.__enter__()
        return self

    def __exit__(self, *error):
        for wire in self._wires.values():
            wire.__exit__(*error)

    def answers(self, *clients):
        """By which devices answers came to the clients' ports, or to any."""
        return {device for device, wire in self._wires.items() if self._of(wire, False, clients)}

    def questions(self, *clients):
        """By which devices the clients sent."""
        return {device for device, wire in self._wires.items() if self._of(wire, True, clients)}

    def addresses(self):
        """All addresses on both."""
        return set().union(*(wire.addresses() for wire in self._wires.values()))

    @staticmethod
    def _of(wire, outgoing, clients):
        seen = [each for each in wire.segments() if each.outgoing == outgoing]
        return [each for each in seen if not clients or {each.source, each.destination} & set(clients)]


def _ways(net, service, questions, answers):
    """A connection's packets come by one device and its answers leave by another."""
    with _Ways(net) as ways:
        _everything(net, service)
    check.equal((ways.questions(), ways.answers()), ({questions}, {answers}), f"ways of {service}")
    check.equal(ways.addresses(), {net.wild(2), host_of(service)}, "addresses on the wire")


@test
def answers_leave_by_the_device_that_their_route_says_whichever_packets_come_by(net):
    for service, device in ((net.service, "eth0"), (net.other_service, "eth1")):
        net.control.serve(service, *net.processes)
        _ways(net, service, device, "eth0")
        with _route(net, f"via {net.far(2)} dev eth1"):
            _ways(net, service, device, "eth1")


@test
def a_rule_by_the_service_address_chooses_the_way_of_its_answers(net):
    net.control.serve(net.service, *net.processes)
    net.control.serve(net.other_service, *net.processes)
    with _rule(net, f"from {net.other_host}"):
        _ways(net, net.other_service, "eth1", "eth1")
        _ways(net, net.service, "eth0", "eth0")


@test
def a_rule_by_the_service_port_chooses_the_way_of_its_answers(net):
    for port in (80, 82):
        net.control.serve(endpoint(net.host, port), *net.processes)
    with _rule(net, "ipproto tcp sport 82"):
        _ways(net, endpoint(net.host, 82), "eth0", "eth1")
        _ways(net, net.service, "eth0", "eth0")


@test
def a_rule_by_the_process_addresses_does_not_choose_the_way_of_answers(net):
    net.control.serve(net.service, *net.processes)
    address, length = net.process_range
    option = f"{net.version.option} rule"
    # Behind the layer's own: before it, it would take its packets away.
    net.server.ip(f"{option} add pref 32766 from {address}/{length} lookup {_TABLE}")
    try:
        _ways(net, net.service, "eth0", "eth0")
    finally:
        net.server.ip(f"{option} del pref 32766 from {address}/{length} lookup {_TABLE}")


@test
def daemons_at_addresses_that_are_the_servers_own_are_served_as_others_are(net):
    """With IPv4 a route from such an address is found sooner."""
    hosts = [host_of(process) for process in net.processes]
    net.control.serve(net.service, *net.processes)
    net.server.batch(*(namespace.address(host, net.version.bits, "lo") for host in hosts))
    try:
        _ways(net, net.service, "eth0", "eth0")
        exchange.everything(net.server, net.service, net.processes)
    finally:
        net.server.batch(*(f"addr del {host}/{net.version.bits} dev lo" for host in hosts))


@test
def an_open_connections_answers_follow_when_a_rule_comes_and_goes(net):
    net.control.serve(net.service, *net.processes)
    with Client(net.client, net.service, source=_source(net)) as client:
        process = client.who()
        for _ in range(2):
            with _rule(net, f"from {net.host}"), _Ways(net) as ways:
                check.equal(client.who(), process, "who serves whom with the rule")
            check.equal(ways.answers(), {"eth1"}, "by which device answers come with the rule")
            with _Ways(net) as ways:
                check.equal(client.who(), process, "who serves whom without the rule")
            check.equal(ways.answers(), {"eth0"}, "by which device answers come without the rule")


@test
def an_open_connection_survives_the_loss_of_an_uplink_in_mid_transfer(net):
    net.control.serve(net.other_service, *net.processes)
    option = net.version.option
    way = _route(net, f"via {net.far(2)} dev eth1")
    with way, Client(net.client, net.other_service, source=_source(net)) as client:
        process = client.who()
        client.send("get 3000000 5")
        got = client.receive(1_000_000)
        # The routes by it go with it.
        net.server.ip("link set eth1 down")
        try:
            net.client.ip(f"{option} route replace {net.other_host} via {net.near(1)} dev eth0")
            net.server.ip(f"{option} route replace {net.wild(2)} via {net.near(2)} dev eth0")
            got += client.receive(2_000_000)
            check.equal(got, b"".join(daemon.stream(5, 3_000_000)), "the stream")
            check.equal(client.who(), process, "who serves whom by the other uplink")
        finally:
            net.server.batch("link set eth1 up", *_lost(net))
            net.client.ip(f"{option} route replace {net.other_host} via {net.far(1)} dev eth1")


def _lost(net):
    """What went with eth1."""
    again = [f"route replace {net.wild(2)} via {net.far(2)} dev eth1 table {_TABLE}"]
    return again if net.version is IPV4 else [namespace.address(net.far(1), net.near_length, "eth1"), *again]


@test
def connections_spread_over_a_route_of_several_uplinks_each_by_one_of_them(net):
    net.control.serve(net.service, *net.processes)
    net.server.sysctl(f"net/ipv{net.version.number}/fib_multipath_hash_policy", 1)  # by ports, too
    # A kernel without CONFIG_IPV6_ROUTER_PREF passes over a gateway that it hasn't met yet.
    with _route(net, f"via {net.far(2)} dev eth1"), Client(net.client, net.service, source=_source(net)) as client:
        client.who()
    way = f"nexthop via {net.near(2)} dev eth0 nexthop via {net.far(2)} dev eth1"
    with _route(net, way), _Ways(net) as ways:
        clients = [Client(net.client, net.service, source=_source(net)) for _ in range(24)]
        for client in clients:
            check.equal(client.who(), client.who(), "who serves whom")
        for client in clients:
            client.close()
    each = [ways.answers(client.address) for client in clients]
    check.equal({len(one) for one in each}, {1}, "by how many devices a connection's answers came")
    check.equal(set().union(*each), {"eth0", "eth1"}, "by which devices answers came")


@test
def strict_reverse_path_filtering_lets_clients_in_that_come_by_their_own_device(net):
    net.control.serve(net.service, *net.processes)
    net.control.serve(net.other_service, *net.processes)
    with _strict(net) as dropped, _rule(net, f"from {net.other_host}"):
        before = dropped()
        _everything(net, net.service)
        _everything(net, net.other_service)
        exchange.everything(net.client, net.service, net.processes)
        exchange.everything(net.server, net.service, net.processes)
        check.equal(dropped() - before, 0, "packets dropped")


@test
def strict_reverse_path_filtering_keeps_out_who_comes_by_another_device(net):
    """As from a daemon without the layer."""
    net.control.serve(net.other_service, *net.processes)
    daemon.start(endpoint(net.other_host, 81), namespace=net.server)
    for port in (80, 81) if net.version is IPV4 else (80,):
        with _strict(net) as dropped:
            before = dropped()
            attempt = Attempt(net.client, endpoint(net.other_host, port), source=_source(net))
            wait.until(lambda: dropped() > before, f"a SYN to port {port} by the wrong device is dropped")
            check.equal(attempt.result(0), None, "what came of it")
            attempt.close()


@test
def packets_of_an_open_connection_that_come_by_another_device_are_filtered_too(net):
    """That the layer finds their socket before they are routed spares them nothing."""
    net.control.serve(net.service, *net.processes)
    option = net.version.option
    with _strict(net) as dropped, Client(net.client, net.service, source=_source(net)) as client:
        process = client.who()
        before = dropped()
        net.client.ip(f"{option} route add {net.host} via {net.far(1)} dev eth1")
        try:
            client.send("who")
            wait.until(lambda: dropped() > before, "a packet by the wrong device is dropped")
            check.raises(BlockingIOError, _now, client)
        finally:
            net.client.ip(f"{option} route del {net.host} via {net.far(1)} dev eth1")
        check.equal(tuple(client.line().split()), process, "who answers once it is sent again by the right one")


def _now(client):
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1)
    finally:
        client.socket.settimeout(wait.DEADLINE)
