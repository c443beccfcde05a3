# SPDX-License-Identifier: GPL-2.0
"""Packets that no well-behaved client sends.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80     service
                                 10.77.0.1:80     daemon
    this test ────────────────── tun0 198.18.0.1/15

What is written to the TUN device reaches the server's IP layer byte for byte.
"""

import os
import random
import struct

from lib import check, daemon, packet, topology, tun, wait
from lib.client import Client, who
from lib.ip import IPV4, IPV6, endpoint, host_of, port_of
from lib.packet import ACK, FIN, PSH, RST, SYN
from lib.runner import test

_SEED = int(os.environ.get("SELFTEST_SEED", 1))
_LIMIT = 20_000


def setup(version):
    net = topology.pair(version)
    daemon.start(net.processes[0], namespace=net.server)
    net.control.limit(_LIMIT)
    # IP itself stops as little as it can be told to.
    for name in ("all", "default", "eth0") if version is IPV4 else ():
        net.server.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        net.server.sysctl(f"net/ipv4/conf/{name}/accept_local", 1)
    return net


class _Attack:
    """Sends to a service that has an open connection, and checks afterwards that all is as before."""

    def __init__(self, net):
        self._net = net
        self.chance = random.Random(_SEED)
        print(f"seed {_SEED}")  # shown if the test fails
        # Each test is a process: none meets the half-open connections of the one before.
        self._port = 1024 + os.getpid() * 2000 % 60_000

    def __enter__(self):
        net = self._net
        net.control.serve(net.service, net.processes[0])
        self._tun = tun.Tun(net.server, "tun0", net.wild(1), net.wild_length)
        self.open = Client(net.client, net.service)
        self.open.who()
        return self

    def source(self):
        """An address and port of the attacker that was not used yet."""
        self._port = self._port % 65535 + 1
        return endpoint(self._net.wild(2), self._port)

    def send(self, data):
        """Sends, and looks now and then at the size of the table."""
        self._tun.send(data)
        if self.chance.random() < 0.01:
            self._tun.drain()
            self._bounded()

    def _bounded(self):
        held = self._net.control.net()["connections"]
        check.true(held <= _LIMIT, f"{held} connections in a table for {_LIMIT}")

    def __exit__(self, kind, *_):
        came = self._tun.drain()
        self._tun.close()
        if kind:
            return
        self._bounded()
        net = self._net
        for data in came:
            check.true(
                not any(map(net.is_process_host, packet.ends(data))),
                f"a process address left the server: {data[:60].hex()}",
            )
        check.equal(self.open.who(), (net.processes[0], self.open.address), "the open connection")
        check.equal(self.open.download(100_000), daemon.digest(1, 100_000), "a download of the open connection")
        self.open.reset()
        for namespace in (net.client, net.server):
            check.equal(who(namespace, net.service)[0], net.processes[0], "who serves afterwards")


@test
def a_packet_truncated_at_any_byte_does_no_harm(net):
    with _Attack(net) as attack:
        options = b"\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02\x08\x0a" + bytes(8)
        for destination in (net.service, net.processes[0], endpoint(net.host, 81)):
            for flags, more in ((SYN, {"options": options}), (PSH | ACK, {"payload": b"data"})):
                source = attack.source()
                segment = packet.tcp(source, destination, flags, 1000, 2000, **more)
                hosts = (net.wild(2), host_of(destination))
                whole = packet.ip(*hosts, segment)
                for length in range(len(whole) + 1):
                    attack.send(whole[:length])  # the IP header claims more
                for length in range(len(segment) + 1):
                    attack.send(packet.ip(*hosts, segment[:length]))  # the IP header is right
                    attack.send(
                        packet.ip(*hosts, segment, length=net.version.header + length)
                    )  # bytes behind the packet
                    attack.send(packet.ip(*hosts, segment[:length], length=length))


@test
def any_data_offset_and_any_checksum_do_no_harm(net):
    with _Attack(net) as attack:
        for destination in (net.service, net.processes[0]):
            for offset in range(16):
                for flags in (SYN, ACK, PSH | ACK):
                    for payload in (b"", bytes(4), bytes(40)):
                        source = attack.source()
                        attack.send(packet.segment(source, destination, flags, 1, 1, payload, offset=offset))
            for _ in range(50):
                good = bytearray(packet.segment(attack.source(), destination, SYN, 1))
                # IPv6 has no checksum of its own: there it is the length.
                places = (10, 11, 36, 37) if net.version is IPV4 else (4, 5, 56, 57)
                good[attack.chance.choice(places)] ^= 1 << attack.chance.randrange(8)
                attack.send(bytes(good))


@test
def a_segment_with_a_bad_checksum_is_not_served(net):
    with _Attack(net) as attack:
        port = attack.source()
        bad = bytearray(packet.segment(port, net.service, SYN, 1))
        bad[net.version.header + 16] ^= 0x55
        attack.send(bytes(bad))
        check.equal([seen for seen in _answers(attack) if seen.destination == port], [], "answers")
        good = attack.source()
        attack.send(packet.segment(good, net.service, SYN, 1))
        seen = wait.until(lambda: [seen for seen in _answers(attack) if seen.destination == good], "an answer")
        check.equal((seen[0].source, seen[0].flags & SYN), (net.service, SYN), "the answer to the same with a good one")


def _answers(attack):
    return [seen for seen in (packet.parse(data) for data in attack._tun.drain()) if seen]


@test
def any_combination_of_flags_does_no_harm(net):
    with _Attack(net) as attack:
        for destination in (net.service, net.processes[0], endpoint(net.host, 81)):
            known = attack.source()
            attack.send(packet.segment(known, destination, SYN, 1))
            for flags in range(256):
                attack.send(packet.segment(attack.source(), destination, flags, 1, 1))
                attack.send(packet.segment(known, destination, flags, attack.chance.getrandbits(32), 1, b"x"))


@test
def options_that_lie_about_their_length_do_no_harm(net):
    with _Attack(net) as attack:
        for kind in (0, 1, 2, 3, 4, 5, 8, 14, 19, 28, 29, 30, 34, 254, 255):
            for length in (0, 1, 2, 3, 4, 10, 40, 255):
                for filler in (b"\x01", b"\x02", b"\xff"):
                    options = (bytes((kind, length)) + filler * 40)[: 4 * attack.chance.randrange(1, 11)]
                    flags = attack.chance.choice((SYN, SYN | ACK, ACK))
                    attack.send(packet.segment(attack.source(), net.service, flags, 1, 1, options=options))
        for _ in range(500):
            options = attack.chance.randbytes(4 * attack.chance.randrange(11))
            attack.send(packet.segment(attack.source(), net.service, SYN, 1, options=options))


@test(only=IPV4)
def IP_options_do_no_harm(net):
    with _Attack(net) as attack:
        for kind in (0, 1, 7, 68, 131, 137, 148, 255):
            for length in (0, 1, 2, 3, 4, 7, 11, 39, 40, 255):
                options = (bytes((kind, length, 4)) + bytes(40))[: 4 * attack.chance.randrange(1, 11)]
                for destination in (net.service, net.processes[0]):
                    source = attack.source()
                    segment = packet.tcp(source, destination, SYN, 1)
                    attack.send(packet.ipv4(net.wild(2), host_of(destination), segment, options=options))
        for words in range(16):
            broken = bytearray(packet.segment(attack.source(), net.service, SYN, 1, payload=bytes(60)))
            broken[0] = 0x40 | words
            broken[10:12] = b"\0\0"
            broken[10:12] = struct.pack("!H", packet.checksum(bytes(broken[: words * 4])))
            attack.send(bytes(broken))


_EXTENSIONS = (packet.HOP_BY_HOP, packet.ROUTING, packet.FRAGMENT, 51, 59, packet.DESTINATION, 135, 139, 140, 253)


@test(only=IPV6)
def extension_headers_do_no_harm(net):
    with _Attack(net) as attack:
        for destination in (net.service, net.processes[0]):
            hosts = (net.wild(2), host_of(destination))
            for kind in _EXTENSIONS:
                for length in (0, 1, 2, 3, 7, 40, 255):  # what it claims, in words of 8 bytes
                    for size in (7, 15, 31):
                        content = bytes((length,)) + attack.chance.randbytes(size - 1)
                        segment = packet.tcp(attack.source(), destination, SYN, 1)
                        whole = packet.ipv6(*hosts, segment, headers=[(kind, content)])
                        attack.send(whole)
                        attack.send(whole[: attack.chance.randrange(40, len(whole))])
            for number in (2, 9, 30, 180):  # many, in a row
                for kind in (packet.DESTINATION, packet.ROUTING):
                    segment = packet.tcp(attack.source(), destination, SYN, 1)
                    headers = [packet.options_header(packet.HOP_BY_HOP)]
                    headers += [packet.options_header(kind)] * number
                    attack.send(packet.ipv6(*hosts, segment, headers=headers))
            for option in range(256):  # each kind of option, some of which are to be answered
                content = bytes((option, 4)) + attack.chance.randbytes(4)
                for kind in (packet.HOP_BY_HOP, packet.DESTINATION):
                    segment = packet.tcp(attack.source(), destination, SYN, 1)
                    attack.send(packet.ipv6(*hosts, segment, headers=[packet.options_header(kind, content)]))


@test
def fragments_tiny_overlapping_or_incomplete_do_no_harm(net):
    with _Attack(net) as attack:
        for identifier in range(1, 200):
            destination = attack.chance.choice((net.service, net.processes[0]))
            hosts = (net.wild(2), host_of(destination))
            segment = packet.tcp(attack.source(), destination, SYN, 1, payload=bytes(64))
            pieces, at = [], 0
            while at < len(segment):
                size = 8 * attack.chance.choice((1, 1, 2, 3))
                more = at + size < len(segment)
                pieces.append(packet.fragment(*hosts, segment[at : at + size], at, more, identifier))
                at += size
            way = identifier % 4
            if way == 1:
                attack.chance.shuffle(pieces)
            elif way == 2:
                pieces.pop(attack.chance.randrange(len(pieces)))
            elif way == 3:
                overlap = packet.fragment(*hosts, b"\xff" * 24, 8, True, identifier)
                pieces.insert(attack.chance.randrange(len(pieces)), overlap)
            for piece in pieces:
                attack.send(piece)


@test
def a_segment_in_tiny_fragments_is_served_as_a_whole(net):
    with _Attack(net) as attack:
        source = attack.source()
        segment = packet.tcp(source, net.service, SYN, 1, options=b"\x01" * 8)
        # IPv6 wants the whole header of TCP in the first.
        size = 8 if net.version is IPV4 else 24
        for at in reversed(range(0, len(segment), size)):
            more = at + size < len(segment)
            # Not an identifier of the test before, whose fragments may still be waited for.
            attack.send(packet.fragment(net.wild(2), net.host, segment[at : at + size], at, more, 1000))
        seen = wait.until(lambda: [each for each in _answers(attack) if each.destination == source], "the answer")
        check.equal((seen[0].source, seen[0].flags), (net.service, SYN | ACK), "the answer")


_IMPOSSIBLE = {
    IPV4: "10.77.255.255 127.0.0.1 0.0.0.0 255.255.255.255 224.0.0.1 198.19.255.255 240.0.0.1".split(),
    IPV6: "fd77::ffff:ffff:ffff:ffff ::1 :: ff02::1 ff0e::1 fe80::1 ::ffff:192.0.2.1 ::192.0.2.1 64:ff9b::c000:201".split(),
}


@test
def ports_and_addresses_that_cannot_be_do_no_harm(net):
    with _Attack(net) as attack:
        hosts = [
            net.wild(2),
            net.host,
            net.process_host(1),
            net.wild(1),
            net.near(1),
            net.near(2),
            *_IMPOSSIBLE[net.version],
        ]
        ports = (0, 80, 65535, port_of(attack.open.address))
        for source in hosts:
            for destination in hosts:
                for _ in range(4):
                    pair = (
                        endpoint(source, attack.chance.choice(ports)),
                        endpoint(destination, attack.chance.choice(ports)),
                    )
                    flags = attack.chance.choice((SYN, ACK, RST, FIN | ACK, SYN | ACK))
                    if attack.open.address in pair and net.wild(2) not in (source, destination) and flags == RST:
                        continue  # a reset that hits the window is TCP's own business
                    attack.send(packet.segment(*pair, flags, attack.chance.getrandbits(32), 1))


@test
def random_bytes_behind_an_IP_header_do_no_harm(net):
    with _Attack(net) as attack:
        for _ in range(1500):
            protocol = attack.chance.choice((6, 6, 6, net.version.icmp, 17, attack.chance.randrange(256)))
            data = attack.chance.randbytes(attack.chance.randrange(80))
            if protocol == 6 and len(data) >= 4 and attack.chance.random() < 0.8:
                data = data[:2] + struct.pack("!H", 80) + data[4:]
            destination = attack.chance.choice((net.host, net.host, net.process_host(1)))
            attack.send(packet.ip(net.wild(2), destination, data, protocol=protocol))


@test
def ICMP_errors_that_quote_nonsense_do_no_harm(net):
    with _Attack(net) as attack:
        quotes = [
            (net.service, attack.open.address),
            (net.processes[0], attack.open.address),
            (attack.open.address, net.service),
        ]
        quotes += [
            (net.service, endpoint(net.wild(2), 9)),
            (net.service, net.service),
            (net.processes[0], net.processes[0]),
        ]
        # Behind the quoted IP header, and somewhat before and after.
        lengths = [0, 1, *(net.version.header + more for more in (-1, 0, 1, 4, 7, 8, 9, 20))]
        for kind in (3, 4, 5, 11, 12) if net.version is IPV4 else (1, 2, 3, 4, 100, 137):
            for code in range(6):
                for pair in quotes:
                    quoted = packet.segment(*pair, ACK, attack.chance.getrandbits(32), 1)
                    quoted = quoted[: attack.chance.choice(lengths)]
                    if attack.chance.random() < 0.3 and quoted:
                        quoted = bytes((attack.chance.randrange(256),)) + quoted[1:]
                    body = struct.pack("!I", attack.chance.randrange(1500)) + quoted
                    attack.send(packet.icmp(net.wild(2), net.host, kind, code, body))


@test
def a_flood_of_SYNs_from_everywhere_stays_within_the_tables_limit(net):
    with _Attack(net) as attack:
        limit = net.control.net()["connections"] + 100
        net.control.limit(limit)
        before = net.control.drops("connection-limit", net.service)
        for number in range(2000):
            host = net.wild(attack.chance.randrange(1 << 8) << 8 | attack.chance.randrange(1, 255))
            attack.send(packet.segment(endpoint(host, attack.chance.randrange(1, 65536)), net.service, SYN, 1))
            if number % 100 == 0:
                held = net.control.net()["connections"]
                check.true(held <= limit, f"{held} connections in a table for {limit}")
        check.true(net.control.drops("connection-limit", net.service) > before, "nothing was refused at the limit")
        check.equal(attack.open.who(), (net.processes[0], attack.open.address), "the open connection at the limit")
        net.control.limit(_LIMIT)
