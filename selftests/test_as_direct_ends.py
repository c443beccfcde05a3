# SPDX-License-Identifier: GPL-2.0
"""Ends of connections: a client sees the packets that it would see of a daemon without the layer.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    198.51.100.77                192.0.2.1:80      service
    nobody there: the test       10.77.0.1:80      a listening socket of the test itself
    makes its packets            192.0.2.1:8080    another, without the layer
"""

import contextlib
import socket
import struct

from lib import check, ip, topology, wait
from lib.direct import Peer, compare, neighbour, sysctls
from lib.packet import ACK, FIN, PSH, RST, SYN
from lib.runner import test

_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
_MSS = b"\x02\x04\x05\xb4"


def setup(version):
    net = topology.pair(version)
    neighbour(net)
    return net


# Both ends wait until the first FIN is acknowledged: that and the other FIN may change places between two CPUs, and
# TIME_WAIT would answer the one that comes late.
def _client_first(way):
    with way.connection() as (client, accepted):
        client.close()
        check.equal(accepted.recv(1), b"", "what the daemon reads")
        half = ("ss", "-Htan", "state", "fin-wait-2", "dst", way.address)
        wait.until(lambda: way.net.client.run(*half), "the client's FIN is acknowledged")
        accepted.close()
        way.from_daemon(FIN, "the daemon's FIN")


def _daemon_first(way):
    with way.connection() as (client, accepted):
        accepted.close()
        client.ended()
        wait.until(lambda: way.sockets("fin-wait-2"), "the daemon's FIN is acknowledged")
        client.close()
        way.from_client(FIN, "the client's FIN")


@test
def a_FIN_from_either_side_ends_a_connection_as_with_a_direct_daemon(net):
    compare(net, _client_first)
    compare(net, _daemon_first)


def _client_half(way):
    with way.connection() as (client, accepted):
        client.send("question")
        client.socket.shutdown(socket.SHUT_WR)
        with accepted.makefile("rb") as file:
            check.equal(file.read(), b"question\n", "what the daemon reads")
        for number in range(10):
            accepted.sendall(b"answer %d\n" % number)
            check.equal(client.line(), f"answer {number}", "what the client reads")
        accepted.close()
        client.ended()


def _daemon_half(way):
    with way.connection() as (client, accepted):
        accepted.shutdown(socket.SHUT_WR)
        client.ended()
        half_closed = lambda: way.sockets("fin-wait-2")
        wait.until(half_closed, "the daemon's FIN is acknowledged")
        # Longer than an orphan would last.
        wait.throughout(half_closed, "the daemon's socket", 2.5)
        for number in range(10):
            client.send(f"more {number}")
            check.equal(accepted.recv(99), b"more %d\n" % number, "what the daemon reads")
        client.close()
        check.equal(accepted.recv(1), b"", "the end")
        accepted.close()
        way.from_client(FIN, "the client's FIN")


@test
def a_half_closed_connection_carries_the_other_half_as_with_a_direct_daemon(net):
    compare(net, _client_half)
    with sysctls((net.server, "ipv4/tcp_fin_timeout", 1)):
        compare(net, _daemon_half)


def _reset_by_client(way):
    with way.connection() as (client, accepted):
        client.send("question")
        check.equal(accepted.recv(99), b"question\n", "what the daemon reads")
        client.reset()
        check.raises(ConnectionResetError, accepted.recv, 1)


def _reset_by_daemon(way):
    with way.connection() as (client, accepted):
        client.send("question")
        check.equal(accepted.recv(99), b"question\n", "what the daemon reads")
        accepted.setsockopt(*_LINGER)
        accepted.close()
        check.raises(ConnectionResetError, client.socket.recv, 1)


def _reset_by_unread_data(way):
    with way.connection() as (client, accepted):
        client.send("question")
        check.true(accepted.recv(1), "something is there to read")
        accepted.close()
        check.raises(ConnectionResetError, client.socket.recv, 1)


def _reset_with_data_under_way(way):
    """An abortive close that throws away what was not acknowledged: behind the client's closed window."""
    with way.listen() as listener:
        peer = Peer(way)
        peer.open(_MSS)
        with listener.accept()[0] as accepted:
            accepted.sendall(b"answer")
            peer.answer(2, "the data")
            peer.send(ACK, 1, 7, window=0)
            accepted.sendall(b"behind the window")
            accepted.setsockopt(*_LINGER)
        return peer.answer_with(RST, "the reset").flags


def _reset_before_accept(way):
    with way.listen() as listener:
        with way.net.client, socket.create_connection(ip.split(way.address), wait.DEADLINE) as client:
            wait.until(lambda: way.sockets("established"), "the connection")
            listener.close()
            check.raises(ConnectionResetError, client.recv, 1)


@test
def a_reset_from_either_side_is_that_of_a_direct_connection(net):
    compare(net, _reset_by_client)
    compare(net, _reset_by_daemon)
    compare(net, _reset_by_unread_data)
    compare(net, _reset_before_accept)


@test
def an_abortive_close_with_data_under_way_is_that_of_a_direct_daemon(net):
    check.equal(compare(net, _reset_with_data_under_way, strict=True), RST | ACK, "the daemon's last word")


def _destroyed(way):
    with way.connection() as (client, accepted):
        client.send("question")
        check.equal(accepted.recv(99), b"question\n", "what the daemon reads")
        way.net.server.run("ss", "-K", "-t", "dst", client.address)
        check.raises(ConnectionAbortedError, accepted.recv, 1)
        check.raises(ConnectionResetError, client.socket.recv, 1)


@test
def a_socket_that_is_destroyed_resets_as_a_direct_daemons(net):
    compare(net, _destroyed)


@contextlib.contextmanager
def _silence(namespace):
    """Nothing of TCP leaves the namespace meanwhile."""
    rule = "table inet silence {\n chain out {\n type filter hook output priority 0; meta l4proto tcp drop\n }\n }\n"
    namespace.run("nft", "-f", "-", stdin=rule)
    try:
        yield
    finally:
        namespace.run("nft", "delete", "table", "inet", "silence")


def _daemon_lost(way, forgotten):
    """The daemon's socket is gone, as after a crash, and the client has not heard of it."""
    with way.connection() as (client, accepted):
        client.send("question")
        check.equal(accepted.recv(99), b"question\n", "what the daemon reads")
        with _silence(way.net.server):
            way.net.server.run("ss", "-K", "-t", "dst", client.address)
            check.raises(ConnectionAbortedError, accepted.recv, 1)
            accepted.close()
        if forgotten:
            way.net.control.empty()
        client.send("more")
        check.raises(ConnectionResetError, client.socket.recv, 1)
        way.from_daemon(RST, "the reset")


@test
def a_client_whose_daemon_lost_the_connection_is_reset_as_by_a_direct_one(net):
    compare(net, _daemon_lost, False)
    compare(net, _daemon_lost, True)


def _client_lost(way):
    """The client has lost the connection, and the daemon has not heard of it."""
    with way.connection() as (client, accepted):
        with _silence(way.net.client):
            way.net.client.run("ss", "-K", "-t", "src", client.address)
            check.raises(ConnectionAbortedError, client.socket.recv, 1)
        accepted.sendall(b"answer")
        check.raises(ConnectionResetError, accepted.recv, 1)


@test
def a_daemon_whose_client_lost_the_connection_is_reset_as_a_direct_one(net):
    compare(net, _client_lost)


def _closed_by_daemon(way, listener, options=_MSS):
    """A peer whose daemon has closed; the FIN is there."""
    peer = Peer(way)
    peer.open(options)
    listener.accept()[0].close()
    peer.answer_with(FIN, "the FIN")
    return peer


def _in_time_wait(way):
    with way.listen() as listener:
        for flags, sequence, acknowledgment, payload, answered in (
            (FIN | ACK, 1, 2, b"", True),  # the FIN again
            (PSH | ACK, 2, 2, b"late", True),  # beyond the FIN
            (PSH | ACK, 5000, 2, b"later", True),
            (SYN, 0, 0, b"", True),  # the old SYN again
            (SYN | ACK, 0, 1, b"", True),
            (RST, 2, 0, b"", False),  # ends it
            (SYN, 90000, 0, b"", True),  # a new connection
        ):
            peer = _closed_by_daemon(way, listener)
            peer.send(FIN | ACK, 1, 2)
            peer.answer(3, "the acknowledgment of the FIN")
            wait.until(lambda: str(ip.port_of(peer.source)) in way.sockets("time-wait"), "TIME_WAIT")
            before = len(peer.answers())
            peer.send(flags, sequence, acknowledgment, payload)
            if answered:
                last = peer.answer(before + 1, f"TIME_WAIT's answer to flags {flags:#x}")
                if last.flags & SYN:
                    peer.start = last.sequence
                    peer.send(ACK, 90001, 1)
                    listener.accept()[0].close()
                    peer.answer(before + 2, "the new connection's FIN")
            else:
                peer.send(ACK, 2, 2)
                check.true(peer.answer(before + 1, "a reset").flags & RST, "no reset after TIME_WAIT")


@test
def TIME_WAIT_answers_as_a_direct_daemons(net):
    with sysctls((net.server, "ipv4/tcp_invalid_ratelimit", 0)):
        compare(net, _in_time_wait, strict=True)


def _closing(way):
    """Both sides close at once: the client's FIN comes before it acknowledges the daemon's."""
    with way.listen() as listener:
        peer = _closed_by_daemon(way, listener)
        peer.send(FIN | ACK, 1, 1)
        peer.answer(3, "the acknowledgment of the FIN")
        peer.send(ACK, 2, 2)
        wait.until(lambda: str(ip.port_of(peer.source)) in way.sockets("time-wait"), "TIME_WAIT")


@test
def a_close_of_both_sides_at_once_is_answered_as_by_a_direct_daemon(net):
    compare(net, _closing, strict=True)


def _orphan(way, expires):
    with way.listen() as listener:
        last_words = ((PSH | ACK, b"late"), (FIN | ACK, b""), (FIN | PSH | ACK, b"last"), (RST, b""))
        for flags, payload in last_words[: 2 if expires else None]:
            peer = _closed_by_daemon(way, listener)
            peer.send(ACK, 1, 2)
            port = f":{ip.port_of(peer.source)}"
            if expires:
                wait.until(lambda: port not in way.sockets("all"), "the orphan ends")
            else:
                wait.until(lambda: port in way.sockets("fin-wait-2"), "FIN_WAIT_2")
            peer.send(flags, 1, 2 if flags & ACK else 0, payload)
            if flags & RST:
                peer.send(ACK, 1, 2)
            peer.answer(3, f"the answer to flags {flags:#x}")


@test
def an_orphan_in_FIN_WAIT_2_answers_as_a_direct_daemons(net):
    for timeout in (60, 120):  # kept in a small socket, and in a whole one
        with sysctls((net.server, "ipv4/tcp_fin_timeout", timeout)):
            compare(net, _orphan, False, strict=True)


@test
def a_client_that_speaks_after_FIN_WAIT_2_has_run_out_is_reset_as_by_a_direct_daemon(net):
    with sysctls((net.server, "ipv4/tcp_fin_timeout", 1)):
        compare(net, _orphan, True, strict=True)


def _keep_alive(connection, *, count):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, count)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _probed_in_vain(way):
    with way.listen() as listener:
        peer = Peer(way)
        peer.open(_MSS)
        with listener.accept()[0] as accepted:
            _keep_alive(accepted, count=1)
            check.raises(TimeoutError, accepted.recv, 1)
            peer.answer_with(RST, "the reset at the end")


@test
def keep_alive_probes_of_a_client_that_is_gone_are_those_of_a_direct_daemon(net):
    compare(net, _probed_in_vain, strict=True)


def _probes(way, sender):
    """How often one side repeated the number before its data's, as a probe does."""
    sent = [seen for _, seen in way.raw() if (seen.source == way.address) is (sender == "daemon")]
    starts = {seen.sequence for seen in sent if seen.flags & SYN}
    return sum(seen.sequence in starts and not seen.flags & SYN for seen in sent)


def _kept_alive(way):
    with way.connection() as (client, accepted):
        for probing, sender in ((accepted, "daemon"), (client.socket, "client")):
            _keep_alive(probing, count=1)
            # One that is not answered ends the connection.
            wait.until(lambda: _probes(way, sender) >= 2, f"{way.name}: two probes of the {sender}")
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        client.reset()
        check.raises(ConnectionResetError, accepted.recv, 1)


@test
def keep_alive_probes_are_answered_by_either_side_as_without_the_layer(net):
    compare(net, _kept_alive, strict=True)
