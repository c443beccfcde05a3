# SPDX-License-Identifier: GPL-2.0
"""Handshakes of all kinds: a client sees the packets that it would see of a daemon without the layer.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    198.51.100.77                192.0.2.1:80      service
    nobody there: the test       10.77.0.1:80      a listening socket of the test itself
    makes its packets            192.0.2.1:8080    another, without the layer
"""

import select
import socket
import time

from lib import capture, check, daemon, ip, topology, wait
from lib.direct import Peer, Way, compare, neighbour, shown, sysctls
from lib.ip import IPV4
from lib.packet import ACK, FIN, PSH, RST, SYN
from lib.runner import test

_MSG_FASTOPEN = 0x20000000
_IPPROTO_MPTCP = 262
# MSS 1460 and window scaling by 7, SACK permitted, a timestamp.
_MSS, _SCALE, _SACK = b"\x02\x04\x05\xb4", b"\x01\x03\x03\x07", b"\x01\x01\x04\x02"
_STAMP = b"\x01\x01\x08\x0a\0\0\0\x2a\0\0\0\0"


def setup(version):
    net = topology.pair(version)
    neighbour(net)
    return net


def _talk(way, *options):
    """A connection with data each way, one after the other, which the client closes."""
    with way.connection(*options) as (client, accepted):
        _say(way, client, accepted)


def _say(way, client, accepted):
    client.send("question")
    check.equal(accepted.recv(99), b"question\n", "what the daemon gets")
    accepted.sendall(b"answer\n")
    check.equal(client.line(), "answer", "what the client gets")
    client.close()
    check.equal(accepted.recv(1), b"", "what the daemon reads then")
    accepted.close()
    way.from_daemon(FIN, "the daemon's FIN")


def _both(net, setting, values, exchange=_talk):
    """Compares with a setting of the client's and the server's at each pair of values."""
    for client in values:
        for server in values:
            name = f"ipv4/{setting}"
            with sysctls((net.client, name, client), (net.server, name, server)):
                compare(net, exchange)


@test
def window_scaling_is_offered_and_taken_as_by_a_direct_daemon(net):
    _both(net, "tcp_window_scaling", (0, 1))


@test
def timestamps_are_offered_and_taken_as_by_a_direct_daemon(net):
    _both(net, "tcp_timestamps", (0, 1))


@test
def SACK_is_offered_and_taken_as_by_a_direct_daemon(net):
    _both(net, "tcp_sack", (0, 1))


@test
def ECN_is_offered_and_taken_as_by_a_direct_daemon(net):
    _both(net, "tcp_ecn", (0, 1, 2))


@test
def AccECN_is_offered_and_taken_as_by_a_direct_daemon(net):
    with net.server, open("/proc/sys/net/ipv4/tcp_ecn", "r+", encoding="ascii") as file:
        default = file.read()
        try:
            file.write("3")
        except OSError:
            raise check.Skip("this kernel has no AccECN") from None
        file.seek(0)
        file.write(default)
    _both(net, "tcp_ecn", (1, 3, 5))


def _marks(net):
    """What routers mark as congestion: data of either side."""
    name = net.version.table
    # Of IPv6, Linux 7.3 lets nftables write the field only with what is before it: version 6, traffic class 3.
    mark = "ip ecn set ce" if net.version is IPV4 else "@nh,0,16 set 0x6030"
    chain = f"type filter hook postrouting priority 0; tcp flags psh {mark}"
    return f"table {name} congestion {{\n chain leaving {{\n {chain}\n }}\n }}\n"


@test
def marks_of_congestion_are_answered_as_by_a_direct_daemon(net):
    for mode in (1, 3):
        # What is sent again by mistake would be marked and counted, too.
        settings = (("ipv4/tcp_ecn", mode), ("ipv4/tcp_rto_min_us", 10_000_000))
        with sysctls(*((side, *setting) for side in (net.client, net.server) for setting in settings)):
            for side in (net.client, net.server):
                side.run("nft", "-f", "-", stdin=_marks(net))
            try:
                compare(net, _rounds)
            finally:
                for side in (net.client, net.server):
                    side.run("nft", "delete", "table", net.version.table, "congestion")


def _rounds(way):
    """Data each way, several times."""
    with way.connection() as (client, accepted):
        for _ in range(4):
            client.send("question")
            check.equal(accepted.recv(99), b"question\n", "what the daemon gets")
            accepted.sendall(b"answer\n")
            check.equal(client.line(), "answer", "what the client gets")
        _say(way, client, accepted)
    wait.until(lambda: any(" tos 0x3 " in line for line in shown(way)), "a marked packet")


@test
def a_handshake_by_cookie_shows_the_packets_of_a_direct_daemons(net):
    with sysctls((net.server, "ipv4/tcp_syncookies", 2)):
        for setting in ("tcp_timestamps", "tcp_window_scaling", "tcp_sack"):
            for value in (0, 1):
                with sysctls((net.client, f"ipv4/{setting}", value)):
                    compare(net, _talk)


def _talk_later(way):
    """As `_talk`, but the data has a newer timestamp than the handshake's end.

    By a cookie, the data's AccECN option is the first that TCP looks at, and it passes over packets without
    progress: whether the answer has the option would be up to chance.
    """
    with way.connection() as (client, accepted):
        time.sleep(0.05)
        _say(way, client, accepted)


@test
def congestion_notification_by_cookie_is_that_of_a_direct_daemon(net):
    with sysctls((net.server, "ipv4/tcp_syncookies", 2)):
        _both(net, "tcp_ecn", (1, 3), _talk_later)


def _fast_open(way):
    """Asks for a cookie, then sends data with a SYN that has it. Whether data was there before the handshake's end."""
    with way.listen((socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)) as listener:
        early = []
        for _ in range(2):
            with way.net.client, socket.socket(way.net.version.family) as client:
                client.sendto(b"question\n", _MSG_FASTOPEN, ip.split(way.address))
                client.settimeout(wait.DEADLINE)  # earlier, it would not wait for a handshake without a cookie
                accepted, _ = listener.accept()
                accepted.settimeout(wait.DEADLINE)
                check.equal(accepted.recv(99), b"question\n", "what the daemon gets")
                accepted.sendall(b"answer\n")
                check.equal(client.recv(99), b"answer\n", "what the client gets")
                source = daemon.name(client.getsockname())
                syn = way.wait_for(lambda seen: seen.source == source and seen.flags & SYN, "the SYN")
                client.close()
                check.equal(accepted.recv(1), b"", "what the daemon reads then")
                accepted.close()
                early.append(syn.payload)
        return early


@test
def fast_open_gives_a_cookie_and_takes_data_with_a_SYN(net):
    with sysctls(*((side, "ipv4/tcp_fastopen", 3) for side in (net.client, net.server))):
        early = compare(net, _fast_open)
    check.equal(early, [0, 9], "bytes of data with the first SYN and with the second")


@test
def fast_open_without_a_cookie_takes_data_with_the_first_SYN(net):
    modes = ((net.client, "ipv4/tcp_fastopen", 0x5), (net.server, "ipv4/tcp_fastopen", 0x202))
    with sysctls(*modes):
        check.equal(compare(net, _fast_open), [9, 9], "bytes of data with the SYNs")


@test
def a_client_whose_cookie_is_of_another_process_is_served_once(net):
    fast = (socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    with sysctls(*((side, "ipv4/tcp_fastopen", 3) for side in (net.client, net.server))):
        net.client.ip("tcp_metrics flush")
        listeners = [daemon.listen(process, net.server) for process in net.processes[:2]]
        for each in listeners:
            each.setsockopt(*fast)
        net.control.serve(net.service, *net.processes[:2])
        for number in range(6):
            with net.client, socket.socket(net.version.family) as client:
                client.sendto(b"question\n", _MSG_FASTOPEN, ip.split(net.service))
                ready, _, _ = select.select(listeners, [], [], wait.DEADLINE)
                check.equal(ready, [listeners[number % 2]], "the process that has the connection, in turn")
                with ready[0].accept()[0] as accepted:
                    client.shutdown(socket.SHUT_WR)
                    with accepted.makefile("rb") as file:
                        check.equal(file.read(), b"question\n", "what the process gets in all")


def _deferred(way):
    """A daemon that is not to be woken by a client that says nothing."""
    with way.listen((socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 20)) as listener:
        peer = Peer(way)
        peer.open(_MSS)
        Peer(way).open(_MSS)  # once this is answered, what came before it was handled
        # The bare acknowledgment was ignored: there is still no socket but the handshake's.
        waiting = bool(way.sockets("syn-recv")) and not select.select([listener], [], [], 0)[0]
        peer.send(PSH | ACK, 1, 1, b"question")
        accepted, client = listener.accept()
        check.equal((daemon.name(client), accepted.recv(99)), (peer.source, b"question"), "who says what")
        peer.answer(2, "the acknowledgment")
        peer.send(RST, 9)
        check.raises(ConnectionResetError, accepted.recv, 1)
        accepted.close()
        return waiting


@test
def a_deferred_accept_waits_for_data(net):
    check.true(compare(net, _deferred, strict=True), "the daemon was woken before there was data")


def _repeated_SYN(way):
    with way.listen() as listener:
        peer = Peer(way)
        for number in (1, 2, 3):
            peer.send(SYN, options=_MSS + _SACK + _SCALE)
            if number < 3:  # the third may be one too many within half a second
                peer.answer(number, "a SYN-ACK")
        peer.open(_MSS + _SACK + _SCALE)
        peer.send(PSH | ACK, 1, 1, b"question")
        with listener.accept()[0] as accepted:
            check.equal(accepted.recv(99), b"question", "what the daemon gets")
            # The SYN once more, as if it had been late.
            before = len(peer.answers())
            peer.send(SYN, options=_MSS + _SACK + _SCALE)
            peer.answer(before + 1, "an answer to a SYN in a connection")
            peer.send(RST, 9)
            check.raises(ConnectionResetError, accepted.recv, 1)
        listener.setblocking(False)
        check.raises(BlockingIOError, listener.accept)


@test
def a_SYN_that_comes_again_is_answered_as_by_a_direct_daemon(net):
    compare(net, _repeated_SYN, strict=True)


def _simultaneous(way):
    """As of a client that opens at the same time: its SYN, answered, and then a SYN-ACK instead of an ACK."""
    with way.listen() as listener:
        peer = Peer(way)
        peer.send(SYN, options=_MSS)
        peer.start = peer.answer(1, "a SYN-ACK").sequence
        peer.send(SYN | ACK, 0, 1, options=_MSS)
        peer.send(PSH | ACK, 1, 1, b"question")
        with listener.accept()[0] as accepted:
            check.equal(accepted.recv(99), b"question", "what the daemon gets")
            peer.answer(2, "the acknowledgment")
            peer.send(RST, 9)
            check.raises(ConnectionResetError, accepted.recv, 1)


@test
def a_SYN_ACK_from_a_client_that_opens_at_the_same_time_is_taken_as_by_a_direct_daemon(net):
    compare(net, _simultaneous, strict=True)


def _odd(way):
    """SYNs with more or less in them than clients send, and what is no SYN; each by a client of its own."""
    with way.listen() as listener:
        for flags, payload, options in (
            (SYN, b"question", _MSS),  # data without fast open: it is to come again
            (SYN | PSH, b"", _MSS),
            (SYN | 0xC0, b"", _MSS),  # asks for ECN
            (SYN, b"", b""),
            (SYN, b"", _STAMP),
            (SYN, b"", _SCALE + _SACK + _STAMP + _MSS),
            (SYN, b"", b"\x03\x03\x0f\x01"),  # scaling beyond 14
            (SYN, b"", b"\x02\x04\0\0"),  # MSS 0
            (SYN, b"", b"\xfd\x08\0\0\0\0\0\0"),  # an experiment
            (SYN, b"", b"\x05\xff\0\0"),  # an option that is longer than the header
            (SYN | ACK, b"", _MSS),
            (ACK, b"", b""),
            (PSH | ACK, b"question", b""),
            (FIN | ACK, b"", b""),
        ):
            peer = Peer(way)
            peer.send(flags, payload=payload, options=options)
            answer = peer.answer(1, f"the answer to flags {flags:#x} with options {options.hex()}")
            if answer.flags & SYN:
                peer.send(RST, 1)
        listener.setblocking(False)
        check.raises(BlockingIOError, listener.accept)


@test
def odd_SYNs_and_strays_are_answered_as_by_a_direct_daemon(net):
    compare(net, _odd, strict=True)


def _ignored(way):
    with way.listen():
        bare = (RST, SYN | RST, SYN | FIN, FIN, 0)
        for flags, payload in (*((each, b"") for each in bare), (PSH, b"question")):
            Peer(way).send(flags, payload=payload)
        peer = Peer(way)  # once this is answered, what came before it was handled
        peer.send(ACK)
        peer.answer(1)


@test
def what_a_listener_ignores_is_ignored_as_by_a_direct_daemon(net):
    compare(net, _ignored, strict=True)


def _wrong_ends(way):
    """Handshakes that end otherwise than by the right acknowledgment."""
    with way.listen() as listener:
        for flags, sequence, acknowledgment, payload in (
            (ACK, 1, 99, b""),  # of what was never sent
            (RST, 1, 0, b""),
            (RST | ACK, 1, 1, b""),
            (FIN | ACK, 1, 1, b""),  # a connection that ends with its handshake
            (PSH | ACK, 1, 1, b"question"),
            (SYN, 5000, 0, b""),  # another SYN
        ):
            peer = Peer(way)
            peer.send(SYN, options=_MSS)
            peer.start = peer.answer(1, "a SYN-ACK").sequence
            peer.send(flags, sequence, acknowledgment, payload)
            if not flags & RST:
                peer.answer(2, f"the answer to flags {flags:#x}")
        got = []
        for _ in range(2):
            with listener.accept()[0] as accepted:
                got.append(accepted.recv(99))
        return got


@test
def handshakes_that_end_otherwise_are_answered_as_by_a_direct_daemon(net):
    check.equal(compare(net, _wrong_ends, strict=True), [b"", b"question"], "what the connections brought")


@test
def a_client_of_MPTCP_falls_back_to_TCP(net):
    for side in (net.client, net.server):
        try:
            with side, socket.socket(net.version.family, socket.SOCK_STREAM, _IPPROTO_MPTCP):
                pass
        except OSError:
            raise check.Skip("this kernel has no MPTCP") from None
    compare(net, _mptcp)


def _mptcp(way):
    with way.listen() as listener:
        with way.net.client, socket.socket(way.net.version.family, socket.SOCK_STREAM, _IPPROTO_MPTCP) as client:
            client.settimeout(wait.DEADLINE)
            client.connect(ip.split(way.address))
            with listener.accept()[0] as accepted:
                client.sendall(b"question")
                check.equal(accepted.recv(99), b"question", "what the daemon gets")
                accepted.sendall(b"answer")
                check.equal(client.recv(99), b"answer", "what the client gets")
                client.close()
                check.equal(accepted.recv(1), b"", "what the daemon reads then")
        way.from_daemon(FIN, "the daemon's FIN")
    check.true(any("mptcp" in line for line in shown(way)), "the client does not ask for MPTCP:\n" + shown(way)[0])


@test
def a_daemon_of_MPTCP_is_served_with_MPTCP(net):
    """Nothing of MPTCP's depends on the address that the first subflow is bound to."""
    with net.server:
        try:
            listener = socket.socket(net.version.family, socket.SOCK_STREAM, _IPPROTO_MPTCP)
        except OSError:
            raise check.Skip("this kernel has no MPTCP") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(ip.split(net.processes[0]))
    listener.listen()
    net.control.serve(net.service, net.processes[0])
    with capture.Capture(net.client, "eth0") as wire, net.client:
        with socket.socket(net.version.family, socket.SOCK_STREAM, _IPPROTO_MPTCP) as client:
            client.settimeout(wait.DEADLINE)
            client.connect(ip.split(net.service))
            with listener.accept()[0] as accepted:
                for _ in range(10):
                    client.sendall(b"question")
                    check.equal(accepted.recv(99), b"question", "what the daemon gets")
                    accepted.sendall(b"answer")
                    check.equal(client.recv(99), b"answer", "what the client gets")
        lines = shown(Way(net, "dispatched", net.service, net.processes[0], wire))
    check.true(all("mptcp" in line for line in lines[:5]), "not of MPTCP:\n" + "\n".join(lines[:5]))
    check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")
