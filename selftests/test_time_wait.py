# SPDX-License-Identifier: GPL-2.0
"""SYNs that meet the TIME_WAIT of their addresses' last connection, by segments of the test's own.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 192.0.2.1:8080    without dispatch
                                 10.77.0.1..2:80   listening sockets of the test itself
"""

import contextlib
import itertools
import struct

from lib import capture, check, daemon, inject, packet, topology, wait
from lib.ip import endpoint
from lib.packet import ACK, FIN, SYN
from lib.runner import test

_START = 1_000_000  # the first sequence number of each connection
_CLOCK = 50_000  # the client's time stamp when it begins
_ports = itertools.count(54000)


def setup(version):
    net = topology.pair(version)
    # Nobody is there, so nobody but the test speaks for it.
    net.server.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev eth0")
    # Every segment out of the window is answered, however many there are.
    net.server.sysctl("net/ipv4/tcp_invalid_ratelimit", 0)
    return net


def _direct(net):
    return endpoint(net.host, 8080)


class _Past:
    """A connection that the server closed first, and that is in TIME_WAIT there."""

    def __init__(self, net, wire, address, listeners, stamps):
        self.source = endpoint(net.near(77), next(_ports))
        self._net, self._wire, self._address, self._stamps = net, wire, address, stamps
        self._send = inject.Injector(net.client)
        self.segment(SYN, _START, 0, _CLOCK)
        synack = self.answer(lambda seen: seen.flags == SYN | ACK)
        self.segment(ACK, _START + 1, synack.sequence + 1, _CLOCK)
        self.process = _accepting(listeners)
        fin = self.answer(lambda seen: seen.flags & FIN)
        self.segment(FIN | ACK, _START + 1, fin.sequence + 1, _CLOCK)
        self.sent, self.got = fin.sequence + 1, _START + 2  # what both sides expect next
        self.answer(lambda seen: seen.acknowledgment == self.got)
        wait.until(self.waits, "the server's socket gets to TIME_WAIT")

    def waits(self):
        """Whether the server has the connection in TIME_WAIT."""
        state = ("-Htan", "state", "time-wait", "dst", self.source)
        return bool(self._net.server.run("ss", *state))

    def segment(self, flags, sequence, acknowledgment, clock):
        """Sends a segment of the client's."""
        options = struct.pack("!BBBBII", 1, 1, 8, 10, clock, 0) if self._stamps else b""
        self.seen = len(self._wire.raw)
        self._send.segment(self.source, self._address, flags, sequence, acknowledgment, options=options)

    def answer(self, condition=lambda seen: True):
        """The first segment of the server's to what was sent last that meets the condition."""

        def find():
            later = (packet.parse(data) for data, _ in self._wire.raw[self.seen :])
            return next((seen for seen in later if seen and seen.destination == self.source and condition(seen)), None)

        return wait.until(find, f"an answer of {self._address} to {self.source}")

    def told(self):
        """What the server answers to what was sent last: all of it that must be as without dispatch."""
        seen = self.answer()
        check.equal(seen.source, self._address, "who answers")
        # What a new connection begins at is by chance.
        sequence = "new" if seen.flags & SYN else seen.sequence - self.sent
        return seen.flags, sequence, seen.acknowledgment - self.got


def _accepting(listeners):
    """Accepts a connection at one of several listeners, closes it, and says which process it was."""

    def accept():
        for name, listener in listeners.items():
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                return name
        return None

    return wait.until(accept, "a process gets the connection")


@contextlib.contextmanager
def _past(net, address, number=2, stamps=False):
    """A connection in TIME_WAIT at an address; so many processes listen if it is the service's."""
    processes = net.processes[:number] if address == net.service else [address]
    with contextlib.ExitStack() as stack:
        listeners = {each: stack.enter_context(daemon.listen(each, net.server)) for each in processes}
        for listener in listeners.values():
            listener.setblocking(False)
        if address == net.service:
            net.control.serve(net.service, *processes)
            stack.callback(net.control.service_del, net.service)
        wire = stack.enter_context(capture.Capture(net.client, "eth0"))
        past = _Past(net, wire, address, listeners, stamps)
        stack.callback(net.server.run, "ss", "-Kt", "state", "all", "dst", past.source)  # the next test uses the port again
        yield past


# What is sent: with time stamps or without; the sequence number, counted from what the server expects next, and the
# time stamp, counted from the last one.
_SYNS = {
    "the first SYN again": (False, -2, 0),
    "a SYN from behind": (False, -100_000, 0),
    "a SYN from ahead": (False, 100_000, 0),
    "the first SYN again, with its time stamp": (True, -2, 0),
    "a SYN from behind with a later time stamp": (True, -100_000, 1000),
    "a SYN from ahead with an earlier time stamp": (True, 100_000, -1000),
}
_AGAIN = (ACK, 0, 0)  # where the connection stood


def _answers(net, address, number):
    """What is answered to each of the SYNs."""
    answers = {}
    for name, (stamps, ahead, later) in _SYNS.items():
        with _past(net, address, number, stamps) as past:
            past.segment(SYN, past.got + ahead, 0, _CLOCK + later)
            answers[name] = past.told()
    return answers


def _without_dispatch(net):
    """What a daemon without dispatch answers."""
    answers = _answers(net, _direct(net), 1)
    new = lambda ahead: (SYN | ACK, "new", ahead + 1)
    want = {
        name: new(ahead) if name in ("a SYN from ahead", "a SYN from behind with a later time stamp") else _AGAIN
        for name, (_, ahead, _) in _SYNS.items()
    }
    check.equal(answers, want, "the answers without dispatch")
    return answers


@test
def a_SYN_that_meets_a_TIME_WAIT_is_answered_as_without_dispatch(net):
    check.equal(_answers(net, net.service, 1), _without_dispatch(net), "the answers of a service of one process")


@test
def a_SYN_that_meets_a_TIME_WAIT_is_answered_as_without_dispatch_if_others_listen(net):
    check.equal(_answers(net, net.service, 2), _without_dispatch(net), "the answers of a service of two processes")


@test
def an_old_SYN_leaves_the_TIME_WAIT_that_it_met_to_answer_the_clients_FIN(net):
    for address in (_direct(net), net.service):
        with _past(net, address) as past:
            past.segment(SYN, _START, 0, _CLOCK)
            past.answer()
            past.segment(FIN | ACK, past.got - 1, past.sent, _CLOCK)
            check.equal(past.told(), _AGAIN, f"what {address} answers to the client's FIN, sent again")


@test
def an_old_SYN_that_meets_a_TIME_WAIT_is_no_connection_of_its_service(net):
    for number in (1, 2):
        with _past(net, net.service, number) as past:
            past.segment(SYN, _START, 0, _CLOCK)
            past.answer()
            check.equal(
                net.control.service(net.service)["stats"]["connections"], 1, f"connections, of {number} processes"
            )


@test
def a_damaged_SYN_leaves_the_TIME_WAIT_that_it_met_to_answer_the_clients_FIN(net):
    for address in (_direct(net), net.service):
        with _past(net, address) as past:
            damaged = bytearray(packet.segment(past.source, address, SYN, past.got + 1000, 0))
            damaged[-4] ^= 1  # of the checksum
            inject.Injector(net.client).send(bytes(damaged))
            past.segment(FIN | ACK, past.got - 1, past.sent, _CLOCK)
            check.equal(past.told(), _AGAIN, f"what {address} answers to the client's FIN, sent again")
