# SPDX-License-Identifier: GPL-2.0
"""Sizes of links, and the ICMP errors that tell of them.

    client                 router                    server
    198.51.100.2 eth0 ──── left            right ─── eth0 203.0.113.1
                           198.51.100.1  203.0.113.2 192.0.2.1:80     service
                                                     192.0.2.1:8080   a daemon without dispatch
                                                     10.77.0.1:80     daemon
"""

import dataclasses
import json
import re
import socket
import struct

from lib import capture, check, daemon, dispatch, inject, namespace, packet, wait
from lib.client import Client
from lib.packet import ACK, SYN
from lib.runner import test
from lib.topology import CLIENT, HOST, PROCESSES, SERVICE

_SERVER = "203.0.113.1"
_DIRECT = f"{HOST}:8080"
_PROCESS = PROCESSES[0]
_LENGTH = 6 << 20


@dataclasses.dataclass
class Net:
    client: namespace.Namespace
    router: namespace.Namespace
    server: namespace.Namespace
    control: dispatch.Dispatch

    def mtu(self, left, right=None):
        """Sets the MTU of the client's link, and of the server's."""
        right = right or left
        self.client.ip(f"link set eth0 mtu {left}")
        self.router.batch(f"link set left mtu {left}", f"link set right mtu {right}")
        self.server.ip(f"link set eth0 mtu {right}")
        for side in (self.client, self.router, self.server):
            side.ip("route flush cache")


def setup():
    client, router, server = (namespace.Namespace(name) for name in ("client", "router", "server"))
    namespace.link(client, "eth0", f"{CLIENT}/24", router, "left", "198.51.100.1/24", 9000)
    namespace.link(router, "right", "203.0.113.2/24", server, "eth0", f"{_SERVER}/24", 9000)
    client.ip("route add default via 198.51.100.1")
    server.batch(f"addr add {HOST}/32 dev lo", "route add default via 203.0.113.2")
    router.ip(f"route add {HOST}/32 via {_SERVER}")
    router.sysctl("net/ipv4/ip_forward", 1)
    router.sysctl("net/ipv4/icmp_ratelimit", 0)
    net = Net(client, router, server, dispatch.Dispatch(server).up())
    daemon.start(_PROCESS, _DIRECT, namespace=server)
    return net


def _synack_mss(net, address):
    """The MSS that the answer to a client's SYN announces."""
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, address):
        return wire.wait_for(lambda seen: seen.source == address and seen.flags & SYN, "the SYN-ACK").mss


@test
def the_SYN_ACK_announces_the_MSS_that_a_daemon_without_dispatch_announces(net):
    net.control.serve(SERVICE, _PROCESS)
    for mtu in (1280, 1500, 9000):
        net.mtu(mtu)
        direct = _synack_mss(net, _DIRECT)
        check.equal(direct, mtu - 40, f"MSS without dispatch at MTU {mtu}")
        check.equal(_synack_mss(net, SERVICE), direct, f"MSS of the service at MTU {mtu}")


@test
def the_SYN_ACK_obeys_the_advertised_MSS_of_the_clients_route(net):
    net.mtu(1500)
    net.control.serve(SERVICE, _PROCESS)
    net.server.ip("route replace default via 203.0.113.2 advmss 1000")
    try:
        check.equal(_synack_mss(net, _DIRECT), 1000, "MSS without dispatch")
        check.equal(_synack_mss(net, SERVICE), 1000, "MSS of the service")
    finally:
        net.server.ip("route replace default via 203.0.113.2")


def _download(net, shrink):
    """Downloads, calls `shrink` on the way, and returns the sizes that the client's link saw afterwards."""
    net.control.serve(SERVICE, _PROCESS)
    got = b""
    with Client(net.client, SERVICE) as client:
        client.send(f"get {_LENGTH} 11")
        got += client.receive(_LENGTH // 6)
        shrink()
        with capture.Capture(net.client, "eth0") as wire:
            got += client.receive(_LENGTH - len(got))
            sizes = [seen.length for seen in wire.segments() if seen.source == SERVICE]
        check.true(got == b"".join(daemon.stream(11, _LENGTH)), "the download differs")
        known = net.server.run("ss", "-Htni", "dst", f"{client.address}")
    return sizes, known


def _no_offload(net):
    """Without segmentation offload each packet on the wire is one segment."""
    for side, device in ((net.server, "eth0"), (net.router, "left"), (net.router, "right"), (net.client, "eth0")):
        side.run("ethtool", "-K", device, *"tso off gso off gro off".split())


@test
def a_download_goes_on_when_a_link_behind_the_router_shrinks(net):
    net.mtu(9000)
    _no_offload(net)
    sizes, known = _download(net, lambda: net.mtu(1280, 9000))
    check.true(sizes and max(sizes) <= 1280, f"a packet of {max(sizes, default=0)} bytes on a link of MTU 1280")
    check.true(re.search(r"\bpmtu:1280\b", known), f"the process's socket has not learnt the path MTU:\n{known}")


@test
def a_download_goes_on_when_the_servers_own_link_shrinks(net):
    net.mtu(9000)
    _no_offload(net)
    sizes, known = _download(net, lambda: net.mtu(9000, 1400))
    check.true(sizes and max(sizes) <= 1400, f"a packet of {max(sizes, default=0)} bytes from a link of MTU 1400")
    check.true(re.search(r"\bpmtu:1400\b", known), f"the process's socket has not learnt the MTU:\n{known}")


@test
def an_upload_goes_on_when_a_link_behind_the_router_shrinks(net):
    net.mtu(9000)
    net.control.serve(SERVICE, _PROCESS)
    with Client(net.client, SERVICE) as client:
        client.send(f"put {_LENGTH}")
        for number, part in enumerate(daemon.stream(12, _LENGTH)):
            client.socket.sendall(part)
            if number == 1:
                net.mtu(9000, 1280)
        check.equal(client.line(), daemon.digest(12, _LENGTH), "SHA-256")


def _unreachable(code, quoted, mtu=0, protocol=6):
    """An ICMP error of the router that quotes a segment of the service's."""
    ports = struct.pack("!HHI", int(quoted.source.split(":")[1]), int(quoted.destination.split(":")[1]), quoted.sequence)
    hosts = [address.split(":")[0] for address in (quoted.source, quoted.destination)]
    inner = packet.ipv4(*hosts, ports, protocol=protocol, length=quoted.length)
    body = struct.pack("!BBHHH", 3, code, 0, 0, mtu) + inner
    body = body[:2] + struct.pack("!H", packet.checksum(body)) + body[4:]
    return packet.ipv4("203.0.113.2", hosts[0], body, protocol=1)


@test
def an_ICMP_error_reaches_the_socket_of_the_process_that_the_quoted_segment_is_of(net):
    net.mtu(1500)
    process = "10.77.0.9:80"
    send = inject.Injector(net.router)
    with daemon.listen(process, net.server) as listener, capture.Capture(net.client, "eth0") as wire:
        net.control.serve(SERVICE, process)
        with Client(net.client, SERVICE) as client:
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: errors end the connection
            accepted.sendall(b"hello")
            sent = wire.wait_for(lambda seen: seen.source == SERVICE and seen.payload, "the service's data")
            check.equal(client.socket.recv(5), b"hello", "data")
            # Quotes of nothing that was sent change nothing.
            wrong = packet.Seen(**{**vars(sent), "sequence": (sent.sequence - 100_000) & 0xFFFFFFFF})
            stranger = packet.Seen(**{**vars(sent), "destination": f"{CLIENT}:9"})
            for quoted in (wrong, stranger):
                send.send(_unreachable(3, quoted))
            accepted.sendall(b"again")
            check.equal(client.socket.recv(5), b"again", "data after errors that quote nothing of the connection")
            sent = wire.wait_for(
                lambda seen: seen.source == SERVICE and seen.payload and seen.sequence == sent.sequence + 5, "more data"
            )
            # One segment stays unacknowledged, so that its sequence number is in the window.
            net.router.run("tc", *"qdisc add dev left root netem loss 100%".split())
            accepted.sendall(b"lost")
            lost = packet.Seen(**{**vars(sent), "sequence": sent.sequence + 5})
            send.send(_unreachable(3, lost))
            accepted.settimeout(wait.DEADLINE)
            check.raises(ConnectionRefusedError, accepted.recv, 1)
            accepted.close()
            net.router.run("tc", *"qdisc del dev left root".split())


@test
def an_ICMP_error_for_a_SYN_ACK_ends_the_half_open_connection(net):
    net.mtu(1500)
    net.control.serve(SERVICE, _PROCESS)
    source = "198.51.100.77:53000"  # nobody there, so nobody resets it
    net.router.ip("neigh replace 198.51.100.77 lladdr 02:00:00:00:00:77 dev left")
    half_open = lambda: net.server.run("ss", "-Htan", "state", "syn-recv")
    with capture.Capture(net.router, "left") as wire:
        inject.Injector(net.client).segment(source, SERVICE, SYN, 1000)
        synack = wire.wait_for(lambda seen: seen.destination == source and seen.flags & ACK, "the SYN-ACK")
    wait.until(lambda: ":53000" in half_open(), "the process's half-open connection")
    inject.Injector(net.router).send(_unreachable(1, synack))
    wait.until(lambda: ":53000" not in half_open(), "the half-open connection ends", 10 * wait.SCALE)


@test
def an_ICMP_error_that_quotes_too_little_is_harmless(net):
    net.mtu(1500)
    net.control.serve(SERVICE, _PROCESS)
    send = inject.Injector(net.router)
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, SERVICE) as client:
        client.who()
        sent = wire.wait_for(lambda seen: seen.source == SERVICE and seen.payload, "the service's data")
        whole = _unreachable(4, sent, mtu=1300)
        for length in range(28, len(whole)):
            body = whole[20:length]
            body = body[:2] + b"\0\0" + body[4:]
            body = body[:2] + struct.pack("!H", packet.checksum(body)) + body[4:]
            send.send(packet.ipv4("203.0.113.2", HOST, body, protocol=1))
        for code in range(16):
            send.send(_unreachable(code, sent, mtu=code * 5))
        check.equal(client.who()[0], _PROCESS, "who serves afterwards")


def _port_mtu(net):
    (port,) = json.loads(net.server.ip("-j link show dev tcp_dispatch1"))
    return port["mtu"]


def _receive_space(net, local):
    """What a new socket of the server takes for the data of one round trip, in bytes."""
    shown = net.server.run("ss", "-tinH", "state", "established", "src", local)
    return re.search(r"rcv_space:(\d+)", shown).group(1)


@test
def the_port_has_the_largest_mtu_of_the_devices_and_follows_it(net):
    for mtu in (1400, 9000, 1280, 1500):
        net.mtu(mtu)
        check.equal(_port_mtu(net), max(mtu, 1500), f"the port's MTU; that of the test's own device is 1500, eth0's {mtu}")
    net.server.ip("link add large mtu 4000 type dummy")
    check.equal(_port_mtu(net), 4000, "the port's MTU with a device of 4000")
    net.server.ip("link del large")
    check.equal(_port_mtu(net), 1500, "the port's MTU without it")


@test
def a_process_has_the_receive_buffer_of_a_directly_bound_daemon(net):
    net.control.serve(SERVICE, _PROCESS)
    for mtu in (1500, 9000):
        net.mtu(mtu)
        with Client(net.client, SERVICE) as client, Client(net.client, _DIRECT) as direct:
            client.who()
            direct.who()
            check.equal(_receive_space(net, _PROCESS), _receive_space(net, _DIRECT), f"receive space, MTU {mtu}")
