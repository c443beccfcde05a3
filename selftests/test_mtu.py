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

from lib import capture, check, daemon, dispatch, inject, namespace, packet, topology, wait
from lib.client import Client
from lib.ip import IPV4, IPV6, endpoint, host_of, port_of
from lib.packet import ACK, SYN
from lib.runner import test

_LENGTH = 6 << 20


# Type and code of ICMP errors: what TCP takes for a refusal, what ends a handshake, and a packet that is too big.
_REFUSED = {IPV4: (3, 3), IPV6: (1, 4)}
_UNREACHABLE = {IPV4: (3, 1), IPV6: (1, 4)}
_TOO_BIG = {IPV4: (3, 4), IPV6: (2, 0)}
_RECVERR = {IPV4: (socket.IPPROTO_IP, 11), IPV6: (socket.IPPROTO_IPV6, 25)}


@dataclasses.dataclass
class Net(topology.Pair):
    router: namespace.Namespace

    def mtu(self, left, right=None):
        """Sets the MTU of the client's link, and of the server's."""
        right = right or left
        self.client.ip(f"link set eth0 mtu {left}")
        self.router.batch(f"link set left mtu {left}", f"link set right mtu {right}")
        self.server.ip(f"link set eth0 mtu {right}")
        for side in (self.client, self.router, self.server):
            side.ip(f"{self.version.option} route flush cache")
        if self.version is IPV6:
            # Processes' routes are of a table of their own, and `cache` means the main one's.
            self.server.ip("-6 route flush table 77 cached")

    def default_route(self, more=""):
        """Sets the server's route to the client."""
        self.server.ip(f"{self.version.option} route replace default via {self.far(2)} {more}")


def _direct(net):
    return endpoint(net.host, 8080)


def setup(version):
    client, router, server = (namespace.Namespace(name, version) for name in ("client", "router", "server"))
    addresses = topology.ADDRESSES[version]
    near = lambda number: f"{addresses.near(number)}/{addresses.near_length}"
    far = lambda number: f"{addresses.far(number)}/{addresses.near_length}"
    namespace.link(client, "eth0", near(2), router, "left", near(1), 9000)
    namespace.link(router, "right", far(2), server, "eth0", far(1), 9000)
    client.ip(f"{version.option} route add default via {addresses.near(1)}")
    server.batch(namespace.address(addresses.host, version.bits, "lo"))
    router.ip(f"route add {addresses.host}/{version.bits} via {addresses.far(1)}")
    router.forward(version)
    net = Net(client, server, dispatch.Dispatch(server, version), addresses, router)
    net.default_route()
    net.control.up()
    daemon.start(net.processes[0], _direct(net), namespace=server)
    return net


def _synack_mss(net, address):
    """The MSS that the answer to a client's SYN announces."""
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, address):
        return wire.wait_for(lambda seen: seen.source == address and seen.flags & SYN, "the SYN-ACK").mss


@test
def the_SYN_ACK_announces_the_MSS_that_a_daemon_without_dispatch_announces(net):
    net.control.serve(net.service, net.processes[0])
    for mtu in (1280, 1500, 9000):
        net.mtu(mtu)
        direct = _synack_mss(net, _direct(net))
        check.equal(direct, mtu - net.version.header - 20, f"MSS without dispatch at MTU {mtu}")
        check.equal(_synack_mss(net, net.service), direct, f"MSS of the service at MTU {mtu}")


@test
def the_SYN_ACK_obeys_the_advertised_MSS_of_the_clients_route(net):
    net.mtu(1500)
    net.control.serve(net.service, net.processes[0])
    net.default_route("advmss 1000")
    try:
        check.equal(_synack_mss(net, _direct(net)), 1000, "MSS without dispatch")
        check.equal(_synack_mss(net, net.service), 1000, "MSS of the service")
    finally:
        net.default_route()


@test
def segments_have_the_size_of_the_clients_route_though_the_ports_MTU_is_raised_by_hand(net):
    net.mtu(9000, 1500)
    net.server.ip("link set tcp_dispatch1 mtu 9000")
    size = 1500 - net.version.header - 20
    process = net.process(9)
    with daemon.listen(process, net.server) as listener:
        net.control.serve(net.service, process)
        check.equal(_synack_mss(net, net.service), size, "MSS that the SYN-ACK announces")
        with listener.accept()[0] as accepted:
            timestamps = 12
            sent = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            check.equal(sent, size - timestamps, "size of what the process sends")


def _download(net, shrink):
    """Downloads, calls `shrink` on the way, and returns the sizes that the client's link saw afterwards."""
    net.control.serve(net.service, net.processes[0])
    got = b""
    with Client(net.client, net.service) as client:
        client.send(f"get {_LENGTH} 11")
        got += client.receive(_LENGTH // 6)
        shrink()
        with capture.Capture(net.client, "eth0") as wire:
            got += client.receive(_LENGTH - len(got))
            sizes = [seen.length for seen in wire.segments() if seen.source == net.service]
        check.true(got == b"".join(daemon.stream(11, _LENGTH)), "the download differs")
        known = net.server.run("ss", "-Htni", "dst", f"{client.address}")
    return sizes, known


def _no_offload(net):
    """Without segmentation offload each packet on the wire is one segment."""
    for side, device in ((net.server, "eth0"), (net.router, "left"), (net.router, "right"), (net.client, "eth0")):
        side.run("ethtool", "-K", device, *"tso off gso off gro off".split())


def _download_shrinks(net, mtu, *links):
    """During a download the links get MTUs, of which `mtu` is the smallest: packets and the process's socket follow."""
    net.mtu(9000)
    _no_offload(net)
    sizes, known = _download(net, lambda: net.mtu(*links))
    check.true(sizes and max(sizes) <= mtu, f"a packet of {max(sizes, default=0)} bytes on a link of MTU {mtu}")
    check.true(re.search(rf"\bpmtu:{mtu}\b", known), f"the process's socket has not learnt the path MTU:\n{known}")


@test
def a_download_goes_on_when_a_link_behind_the_router_shrinks(net):
    _download_shrinks(net, 1280, 1280, 9000)


@test
def a_download_goes_on_when_the_servers_own_link_shrinks(net):
    _download_shrinks(net, 1400, 9000, 1400)


@test
def an_upload_goes_on_when_a_link_behind_the_router_shrinks(net):
    net.mtu(9000)
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client:
        client.send(f"put {_LENGTH}")
        for number, part in enumerate(daemon.stream(12, _LENGTH)):
            client.socket.sendall(part)
            if number == 1:
                net.mtu(9000, 1280)
        check.equal(client.line(), daemon.digest(12, _LENGTH), "SHA-256")


def _quote(quoted):
    """What an ICMP error quotes of a segment of the service's."""
    ports = struct.pack("!HHI", port_of(quoted.source), port_of(quoted.destination), quoted.sequence)
    return packet.ip(host_of(quoted.source), host_of(quoted.destination), ports, length=quoted.length)


def _error(net, kind, code, quoted, mtu=0, length=None):
    """An ICMP error of the router that quotes so many bytes of a segment of the service's, or all that it is to."""
    body = struct.pack("!I", mtu) + _quote(quoted)[:length]
    return packet.icmp(net.far(2), net.host, kind, code, body)


@test
def an_ICMP_error_reaches_the_socket_of_the_process_that_the_quoted_segment_is_of(net):
    net.mtu(1500)
    process = net.process(9)
    send = inject.Injector(net.router)
    with daemon.listen(process, net.server) as listener, capture.Capture(net.client, "eth0") as wire:
        net.control.serve(net.service, process)
        with Client(net.client, net.service) as client:
            accepted, _ = listener.accept()
            accepted.setsockopt(*_RECVERR[net.version], 1)  # errors end the connection
            accepted.sendall(b"hello")
            sent = wire.wait_for(lambda seen: seen.source == net.service and seen.payload, "the service's data")
            check.equal(client.socket.recv(5), b"hello", "data")
            # Quotes of nothing that was sent change nothing.
            wrong = packet.Seen(**{**vars(sent), "sequence": (sent.sequence - 100_000) & 0xFFFFFFFF})
            stranger = packet.Seen(**{**vars(sent), "destination": endpoint(net.client_address, 9)})
            for quoted in (wrong, stranger):
                send.send(_error(net, *_REFUSED[net.version], quoted))
            accepted.sendall(b"again")
            check.equal(client.socket.recv(5), b"again", "data after errors that quote nothing of the connection")
            sent = wire.wait_for(
                lambda seen: seen.source == net.service and seen.payload and seen.sequence == sent.sequence + 5,
                "more data",
            )
            # One segment stays unacknowledged, so that its sequence number is in the window.
            net.router.run("tc", *"qdisc add dev left root netem loss 100%".split())
            accepted.sendall(b"lost")
            lost = packet.Seen(**{**vars(sent), "sequence": sent.sequence + 5})
            send.send(_error(net, *_REFUSED[net.version], lost))
            accepted.settimeout(wait.DEADLINE)
            check.raises(ConnectionRefusedError, accepted.recv, 1)
            accepted.close()
            net.router.run("tc", *"qdisc del dev left root".split())


@test
def an_ICMP_error_for_a_SYN_ACK_ends_the_half_open_connection(net):
    net.mtu(1500)
    net.control.serve(net.service, net.processes[0])
    source = endpoint(net.near(77), 53000)  # nobody there, so nobody resets it
    net.router.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev left")
    half_open = lambda: net.server.run("ss", "-Htan", "state", "syn-recv")
    with capture.Capture(net.router, "left") as wire:
        inject.Injector(net.client).segment(source, net.service, SYN, 1000)
        synack = wire.wait_for(lambda seen: seen.destination == source and seen.flags & ACK, "the SYN-ACK")
    wait.until(lambda: ":53000" in half_open(), "the process's half-open connection")
    inject.Injector(net.router).send(_error(net, *_UNREACHABLE[net.version], synack))
    wait.until(lambda: ":53000" not in half_open(), "the half-open connection ends", 10 * wait.SCALE)


@test
def an_ICMP_error_that_quotes_too_little_is_harmless(net):
    net.mtu(1500)
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.router)
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, net.service) as client:
        client.who()
        sent = wire.wait_for(lambda seen: seen.source == net.service and seen.payload, "the service's data")
        for length in range(len(_quote(sent))):
            send.send(_error(net, *_TOO_BIG[net.version], sent, 1300, length))
        for kind in (3,) if net.version is IPV4 else (1, 2, 3, 4):
            for code in range(16):
                send.send(_error(net, kind, code, sent, mtu=code * 5))
        check.equal(client.who()[0], net.processes[0], "who serves afterwards")


def _path_mtu(net, process):
    """The path MTU that the process's only connection knows."""
    return int(
        re.search(r"\bpmtu:(\d+)", net.server.run("ss", "-Htni", "state", "established", "src", process)).group(1)
    )


@test(only=IPV6)
def a_packet_too_big_is_obeyed_down_to_1280_bytes_and_not_below(net):
    net.mtu(1500)
    process = net.process(9)
    send = inject.Injector(net.router)
    with daemon.listen(process, net.server) as listener, capture.Capture(net.client, "eth0") as wire:
        net.control.serve(net.service, process)
        with Client(net.client, net.service) as client:
            accepted, _ = listener.accept()
            accepted.sendall(b"hello")
            sent = wire.wait_for(lambda seen: seen.source == net.service and seen.payload, "the service's data")
            check.equal(client.receive(5), b"hello", "data")
            net.router.run("tc", *"qdisc add dev left root netem loss 100%".split())
            try:
                # What is not acknowledged can be quoted.
                accepted.sendall(b"lost")
                lost = packet.Seen(**{**vars(sent), "sequence": sent.sequence + 5})
                for mtu in (0, 68, 576, 1279):
                    send.send(_error(net, *_TOO_BIG[IPV6], lost, mtu))
                check.equal(_path_mtu(net, process), 1500, "the path MTU after errors of less than 1280")
                send.send(_error(net, *_TOO_BIG[IPV6], lost, 1280))
                wait.until(lambda: _path_mtu(net, process) == 1280, "the path MTU is 1280")
            finally:
                net.router.run("tc", *"qdisc del dev left root".split())
            check.equal(client.receive(4), b"lost", "what was lost, sent again")
            accepted.close()


def _port_mtu(net):
    (port,) = json.loads(net.server.ip("-j link show dev tcp_dispatch1"))
    return port["mtu"]


def _receive_space(net, local):
    """What a new socket of the server takes for the data of one round trip, in bytes."""
    shown = net.server.run("ss", "-tinH", "state", "established", "src", local)
    return re.search(r"rcv_space:(\d+)", shown).group(1)


@test(only=IPV4)
def the_port_has_the_largest_mtu_of_the_devices_and_follows_it(net):
    for mtu in (1400, 9000, 1280, 1500):
        net.mtu(mtu)
        check.equal(
            _port_mtu(net), max(mtu, 1500), f"the port's MTU; that of the test's own device is 1500, eth0's {mtu}"
        )
    net.server.ip("link add large mtu 4000 type dummy")
    check.equal(_port_mtu(net), 4000, "the port's MTU with a device of 4000")
    net.server.ip("link del large")
    check.equal(_port_mtu(net), 1500, "the port's MTU without it")


@test
def a_process_has_the_receive_buffer_of_a_directly_bound_daemon(net):
    net.control.serve(net.service, net.processes[0])
    for mtu in (1500, 9000):
        net.mtu(mtu)
        with Client(net.client, net.service) as client, Client(net.client, _direct(net)) as direct:
            client.who()
            direct.who()
            check.equal(
                _receive_space(net, net.processes[0]), _receive_space(net, _direct(net)), f"receive space, MTU {mtu}"
            )
