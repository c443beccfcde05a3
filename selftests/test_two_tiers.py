# SPDX-License-Identifier: GPL-2.0
"""IPVS spreads a service over two computers, and on each the layer spreads it over three daemons.

    client                    router
    198.51.100.2 eth0 ─────── eth0 198.51.100.1
                              br0 203.0.113.1
                                │
       ┌────────────────────────┼────────────────────────────┬─────────────────────────────┐
    director-1, director-2      │                         computer-1                    computer-2
    eth0 203.0.113.2, .3     192.0.2.1 is routed          eth0 203.0.113.11             eth0 203.0.113.12
    lo   192.0.2.1:80        to director-1                lo   192.0.2.1:80             lo   192.0.2.1:80
    IPVS                                                  daemons 10.77.1.1..3:80       daemons 10.77.2.1..3:80
"""

import collections
import dataclasses

from lib import capture, check, command, daemon, dispatch, exchange, lan, namespace, topology
from lib.client import Client, refused, who
from lib.ip import IPV4, endpoint, host_of
from lib.runner import test

_ROUTER, _DIRECTORS, _COMPUTERS = 1, (2, 3), (11, 12)
# How IPVS hands packets on, as ipvsadm has it.
_DIRECT, _TUNNEL, _NAT = "-g", "-i", "-m"


@dataclasses.dataclass
class _Computer:
    """A computer with the layer, and its daemons."""

    namespace: namespace.Namespace
    control: dispatch.Dispatch
    host: str
    processes: list


@dataclasses.dataclass
class _Net:
    client: namespace.Namespace
    router: namespace.Namespace
    directors: list
    computers: list
    addresses: topology.Addresses

    def __getattr__(self, name):
        if name == "addresses":
            raise AttributeError(name)
        return getattr(self.addresses, name)

    @property
    def all_processes(self):
        """The daemons of both computers."""
        return [process for computer in self.computers for process in computer.processes]

    def direct_to(self, number):
        """Has the router send what is for the service to a director."""
        self.router.ip(f"{self.version.option} route replace {self.host} via {self.far(_DIRECTORS[number])}")

    def ipvsadm(self, command, computer=None, *arguments, director=0):
        """Changes the service of a director, or a computer of it."""
        real = ["-r", endpoint(computer.host, 80)] if computer else []
        self.directors[director].run("ipvsadm", command, "-t", self.service, *real, *arguments)

    def spread(self, way, *scheduler, directors=(0,)):
        """Sets both tiers up, with IPVS handing packets on in one way."""
        net = self.addresses
        for computer in self.computers:
            # Behind translation the computer has another service address, and answers go back through it.
            service = endpoint(computer.host, 80) if way == _NAT else self.service
            gateway = net.far(_DIRECTORS[0] if way == _NAT else _ROUTER)
            computer.control.serve(service, *computer.processes)
            computer.namespace.ip(f"{self.version.option} route replace default via {gateway}")
        for director in directors:
            self.directors[director].run("ipvsadm", "-C")
            self.ipvsadm("-A", None, *(scheduler or ("-s", "rr")), director=director)
            for computer in self.computers:
                self.ipvsadm("-a", computer, way, director=director)


def setup(version):
    net = topology.ADDRESSES[version]
    # IPVS has its sysctls once it is there.
    command.run("modprobe", "--all", "ip_vs", "ip_vs_rr", "ip_vs_mh", "ipip", "ip6_tunnel")
    make = lambda name: namespace.Namespace(name, version)
    client, router = make("client"), make("router")
    near = (f"{net.near(number)}/{net.near_length}" for number in (2, 1))
    namespace.link(client, "eth0", next(near), router, "eth0", next(near))
    client.ip(f"{version.option} route add default via {net.near(1)}")
    bridge = lan.Lan(router, "br0", net.far(_ROUTER), net.near_length)
    directors = [make(f"director-{number}") for number in (1, 2)]
    for each, number in zip(directors, _DIRECTORS):
        bridge.plug(each, "eth0", net.far(number))
        each.batch(namespace.address(net.host, version.bits, "lo"), f"route add default via {net.far(_ROUTER)}")
        each.sysctl("net/ipv4/vs/expire_nodest_conn", 1)
    for each in (router, *directors):
        each.sysctl("net/ipv4/ip_forward" if version is IPV4 else "net/ipv6/conf/all/forwarding", 1)
    computers = [_computer(bridge, net, number, host) for number, host in enumerate(_COMPUTERS, 1)]
    net = _Net(client, router, directors, computers, net)
    net.direct_to(0)
    return net


def _computer(bridge, net, number, host):
    version = net.version
    computer = namespace.Namespace(f"computer-{number}", version)
    bridge.plug(computer, "eth0", net.far(host))
    # A router of the same link would have it send past the director.
    computer.sysctl(f"net/ipv{version.number}/conf/all/accept_redirects", 0)
    computer.sysctl(f"net/ipv{version.number}/conf/eth0/accept_redirects", 0)
    kind = "ipip" if version is IPV4 else "ip6tnl mode ip6ip6"
    computer.batch(
        namespace.address(net.host, version.bits, "lo"),
        f"link add ipvs0 type {kind} local {net.far(host)} remote {net.far(_DIRECTORS[0])}",
        "link set ipvs0 up",
    )
    if version is IPV4:  # clients' packets come by the tunnel, and answers leave by eth0
        for name in ("all", "ipvs0"):
            computer.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
    processes = [net.process(each, number) for each in (1, 2, 3)]
    control = dispatch.Dispatch(computer, version).up()
    daemon.start(*processes, namespace=computer)
    return _Computer(computer, control, net.far(host), processes)


def _spread(net, way):
    """Every daemon of both computers gets its share, sees the client, and the client sees the service alone."""
    net.spread(way)
    with capture.Capture(net.client, "eth0") as wire:
        clients = [Client(net.client, net.service) for _ in range(12)]
        served = collections.Counter()
        for client in clients:
            process, seen = client.who()
            check.equal(seen, client.address, f"the client as {process} sees it")
            served[process] += 1
        check.equal(served, {process: 2 for process in net.all_processes}, "connections by daemon")
        for client in clients:
            client.close()
        for _ in range(2):
            exchange.everything(net.client, net.service, net.all_processes)
    hosts = {host_of(end) for seen in wire.segments() for end in (seen.source, seen.destination)}
    check.equal(hosts, {net.client_address, net.host}, "addresses of segments at the client")


@test
def IPVS_by_direct_routing_and_the_layer_spread_over_all_daemons_of_two_computers(net):
    _spread(net, _DIRECT)


@test
def IPVS_by_tunnel_and_the_layer_spread_over_all_daemons_of_two_computers(net):
    _spread(net, _TUNNEL)


@test
def IPVS_by_address_translation_and_the_layer_spread_over_all_daemons_of_two_computers(net):
    _spread(net, _NAT)


@test
def with_direct_routing_answers_do_not_pass_the_director(net):
    net.spread(_DIRECT)
    with capture.Capture(net.directors[0], "eth0") as wire, Client(net.client, net.service) as client:
        exchange.talk(client, net.all_processes)
    check.equal({seen.source for seen in wire.segments()}, {client.address}, "whose segments the director sees")


@test
def the_path_MTU_is_found_through_the_director(net):
    """The router's ICMP errors go to the service address, and that is the director's, too."""
    net.spread(_DIRECT)
    with Client(net.client, net.service) as client:
        process = client.who()[0]
        computer = next(each for each in net.computers if process in each.processes).namespace
        net.router.ip("link set eth0 mtu 1300")
        try:
            check.equal(client.download(300_000), daemon.digest(1, 300_000), "SHA-256")
            known = computer.run("ss", "-Htni", "dst", client.address)
            check.true("pmtu:1300" in known, f"the process's socket has not learnt the path MTU:\n{known}")
        finally:
            net.router.ip("link set eth0 mtu 1500")
            computer.ip(f"{net.version.option} route flush cache")


def _by_computer(net, count=6):
    """Open connections, by the number of the computer that serves them."""
    clients = collections.defaultdict(list)
    for _ in range(count):
        client = Client(net.client, net.service)
        process = client.who()[0]
        clients[next(n for n, computer in enumerate(net.computers) if process in computer.processes)].append(client)
    return clients


@test
def when_a_computer_fails_the_other_serves_and_keeps_what_it_has(net):
    for way in (_DIRECT, _TUNNEL, _NAT):
        net.spread(way)
        lost, healthy = net.computers
        clients = _by_computer(net)
        check.equal({number: len(each) for number, each in clients.items()}, {0: 3, 1: 3}, "connections by computer")
        before = [client.who() for client in clients[1]]
        lost.namespace.ip("link set eth0 down")
        net.ipvsadm("-d", lost)
        check.equal(set(_by_computer(net)), {1}, "computers that serve new connections")
        check.equal([client.who() for client in clients[1]], before, "who serves whom on the healthy computer")
        for client in clients[0]:
            # The director has nowhere to send it, and says so.
            client.send("who")
            check.raises(ConnectionResetError, client.socket.recv, 1)
        # It is mended.
        lost.namespace.batch("link set eth0 up", *_again(net, lost))
        net.ipvsadm("-a", lost, way)
        gateway = net.far(_DIRECTORS[0] if way == _NAT else _ROUTER)
        lost.namespace.ip(f"{net.version.option} route replace default via {gateway}")
        check.equal(set(_by_computer(net)), {0, 1}, "computers that serve when it is back")
        for each in net.computers:
            each.control.reset()


def _again(net, computer):
    """What a device that went down has lost."""
    return [] if net.version is IPV4 else [namespace.address(computer.host, net.near_length, "eth0")]


@test
def a_computer_of_weight_0_gets_no_new_connections_and_keeps_those_that_it_has(net):
    net.spread(_DIRECT)
    clients = _by_computer(net)
    before = [client.who() for client in clients[0]]
    net.ipvsadm("-e", net.computers[0], _DIRECT, "-w", "0")
    check.equal(set(_by_computer(net)), {1}, "computers that serve new connections")
    check.equal([client.who() for client in clients[0]], before, "who serves whom on the computer that is drained")


@test
def a_daemon_that_fails_is_passed_over_on_its_computer_and_the_director_need_not_know(net):
    net.spread(_DIRECT)
    computer = net.computers[0]
    computer.control.process_del(net.service, computer.processes[0])
    served = {who(net.client, net.service)[0] for _ in range(12)}
    check.equal(served, set(net.all_processes) - {computer.processes[0]}, "daemons that serve")


@test
def the_director_can_ask_a_computer_by_its_own_address_whether_it_serves(net):
    net.spread(_DIRECT)
    computer, director = net.computers[0], net.directors[0]
    own = endpoint(computer.host, 80)
    computer.control.serve(own, *computer.processes)
    check.true(who(director, own)[0] in computer.processes, "none of its daemons serves")
    for process in computer.processes:
        computer.control.process_del(own, process)
    refused(director, own)


@test
def another_director_takes_over_and_open_connections_go_on(net):
    """Both choose by the same hash of the client, and take up connections whose first packet they didn't see."""
    net.spread(_DIRECT, "-s", "mh", "-b", "mh-port", directors=(0, 1))
    for director in net.directors:
        director.sysctl("net/ipv4/vs/sloppy_tcp", 1)
    clients = _by_computer(net, 24)
    check.equal(set(clients), {0, 1}, "computers that serve")
    open_ = [client for each in clients.values() for client in each]
    before = [client.who() for client in open_]
    net.directors[0].ip("link set eth0 down")
    net.direct_to(1)
    try:
        check.equal([client.who() for client in open_], before, "who serves whom behind the other director")
        check.equal(open_[0].upload(300_000), daemon.digest(1, 300_000), "SHA-256 of what the daemon gets")
        exchange.everything(net.client, net.service, net.all_processes)
    finally:
        lost = _Computer(net.directors[0], None, net.far(_DIRECTORS[0]), [])
        net.directors[0].batch("link set eth0 up", *_again(net, lost))
        net.directors[0].ip(f"{net.version.option} route replace default via {net.far(_ROUTER)}")
        net.direct_to(0)
