# SPDX-License-Identifier: GPL-2.0
"""What a connection carries, and its daemon's options: a client sees the packets of a daemon without the layer.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    198.51.100.77                192.0.2.1:80      service
    nobody there: the test       10.77.0.1:80      a listening socket of the test itself
    makes its packets            192.0.2.1:8080    another, without the layer
"""

import socket
import struct

from lib import check, daemon, topology, wait
from lib.direct import Peer, compare, neighbour, shown, sysctls
from lib.ip import IPV4
from lib.packet import ACK, PSH, RST, SYN, URG
from lib.runner import test

_OFFER = b"\x02\x04\x05\xb4\x01\x03\x03\x07\x01\x01\x04\x02"  # MSS 1460, window scaling by 7, SACK


def setup(version):
    net = topology.pair(version)
    neighbour(net)
    return net


def _names(way):
    with way.connection() as (client, accepted):
        check.equal(daemon.name(accepted.getpeername()), client.address, "the client, as the daemon sees it")
        check.equal(daemon.name(client.socket.getpeername()), way.address, "the daemon, as the client sees it")
        check.equal(daemon.name(accepted.getsockname()), way.local, "the daemon, as it sees itself")
        if way.address != way.local:
            # The service that the client asked for is in the connection's entry.
            (entry,) = way.net.control.connections(process=way.local, client=client.address)
            check.equal(entry["service-address"], way.address, "the service of the connection")


@test
def a_daemon_sees_its_clients_address_and_its_own_and_can_ask_for_the_service(net):
    compare(net, _names)


def _options(way):
    level = socket.IPPROTO_IP if way.net.version is IPV4 else socket.IPPROTO_IPV6
    mark, hops = (socket.IP_TOS, socket.IP_TTL) if way.net.version is IPV4 else (67, socket.IPV6_UNICAST_HOPS)
    with way.connection() as (client, accepted):
        accepted.setsockopt(level, mark, 0xB8)
        accepted.setsockopt(level, hops, 7)
        accepted.sendall(b"answer\n")
        check.equal(client.line(), "answer", "what the client gets")
        client.socket.setsockopt(level, mark, 0x48)
        client.send("question")
        check.equal(accepted.recv(99), b"question\n", "what the daemon gets")
        wait.until(lambda: any("tos 0xb8 ttl 7" in line for line in shown(way)), "the daemon's options on the wire")


@test
def the_traffic_class_and_hop_limit_of_a_daemon_are_on_the_wire(net):
    compare(net, _options)


def _disorder(way):
    """Segments that come out of order, twice and overlapping: what the daemon acknowledges, selectively, and reads."""
    with way.listen() as listener:
        peer = Peer(way)
        peer.open(_OFFER)
        with listener.accept()[0] as accepted:
            data = bytes(range(97, 107))
            steps = ((3, 5), (7, 9), (3, 5), (2, 8), (0, 2), (0, 10), (4, 6))
            for number, (first, last) in enumerate(steps):
                peer.send(PSH | ACK, 1 + first, 1, data[first:last])
                peer.answer(2 + number, f"an acknowledgment of bytes {first} to {last}")
            check.equal(accepted.recv(99), data, "what the daemon gets")
            peer.send(RST, 11)
            check.raises(ConnectionResetError, accepted.recv, 1)
    check.true(any("sack [" in line for line in shown(way, True)), "nothing was acknowledged selectively")


@test
def disorder_is_acknowledged_selectively_as_by_a_direct_daemon(net):
    compare(net, _disorder, strict=True)


def _sent_again(way):
    """What a client acknowledges selectively is not sent again, the hole is."""
    with way.listen() as listener:
        peer = Peer(way)
        peer.open(_OFFER)
        with listener.accept()[0] as accepted:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(8):
                accepted.sendall(b"%d" % number * 100)
                peer.answer(2 + number, "the data")
            at = lambda offset: peer.start + 1 + offset & 0xFFFFFFFF
            for last in (300, 400, 800):
                peer.send(ACK, 1, 101, options=b"\x01\x01\x05\x0a" + struct.pack("!II", at(200), at(last)))
            again = lambda: [seen for seen in peer.answers() if seen.sequence == at(100) and seen.payload]
            wait.until(lambda: len(again()) > 1, f"{way.name}: the hole is sent again")
            peer.send(ACK, 1, 801)
            peer.send(RST, 1)
            check.raises(ConnectionResetError, accepted.recv, 1)


@test
def a_hole_that_a_client_tells_of_is_filled_as_by_a_direct_daemon(net):
    # The hole is sent again for what the client tells. Time alone would join other segments and send them again.
    with sysctls((net.server, "ipv4/tcp_rto_min_us", 30_000_000)):
        compare(net, _sent_again)


def _window(way):
    """A client whose window is closed: the daemon waits, asks, and goes on."""
    with way.listen() as listener:
        peer = Peer(way)
        peer.open(_OFFER)
        with listener.accept()[0] as accepted:
            peer.send(ACK, 1, 1, window=0)
            accepted.sendall(b"answer")
            wait.until(lambda: any(not seen.flags & SYN for seen in peer.answers()), f"{way.name}: a probe of the window")
            peer.send(ACK, 1, 1, window=100)
            wait.until(lambda: any(seen.payload for seen in peer.answers()), f"{way.name}: the data")
            peer.send(RST | ACK, 1, 7)
            check.raises(ConnectionResetError, accepted.recv, 1)


@test
def a_closed_window_is_probed_as_by_a_direct_daemon(net):
    compare(net, _window, strict=True)


def _urgent(way):
    with way.connection() as (client, accepted):
        client.socket.send(b"!", socket.MSG_OOB)
        way.from_client(URG, "urgent data")
        check.equal(wait.until(lambda: _oob(accepted), "the urgent byte"), b"!", "the urgent byte")
        accepted.send(b"?", socket.MSG_OOB)
        check.equal(wait.until(lambda: _oob(client.socket), "the urgent byte"), b"?", "the client's urgent byte")


def _oob(connection):
    connection.setblocking(False)  # or Python waits for other data first
    try:
        return connection.recv(1, socket.MSG_OOB)
    except OSError:  # not there yet
        return None


@test
def urgent_data_passes_either_way_as_with_a_direct_daemon(net):
    compare(net, _urgent)
