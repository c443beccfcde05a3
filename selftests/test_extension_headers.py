# SPDX-License-Identifier: GPL-2.0
"""What is between the headers of IPv6 and TCP: extension headers and fragments.

    client                       server
    2001:db8:1::2 eth0 ───────── eth0 2001:db8:1::1
                                 [2001:db8::1]:80   service
                                 [fd77::1]:80       daemon
    2001:db8:1::4d to ::53       nobody there: the test makes their packets
"""

import contextlib
import re
import socket
import struct

from lib import capture, check, daemon, inject, packet, topology, wait
from lib.client import Client
from lib.ip import IPV6, endpoint, host_of, port_of
from lib.packet import ACK, PSH, RST, SYN
from lib.runner import test

_HOP_BY_HOP, _DESTINATION = packet.options_header(packet.HOP_BY_HOP), packet.options_header(packet.DESTINATION)
# An option that is to be passed over by who doesn't know it.
_UNKNOWN = packet.options_header(packet.DESTINATION, b"\x1e\x14" + bytes(20))
# A fragment that is the whole packet.
_ATOMIC = (packet.FRAGMENT, struct.pack("!BHI", 0, 0, 7))
_HEADERS = {
    "hop-by-hop options": [_HOP_BY_HOP],
    "destination options": [_DESTINATION],
    "options unknown": [_UNKNOWN],
    "both kinds of options": [_HOP_BY_HOP, _DESTINATION, _UNKNOWN],
    "an atomic fragment": [_ATOMIC],
    "options and an atomic fragment": [_HOP_BY_HOP, _DESTINATION, _ATOMIC, _DESTINATION],
}
_TOO_BIG = 2
# With it, segments may be as large as the link allows.
_MSS = b"\x02\x04" + struct.pack("!H", 1440)
# Computers that aren't there.
_ABSENT = range(77, 77 + 1 + len(_HEADERS))


def setup():
    net = topology.pair(IPV6)
    for number in _ABSENT:
        net.server.ip(f"neigh replace {net.near(number)} lladdr 02:00:00:00:00:77 dev eth0")
    daemon.start(net.processes[0], namespace=net.server)
    return net


class _Stranger:
    """A connection of a client that isn't there. Its packets have these extension headers."""

    def __init__(self, net, wire, port, headers=(), number=_ABSENT[0]):
        self._net, self._wire, self._headers = net, wire, headers
        self._inject = inject.Injector(net.client)
        self.source = endpoint(net.near(number), port)
        self._send(packet.tcp(self.source, net.service, SYN, 1000, options=_MSS))
        self._synack = self.answer(SYN | ACK, "a SYN-ACK")

    def _send(self, segment):
        self._inject.send(packet.ipv6(host_of(self.source), self._net.host, segment, headers=self._headers))

    def answer(self, flags, what):
        """The first segment that comes back with these flags."""
        mine = lambda seen: not seen.outgoing and seen.destination == self.source
        seen = self._wire.wait_for(lambda seen: mine(seen) and seen.flags & flags == flags, what)
        check.equal(seen.source, self._net.service, f"the source of {what}")
        return seen

    def question(self):
        """The segment that ends the handshake, and asks who serves."""
        options = b"\x01" * 8  # so that a fragment can have all of TCP's header
        return packet.tcp(
            self.source, self._net.service, PSH | ACK, 1001, self._synack.sequence + 1, b"who\n", options=options
        )

    def ask(self):
        """Asks who serves; nothing acknowledges the answer, which is returned."""
        self._send(self.question())
        return self.answered()

    def answered(self):
        """The daemon's answer, which its entry tells the process of."""
        answer = self.answer(PSH, "the daemon's answer")
        (entry,) = self._net.control.connections(client=self.source)
        check.equal(entry["process-address"], self._net.processes[0], "who serves")
        return answer

    def reset(self):
        """Ends the connection."""
        self._send(packet.tcp(self.source, self._net.service, RST, 1005))


@contextlib.contextmanager
def _wire(net):
    net.control.serve(net.service, net.processes[0])
    with capture.Capture(net.client, "eth0") as wire:
        yield wire
    check.equal([host for host in wire.addresses() if net.is_process_host(host)], [], "process addresses on the wire")


@test
def segments_with_extension_headers_reach_the_process(net):
    with _wire(net) as wire:
        for port, (what, headers) in enumerate(_HEADERS.items(), 40000):
            print(what)  # shown if the test fails
            stranger = _Stranger(net, wire, port, headers)
            stranger.ask()
            stranger.reset()
            sockets = lambda: net.server.run("ss", "-Htan", "src", net.processes[0], "and", "dst", stranger.source)
            wait.until(lambda: not sockets(), "the process's socket ends after a reset with extension headers")
    check.equal(net.control.service(net.service)["stats"]["connections"], len(_HEADERS), "connections of the service")


@test
def a_connection_whose_packets_all_have_options_transfers_each_way(net):
    with _wire(net):
        for options in ((socket.IPV6_HOPOPTS,), (socket.IPV6_DSTOPTS,), (socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS)):
            with Client(net.client, net.service) as client:
                for option in options:
                    client.socket.setsockopt(socket.IPPROTO_IPV6, option, b"\0\0\x01\x04\0\0\0\0")
                check.equal(client.who(), (net.processes[0], client.address), "process and client")
                check.equal(client.download(2_000_000), daemon.digest(1, 2_000_000), "a download's SHA-256")
                check.equal(client.upload(2_000_000), daemon.digest(1, 2_000_000), "an upload's SHA-256")


@test
def a_segment_in_fragments_is_served_in_whatever_order_they_come(net):
    with _wire(net) as wire:
        hosts = (net.near(77), net.host)
        send = inject.Injector(net.client).send
        for port, order in enumerate(((0, 24), (24, 0)), 40100):
            stranger = _Stranger(net, wire, port)
            question = stranger.question()
            check.equal(len(question), 32, "the length of the segment")
            for at in order:
                send(packet.fragment(*hosts, question[at : at + 24], at, at == 0, port))
            stranger.answered()
            stranger.reset()


@test
def a_segment_that_misses_a_fragment_is_not_answered(net):
    with _wire(net) as wire:
        stranger = _Stranger(net, wire, 40150)
        question = stranger.question()
        send = inject.Injector(net.client).send
        send(packet.fragment(net.near(77), net.host, question[:24], 0, True, 1))
        # What comes later is answered, so it was not.
        other = _Stranger(net, wire, 40151)
        other.ask()
        answers = [seen for seen in wire.segments() if seen.destination == stranger.source and seen.payload]
        check.equal([str(seen) for seen in answers], [], "answers")
        send(packet.fragment(net.near(77), net.host, question[24:], 24, False, 1))
        stranger.answered()
        for each in (stranger, other):
            each.reset()


def _path_mtu(net, stranger):
    """The path MTU that the process's socket of the connection knows."""
    shown = net.server.run("ss", "-Htni", "src", net.processes[0], "and", "dst", stranger.source)
    return int(re.search(r"\bpmtu:(\d+)", shown).group(1))


def _too_big(net, answer, mtu, headers):
    """A packet-too-big of the client's computer that quotes an answer of the service's with extension headers."""
    start = struct.pack("!HHI", port_of(answer.source), port_of(answer.destination), answer.sequence)
    quote = packet.ipv6(net.host, host_of(answer.destination), start, headers=headers)
    return packet.icmp(net.client_address, net.host, _TOO_BIG, 0, struct.pack("!I", mtu) + quote)


@test
def an_ICMP_error_that_quotes_extension_headers_reaches_the_socket_of_the_process(net):
    with _wire(net) as wire:
        for number, (what, headers) in enumerate({"none": [], **_HEADERS}.items()):
            print(what)  # shown if the test fails
            # Each at a computer of its own: the path MTU is the same for all connections to one.
            stranger = _Stranger(net, wire, 40200, number=_ABSENT[number])
            answer = stranger.ask()
            check.equal(_path_mtu(net, stranger), 1500, "the path MTU before")
            mtu = 1300 + number
            inject.Injector(net.client).send(_too_big(net, answer, mtu, headers))
            wait.until(lambda: _path_mtu(net, stranger) == mtu, f"the path MTU is {mtu}")
            stranger.reset()
