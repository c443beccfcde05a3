# SPDX-License-Identifier: GPL-2.0
"""Service addresses on links of every kind, and containers.

    client                       server
    eth0    ──────────────────── eth0      veth
    eth0.7  ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ eth0.7    VLAN 7 on it
    wg0     ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ wg0       WireGuard on it
    eth1    ──────────────────── br0       a bridge
    guest eth0 ───────────────── br0
    eth2    ──────────────────── eth2      in the VRF vrf0
                                 10.77.0.1..3:80   daemons

Each link has a network, 203.0.113.0/28 and so on; the server's address of it is the service address.
"""

import contextlib
import dataclasses
import ipaddress
import os
import socket

from lib import background, capture, check, container, daemon, dispatch, exchange, foreground, inject, lan, namespace
from lib import topology, wait, wireguard
from lib.client import Client, refused, who
from lib.ip import BOTH, IPV4, endpoint, split
from lib.netlink import NetlinkError
from lib.packet import ACK, RST
from lib.runner import test

_NETWORKS = {4: ("203.0.113.0/24", 28), 6: ("2001:db8:2::/56", 64)}
_VRF_TABLE = 200
_MANY = 200
_ADDRESSES = [topology.ADDRESSES[version] for version in BOTH]


@dataclasses.dataclass
class _Link:
    """A link's devices and addresses."""

    device: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @property
    def client(self):
        """The client's address."""
        return str(self.network[2])

    @property
    def server(self):
        """The server's address."""
        return str(self.network[1])

    @property
    def service(self):
        """The service address."""
        return endpoint(self.server, 80)

    def near(self, host):
        """An address with the length of the network's prefix."""
        return f"{host}/{self.network.prefixlen}"


def setup(version):
    net = topology.pair(version)
    network, length = _NETWORKS[version.number]
    networks = ipaddress.ip_network(network).subnets(new_prefix=length)
    names = ("eth0", "eth0.7", "wg0", "eth1", "eth2")
    net.links = {name: _Link(name, next(networks)) for name in names}
    for each, host in ((net.client, "client"), (net.server, "server")):
        address = lambda name: namespace.address(getattr(net.links[name], host), length, name)
        vlan = ("link add link eth0 name eth0.7 type vlan id 7", address("eth0.7"), "link set eth0.7 up")
        each.batch(address("eth0"), *vlan)
    wire = net.links["wg0"]
    wireguard.link(
        net.client, wire.near(wire.client), net.client_address, net.server, wire.near(wire.server), net.server_address
    )
    bridge = net.links["eth1"]
    ports = lan.Lan(net.server, "br0", bridge.server, length)
    ports.plug(net.client, "eth1", bridge.client)
    net.guest = namespace.Namespace("guest", version)
    ports.plug(net.guest, "eth0", str(bridge.network[3]))
    vrf = net.links["eth2"]
    net.server.batch(f"link add vrf0 type vrf table {_VRF_TABLE}", "link set vrf0 up")
    namespace.link(net.client, "eth2", vrf.near(vrf.client), net.server, "eth2", vrf.near(vrf.server))
    net.server.ip("link set eth2 master vrf0")
    if version is not IPV4:  # lost with the move
        net.server.batch(namespace.address(vrf.server, length, "eth2").replace(" add ", " replace "))
    daemon.start(*net.processes, namespace=net.server)
    return net


def _serves(net, name):
    """A service at the server's address of a link serves clients of that link, and on the server."""
    link = net.links[name]
    net.control.serve(link.service, *net.processes)
    with capture.Capture(net.client, link.device) as wire:
        exchange.everything(net.client, link.service, net.processes, source=lambda: endpoint(link.client, 0))
    ends = {end for seen in wire.segments() for end in (seen.source, seen.destination)}
    check.equal({split(end)[0] for end in ends}, {link.client, link.server}, f"addresses of segments on {name}")
    exchange.everything(net.server, link.service, net.processes)


@test
def a_service_at_an_address_of_a_veth_device_is_served(net):
    _serves(net, "eth0")


@test
def a_service_at_an_address_of_a_VLAN_is_served(net):
    _serves(net, "eth0.7")


@test
def a_service_at_an_address_of_a_WireGuard_device_is_served(net):
    _serves(net, "wg0")


@test
def a_service_at_an_address_of_a_bridge_is_served(net):
    _serves(net, "eth1")


@test
def a_container_on_the_bridge_is_served_beside_clients_from_elsewhere(net):
    link = net.links["eth1"]
    net.control.serve(link.service, *net.processes)
    exchange.everything(net.guest, link.service, net.processes)
    # By another link than that of the address.
    net.client.ip(f"{net.version.option} route add {link.server} via {net.links['eth0.7'].server}")
    try:
        source = endpoint(net.links["eth0.7"].client, 0)
        exchange.everything(net.client, link.service, net.processes, source=lambda: source)
    finally:
        net.client.ip(f"{net.version.option} route del {link.server} via {net.links['eth0.7'].server}")


@contextlib.contextmanager
def _unbound_sockets_serve_vrfs(net):
    """Sockets that are bound to no device get what comes by a VRF, too."""
    net.server.sysctl("net/ipv4/tcp_l3mdev_accept", 1)
    try:
        yield
    finally:
        net.server.sysctl("net/ipv4/tcp_l3mdev_accept", 0)


@test
def a_service_at_an_address_of_a_VRF_is_served(net):
    link = net.links["eth2"]
    net.control.serve(link.service, *net.processes)
    with _unbound_sockets_serve_vrfs(net), capture.Capture(net.client, "eth2") as wire:
        exchange.everything(net.client, link.service, net.processes, source=lambda: endpoint(link.client, 0))
    check.equal(wire.addresses(), {link.client, link.server}, "addresses on the wire")


@test
def a_packet_by_a_VRF_straight_to_a_process_on_an_open_connections_ports_is_dropped(net):
    """TCP has found the process's socket by it before the layer is asked."""
    link = net.links["eth2"]
    net.control.serve(link.service, net.processes[0])
    net.client.ip(f"{net.version.option} route add {net.process_host(1)} via {link.server}")
    try:
        with (
            _unbound_sockets_serve_vrfs(net),
            capture.Capture(net.client, "eth2") as wire,
            Client(net.client, link.service, source=endpoint(link.client, 0)) as client,
        ):
            client.who()
            numbers, before = wire.next_numbers(client.address), net.control.drops("outside")
            inject.Injector(net.client).segment(client.address, net.processes[0], RST | ACK, *numbers)
            wait.until(lambda: net.control.drops("outside") > before, "the drop is counted")
            check.equal(client.who()[0], net.processes[0], "the connection's process afterwards")
    finally:
        net.client.ip(f"{net.version.option} route del {net.process_host(1)} via {link.server}")


@test
def a_client_in_the_VRF_on_the_server_is_served(net):
    link = net.links["eth2"]
    net.control.serve(link.service, *net.processes)
    with _unbound_sockets_serve_vrfs(net), Client(net.server, link.service, device="vrf0") as client:
        exchange.talk(client, net.processes)


@test
def daemons_that_are_bound_to_a_VRF_serve_it(net):
    link = net.links["eth2"]
    process = net.process(7)
    net.control.serve(link.service, process)
    with net.server, socket.create_server(split(process), family=net.version.family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"vrf0")
        with capture.Capture(net.client, "eth2") as wire:
            with Client(net.client, link.service, source=endpoint(link.client, 0)) as client:
                accepted, _ = listener.accept()
                accepted.sendall(b"answer\n")
                check.equal(client.line(), "answer", "what the client hears")
                accepted.close()
    check.equal(wire.addresses(), {link.client, link.server}, "addresses on the wire")


@test
def a_service_on_a_VRF_that_no_socket_serves_refuses_as_itself(net):
    link = net.links["eth2"]
    net.control.serve(link.service, *net.processes)
    with capture.Capture(net.client, "eth2") as wire:
        refused(net.client, link.service, source=endpoint(link.client, 0))
    check.equal(wire.addresses(), {link.client, link.server}, "addresses on the wire")


def _namespaces():
    """Many namespaces, each with the layer and the same services and processes."""
    made = []
    for _ in range(_MANY):
        each = container.unnamed()
        addresses = (namespace.address(net.host, net.version.bits, "lo") for net in _ADDRESSES)
        each.batch("link set lo up", *addresses)
        control = dispatch.Dispatch(each, *BOTH).up()
        for net in _ADDRESSES:
            control.serve(net.service, net.processes[0])
        made.append((each, control))
    return made


@test(only=IPV4, deadline=600)  # both at once; some 40 s: each of them takes a `dispatchctl up`
def hundreds_of_namespaces_have_services_of_the_same_addresses_each_for_itself(_):
    made = _namespaces()
    for net in _ADDRESSES:
        _each_for_itself(net, [each for each, _ in made])
    for each, control in made:
        for net in _ADDRESSES:
            check.equal(control.service(net.service)["stats"]["connections"], 1, f"connections of {net.service}")
        control.forget_sockets()
        each.close()


def _each_for_itself(net, namespaces):
    """All at once have a connection from the same client to the same service and process, and none meets another's."""
    listeners = [daemon.listen(net.processes[0], each) for each in namespaces]
    source = endpoint(net.host, 40000)
    clients = [Client(each, net.service, source=source) for each in namespaces]
    for number, client in enumerate(clients):
        client.send(str(number))
    for number, listener in enumerate(listeners):
        accepted, client = listener.accept()
        check.equal(daemon.name(client), source, "the client as the process sees it")
        check.equal(accepted.recv(9), b"%d\n" % number, "what it hears")
        accepted.sendall(b"%d\n" % -number)
        accepted.close()
        listener.setblocking(False)
        check.raises(BlockingIOError, listener.accept)
        listener.close()
    for number, client in enumerate(clients):
        check.equal(client.line(), str(-number), "what the client hears")
        client.close()


def _daemon_in(where, process):
    """Starts a daemon in a container, by the container's root."""
    host, port = split(process)
    argv, options = foreground.argv(host, str(port))
    background.program(*where.argv(*argv), **options)
    wait.until(lambda: where.run("ss", "-Hltn", "src", process), f"a daemon listens on {process}")


@test
def a_container_without_privilege_over_the_host_has_a_layer_of_its_own(net):
    net.control.serve(net.service, net.processes[0])
    inside = container.Container()
    length = net.version.bits
    inside.run("ip", "link", "set", "lo", "up")
    inside.run("ip", "addr", "add", f"{net.host}/{length}", "dev", "lo")
    inside.run("dispatchctl", "up", "--range", dispatch.RANGES[net.version])
    inside.run("dispatchctl", "service", "add", net.service)
    inside.run("dispatchctl", "process", "add", net.service, net.processes[1])
    _daemon_in(inside, net.processes[1])
    exchange.everything(inside.namespace, net.service, net.processes[1:2])
    exchange.everything(net.client, net.service, net.processes[:1])
    its = dispatch.Dispatch(inside.namespace)
    check.equal(set(its.processes()), {(net.service, net.processes[1])}, "the container's processes")
    check.equal(set(net.control.processes()), {(net.service, net.processes[0])}, "the host's processes")
    inside.run("dispatchctl", "down", "--force")
    check.equal(who(net.client, net.service)[0], net.processes[0], "who serves on the host afterwards")
    inside.kill()
    check.equal(who(net.client, net.service)[0], net.processes[0], "who serves on the host without the container")


@test
def a_container_cannot_touch_the_layer_of_its_host(net):
    net.control.serve(net.service, net.processes[0])
    inside = container.Container()
    for arguments in (("service", "del", net.service), ("down", "--force"), ("service", "list")):
        outcome = inside.result("dispatchctl", "--netns", net.server.name, *arguments)
        check.true(outcome.returncode != 0, f"dispatchctl {arguments} did not fail on the host's namespace")
        check.true("ermi" in outcome.stderr, f"what it says: {outcome.stderr}")

    def child():
        # What it has of the host from before it was root of anything.
        net.server.enter()
        background.become(container.UID, container.UID)
        host = dispatch.Dispatch(None)
        host.socket()
        file = os.open(f"/run/netns/{net.server.name}", os.O_RDONLY)
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        check.raises(PermissionError, os.setns, file, os.CLONE_NEWNET)
        check.equal(list(host.services()), [net.service], "what it may look at")
        for change, *arguments in (
            (host.service_del, net.service),
            (host.service_set, net.service),
            (host.process_del, net.service, net.processes[0]),
            (host.process_add, net.service, net.processes[1]),
            (host.limit, 1),
        ):
            check.equal(check.raises(NetlinkError, change, *arguments).name, "EPERM", f"what {change.__name__} says")

    check.equal(background.in_child(child), 0, "exit status of the container's root")
    check.equal(set(net.control.processes()), {(net.service, net.processes[0])}, "the host's processes")
    inside.kill()
