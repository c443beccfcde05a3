# SPDX-License-Identifier: GPL-2.0
"""The same exchange twice, with a daemon on the service's host and with one behind the layer: the client's side must
see the same packets.

What must differ is taken out: ports, initial sequence numbers, the values of timestamps. What hangs on time is, too:
segments that are sent again, and acknowledgments without data but the one that ends a handshake. A `strict` comparison
has all acknowledgments; it is for clients whose segments the test makes one by one, so that each answer has its cause.
"""

import contextlib
import difflib
import itertools
import os
import struct

from . import capture, check, command, daemon, inject, ip, packet, wait
from .client import Client
from .packet import ACK, FIN, PSH, RST, SYN

_FLAGS = ((0x100, "AE"), (0x80, "CWR"), (0x40, "ECE"), (0x20, "URG"), (ACK, "ACK"), (PSH, "PSH"), (RST, "RST"))
_FLAGS += ((SYN, "SYN"), (FIN, "FIN"))
_ports = itertools.count()
_before = set()  # clients of exchanges that are over: their packets may come late, unless their ports begin again


@contextlib.contextmanager
def sysctls(*settings):
    """Sets sysctls for a while: (namespace, path below net/, value) each."""
    before = []
    try:
        for namespace, path, value in settings:
            with namespace, open(f"/proc/sys/net/{path}", encoding="ascii") as file:
                before.append((namespace, path, file.read().strip()))
            namespace.sysctl(f"net/{path}", value)
        yield
    finally:
        for namespace, path, value in reversed(before):
            namespace.sysctl(f"net/{path}", value)


class Way:
    """A way to a daemon: the address that clients connect to, and the one that the daemon listens on."""

    def __init__(self, net, name, address, local, wire):
        self.net, self.name, self.address, self.local, self.wire = net, name, address, local, wire

    def listen(self, *options):
        """A listening socket; each option is the arguments of setsockopt()."""
        listener = daemon.listen(self.local, self.net.server)
        for option in options:
            listener.setsockopt(*option)
        listener.settimeout(wait.DEADLINE)
        return listener

    @contextlib.contextmanager
    def connection(self, *options):
        """A connection: the client and the daemon's socket."""
        with self.listen(*options) as listener:
            client = Client(self.net.client, self.address)
            accepted, _ = listener.accept()
            accepted.settimeout(wait.DEADLINE)
            try:
                yield client, accepted
            finally:
                client.close()
                accepted.close()

    def raw(self):
        """The packets of this way so far."""
        parsed = [(data, packet.parse(data, outgoing)) for data, outgoing in list(self.wire.raw)]
        begun = {seen.source for _, seen in parsed if seen and seen.flags & SYN}
        late = _before - begun
        for data, seen in parsed:
            ends = {seen.source, seen.destination} if seen else set()
            if self.address in ends and not ends & late:
                yield data, seen

    def wait_for(self, condition, what):
        """Waits for a segment of this way that meets the condition, and returns the first."""
        of_this = lambda: (seen for _, seen in self.raw() if condition(seen))
        return wait.until(lambda: next(of_this(), None), f"{self.name}: {what}")

    def from_daemon(self, flags, what):
        """Waits for a segment of the daemon's that has these flags."""
        return self.wait_for(lambda seen: seen.source == self.address and seen.flags & flags == flags, what)

    def from_client(self, flags, what):
        """Waits for a segment of the client's that has these flags."""
        return self.wait_for(lambda seen: seen.source != self.address and seen.flags & flags == flags, what)

    def sockets(self, *states):
        """The server's sockets of this way's connections, as `ss` shows them."""
        wanted = [word for state in states for word in ("state", state)]
        return self.net.server.run("ss", "-Htan", *wanted, "sport", "=", f":{ip.port_of(self.local)}")


class Peer:
    """A client that there is no computer for: the test makes its segments. Numbers count from its SYN's and from the
    daemon's."""

    def __init__(self, way):
        self._way = way
        self.source = ip.endpoint(way.net.near(77), 20000 + (os.getpid() * 64 + next(_ports)) % 40000)
        self._send = inject.Injector(way.net.client)
        self.start = 0  # the daemon's initial sequence number

    def send(self, flags, sequence=0, acknowledgment=0, payload=b"", **more):
        """Sends a segment."""
        acknowledgment = self.start + acknowledgment if flags & ACK else 0
        source, destination = self.source, self._way.address
        self._send.segment(source, destination, flags, 100_000 + sequence, acknowledgment, payload, **more)

    def answers(self):
        """What came back so far."""
        return [seen for _, seen in self._way.raw() if seen.destination == self.source]

    def answer(self, number, what="an answer"):
        """Waits until so many segments came back in all, and returns the last of these."""
        wait.until(lambda: len(self.answers()) >= number, f"{self._way.name}: {what}, number {number}")
        return self.answers()[number - 1]

    def answer_with(self, flags, what):
        """Waits until a segment with these flags came back, however many were sent again, and returns the first."""
        of_these = lambda: (seen for seen in self.answers() if seen.flags & flags == flags)
        return wait.until(lambda: next(of_these(), None), f"{self._way.name}: {what}")

    def open(self, options=b"", payload=b""):
        """Opens a connection."""
        self.send(SYN, options=options)
        self.start = self.answer(1, "a SYN-ACK").sequence
        self.send(ACK, 1, 1)


def neighbour(net):
    """Has the server send to `Peer`'s address, where nobody answers."""
    net.server.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev eth0")


def compare(net, exchange, *options, strict=False):
    """Runs `exchange(way)` with either daemon. What it returns and the packets must be the same; returns the former.

    A `strict` comparison has acknowledgments without data, too. `options` is passed on.
    """
    results = {}
    with capture.Capture(net.client, "eth0") as wire:
        direct = Way(net, "directly", ip.endpoint(net.host, 8080), ip.endpoint(net.host, 8080), wire)
        dispatched = Way(net, "dispatched", net.service, net.processes[0], wire)
        net.control.serve(net.service, net.processes[0])
        try:
            for way in (direct, dispatched):
                for side in (net.client, net.server):  # what TCP remembers of the other way, cookies included
                    with side:
                        command.run("ip", "tcp_metrics", "flush")
                results[way.name] = exchange(way, *options)
            check.equal(results["dispatched"], results["directly"], "the outcome, and that of a direct daemon")
            _same(direct, dispatched, strict)
        finally:
            for way in (direct, dispatched):  # the next test may use the same ports
                net.server.run("ss", "-Kat", "sport", "=", f":{ip.port_of(way.local)}")
                net.client.run("ss", "-Kat", "dport", "=", f":{ip.port_of(way.address)}")
                for _, seen in list(way.raw()):
                    _before.update({seen.source, seen.destination} - {way.address})
            net.control.service_del(net.service)
    check.equal(wire.lost, 0, "packets that the capture missed")
    return results["dispatched"]


def _same(direct, dispatched, strict):
    """The packets of both are the same, once the last has come."""
    both = lambda: (shown(direct, strict), shown(dispatched, strict))
    try:
        wait.until(lambda: both()[0] == both()[1], "the same packets", 3 * wait.SCALE)
    except check.Failed:
        lines = difflib.unified_diff(*both(), "directly", "dispatched", n=99, lineterm="")
        raise check.Failed("the packets differ:\n" + "\n".join(lines)) from None
    check.true(both()[0], "nothing was captured")


def shown(way, strict=False):
    """The packets of a way, a line each, without what must differ or may."""
    starts, numbers, known, lines = {}, {}, set(), []
    for data, seen in way.raw():
        to_daemon = seen.destination == way.address
        client = seen.source if to_daemon else seen.destination
        number = numbers.setdefault(client, len(numbers) + 1)
        if seen.flags & SYN:
            starts[client, to_daemon] = seen.sequence
        start = starts.get((client, to_daemon), 0)
        # A reset that answers what acknowledged nothing counts from zero.
        sequence = 0 if seen.flags & RST and not seen.sequence else seen.sequence - start & 0xFFFFFFFF
        base = starts.get((client, not to_daemon), 0)
        acknowledgment = seen.acknowledgment - base & 0xFFFFFFFF if seen.flags & ACK else 0
        bare = not seen.flags & (SYN | FIN | RST) and not seen.payload
        what = (number, to_daemon, seen.flags & ~PSH, sequence, seen.payload)
        if bare:
            what += (acknowledgment, seen.options if _sack(seen.options) else b"")
        if what in known or (bare and not strict and (sequence, acknowledgment) != (1, 1)):
            continue
        known.add(what)
        line = f"{number} {'>' if to_daemon else '<'} {_header(data, seen)} seq {sequence} ack {acknowledgment}"
        lines.append(f"{line} len {seen.payload} {' '.join(_options(seen.options, base))}".rstrip())
    return lines


def _header(data, seen):
    """What must agree of a packet's headers."""
    if data[0] >> 4 == 4:
        start, traffic_class, ttl = (data[0] & 15) * 4, data[1], data[8]
    else:
        start, traffic_class, ttl = 40, struct.unpack_from("!H", data)[0] >> 4 & 0xFF, data[7]
    flags = struct.unpack_from("!H", data, start + 12)[0] & 0x1FF
    names = ",".join(name for bit, name in _FLAGS if flags & bit)
    # A window grows with what was read so far, but in a SYN.
    window = f" window {struct.unpack_from('!H', data, start + 14)[0]}" if flags & SYN else ""
    return f"{names} tos {traffic_class:#x} ttl {ttl}{' df' if seen.dont_fragment else ''}{window}"


def _split(options):
    """Yields the kind and content of each option."""
    while options and options[0] != 0:
        length = 1 if options[0] == 1 else max(2, options[1])
        yield options[0], options[2:length]
        options = options[length:]


def _sack(options):
    return any(kind == 5 for kind, _ in _split(options))


def _options(options, base):
    """The options by name, in their order, with the values that must agree."""
    for kind, content in _split(options):
        if kind == 1:
            yield "nop"
        elif kind == 5:
            edges = (edge for (edge,) in struct.iter_unpack("!I", content[: len(content) & ~3]))
            yield f"sack {[edge - base & 0xFFFFFFFF for edge in edges]}"
        elif kind == 8:
            yield "ts" + (" echo" if any(content[4:]) else "")
        elif kind == 34:
            yield f"fastopen {len(content)}"
        elif kind == 30:  # its keys are random
            yield f"mptcp {content[:1].hex()} {len(content)}"
        else:
            yield f"{ {2: 'mss', 3: 'wscale', 4: 'sack-permitted'}.get(kind, kind)} {content.hex()}".rstrip()
