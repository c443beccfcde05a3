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
from lib.packet import ACK, FIN, PSH, RST, SYN
from lib.runner import test
from lib.topology import HOST, PROCESSES, SERVICE

_SEED = int(os.environ.get("SELFTEST_SEED", 1))
_ATTACKER = "198.18.0.2"
_PROCESS = PROCESSES[0]
_PROCESS_HOST = _PROCESS.split(":")[0]
_LIMIT = 20_000


def setup():
    net = topology.pair()
    daemon.start(_PROCESS, namespace=net.server)
    net.control.limit(_LIMIT)
    # IP itself stops as little as it can be told to.
    for name in ("all", "default", "eth0"):
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
        self._net.control.serve(SERVICE, _PROCESS)
        self._tun = tun.Tun(self._net.server, "tun0", "198.18.0.1/15")
        self.open = Client(self._net.client, SERVICE)
        self.open.who()
        return self

    def source(self):
        """An address and port of the attacker that was not used yet."""
        self._port = self._port % 65535 + 1
        return f"{_ATTACKER}:{self._port}"

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
        for data in came:
            check.true(not _has_process_address(data), f"a process address left the server: {data[:60].hex()}")
        check.equal(self.open.who(), (_PROCESS, self.open.address), "the open connection")
        check.equal(self.open.download(100_000), daemon.digest(1, 100_000), "a download of the open connection")
        self.open.reset()
        for namespace in (self._net.client, self._net.server):
            check.equal(who(namespace, SERVICE)[0], _PROCESS, "who serves afterwards")


def _has_process_address(data):
    return len(data) >= 20 and (data[12:14] == b"\x0a\x4d" or data[16:18] == b"\x0a\x4d")


@test
def a_packet_truncated_at_any_byte_does_no_harm(net):
    with _Attack(net) as attack:
        options = b"\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02\x08\x0a" + bytes(8)
        for destination in (SERVICE, _PROCESS, f"{HOST}:81"):
            for flags, more in ((SYN, {"options": options}), (PSH | ACK, {"payload": b"data"})):
                source = attack.source()
                segment = packet.tcp(source, destination, flags, 1000, 2000, **more)
                hosts = (_ATTACKER, destination.split(":")[0])
                whole = packet.ipv4(*hosts, segment)
                for length in range(len(whole) + 1):
                    attack.send(whole[:length])  # the IP header claims more
                for length in range(len(segment) + 1):
                    attack.send(packet.ipv4(*hosts, segment[:length]))  # the IP header is right
                    attack.send(packet.ipv4(*hosts, segment, length=20 + length))  # bytes behind the packet
                    attack.send(packet.ipv4(*hosts, segment[:length], length=length))


@test
def any_data_offset_and_any_checksum_do_no_harm(net):
    with _Attack(net) as attack:
        for destination in (SERVICE, _PROCESS):
            for offset in range(16):
                for flags in (SYN, ACK, PSH | ACK):
                    for payload in (b"", bytes(4), bytes(40)):
                        source = attack.source()
                        attack.send(packet.segment(source, destination, flags, 1, 1, payload, offset=offset))
            for _ in range(50):
                good = bytearray(packet.segment(attack.source(), destination, SYN, 1))
                good[attack.chance.choice((10, 11, 36, 37))] ^= 1 << attack.chance.randrange(8)
                attack.send(bytes(good))


@test
def a_segment_with_a_bad_checksum_is_not_served(net):
    with _Attack(net) as attack:
        port = attack.source()
        bad = bytearray(packet.segment(port, SERVICE, SYN, 1))
        bad[36] ^= 0x55
        attack.send(bytes(bad))
        check.equal([seen for seen in _answers(attack) if seen.destination == port], [], "answers")
        good = attack.source()
        attack.send(packet.segment(good, SERVICE, SYN, 1))
        seen = wait.until(lambda: [seen for seen in _answers(attack) if seen.destination == good], "an answer")
        check.equal((seen[0].source, seen[0].flags & SYN), (SERVICE, SYN), "the answer to the same with a good one")


def _answers(attack):
    return [seen for seen in (packet.parse(data) for data in attack._tun.drain()) if seen]


@test
def any_combination_of_flags_does_no_harm(net):
    with _Attack(net) as attack:
        for destination in (SERVICE, _PROCESS, f"{HOST}:81"):
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
                    attack.send(packet.segment(attack.source(), SERVICE, flags, 1, 1, options=options))
        for _ in range(500):
            options = attack.chance.randbytes(4 * attack.chance.randrange(11))
            attack.send(packet.segment(attack.source(), SERVICE, SYN, 1, options=options))


@test
def IP_options_do_no_harm(net):
    with _Attack(net) as attack:
        for kind in (0, 1, 7, 68, 131, 137, 148, 255):
            for length in (0, 1, 2, 3, 4, 7, 11, 39, 40, 255):
                options = (bytes((kind, length, 4)) + bytes(40))[: 4 * attack.chance.randrange(1, 11)]
                for destination in (SERVICE, _PROCESS):
                    source = attack.source()
                    segment = packet.tcp(source, destination, SYN, 1)
                    attack.send(packet.ipv4(_ATTACKER, destination.split(":")[0], segment, options=options))
        for words in range(16):
            broken = bytearray(packet.segment(attack.source(), SERVICE, SYN, 1, payload=bytes(60)))
            broken[0] = 0x40 | words
            broken[10:12] = b"\0\0"
            broken[10:12] = struct.pack("!H", packet.checksum(bytes(broken[: words * 4])))
            attack.send(bytes(broken))


@test
def fragments_tiny_overlapping_or_incomplete_do_no_harm(net):
    with _Attack(net) as attack:
        for identifier in range(1, 200):
            destination = attack.chance.choice((SERVICE, _PROCESS))
            hosts = (_ATTACKER, destination.split(":")[0])
            segment = packet.tcp(attack.source(), destination, SYN, 1, payload=bytes(64))
            pieces, at = [], 0
            while at < len(segment):
                size = 8 * attack.chance.choice((1, 1, 2, 3))
                more = 0x2000 if at + size < len(segment) else 0
                pieces.append(packet.ipv4(*hosts, segment[at : at + size], fragment=more | at // 8, identifier=identifier))
                at += size
            way = identifier % 4
            if way == 1:
                attack.chance.shuffle(pieces)
            elif way == 2:
                pieces.pop(attack.chance.randrange(len(pieces)))
            elif way == 3:
                overlap = packet.ipv4(*hosts, b"\xff" * 24, fragment=0x2000 | 1, identifier=identifier)
                pieces.insert(attack.chance.randrange(len(pieces)), overlap)
            for piece in pieces:
                attack.send(piece)


@test
def a_segment_in_tiny_fragments_is_served_as_a_whole(net):
    with _Attack(net) as attack:
        source = attack.source()
        segment = packet.tcp(source, SERVICE, SYN, 1, payload=b"")
        for at in (16, 8, 0):
            more = 0x2000 if at < 16 else 0
            attack.send(packet.ipv4(_ATTACKER, HOST, segment[at : at + 8], fragment=more | at // 8, identifier=7))
        seen = wait.until(lambda: [each for each in _answers(attack) if each.destination == source], "the answer")
        check.equal((seen[0].source, seen[0].flags), (SERVICE, SYN | ACK), "the answer")


@test
def ports_and_addresses_that_cannot_be_do_no_harm(net):
    with _Attack(net) as attack:
        hosts = [_ATTACKER, HOST, _PROCESS_HOST, "10.77.255.255", "127.0.0.1", "0.0.0.0", "255.255.255.255"]
        hosts += ["224.0.0.1", "198.19.255.255", "198.18.0.1", "198.51.100.1", "198.51.100.2", "240.0.0.1"]
        ports = (0, 80, 65535, int(attack.open.address.split(":")[1]))
        for source in hosts:
            for destination in hosts:
                for _ in range(4):
                    pair = (f"{source}:{attack.chance.choice(ports)}", f"{destination}:{attack.chance.choice(ports)}")
                    flags = attack.chance.choice((SYN, ACK, RST, FIN | ACK, SYN | ACK))
                    if attack.open.address in pair and _ATTACKER not in (source, destination) and flags == RST:
                        continue  # a reset that hits the window is TCP's own business
                    attack.send(packet.segment(*pair, flags, attack.chance.getrandbits(32), 1))


@test
def random_bytes_behind_an_IP_header_do_no_harm(net):
    with _Attack(net) as attack:
        for _ in range(1500):
            protocol = attack.chance.choice((6, 6, 6, 1, 17, attack.chance.randrange(256)))
            data = attack.chance.randbytes(attack.chance.randrange(80))
            if protocol == 6 and len(data) >= 4 and attack.chance.random() < 0.8:
                data = data[:2] + struct.pack("!H", 80) + data[4:]
            destination = attack.chance.choice((HOST, HOST, _PROCESS_HOST))
            attack.send(packet.ipv4(_ATTACKER, destination, data, protocol=protocol))


@test
def ICMP_errors_that_quote_nonsense_do_no_harm(net):
    with _Attack(net) as attack:
        quotes = [(SERVICE, attack.open.address), (_PROCESS, attack.open.address), (attack.open.address, SERVICE)]
        quotes += [(SERVICE, f"{_ATTACKER}:9"), (SERVICE, SERVICE), (_PROCESS, _PROCESS)]
        for kind in (3, 4, 5, 11, 12):
            for code in range(6):
                for pair in quotes:
                    quoted = packet.segment(*pair, ACK, attack.chance.getrandbits(32), 1)
                    quoted = quoted[: attack.chance.choice((0, 1, 19, 20, 21, 24, 27, 28, 29, 40))]
                    if attack.chance.random() < 0.3 and quoted:
                        quoted = bytes((attack.chance.randrange(256),)) + quoted[1:]
                    body = struct.pack("!BBHHH", kind, code, 0, 0, attack.chance.randrange(1500)) + quoted
                    body = body[:2] + struct.pack("!H", packet.checksum(body)) + body[4:]
                    attack.send(packet.ipv4(_ATTACKER, HOST, body, protocol=1))


@test
def a_flood_of_SYNs_from_everywhere_stays_within_the_tables_limit(net):
    with _Attack(net) as attack:
        limit = net.control.net()["connections"] + 100
        net.control.limit(limit)
        before = net.control.drops("connection-limit", SERVICE)
        for number in range(2000):
            host = f"198.18.{attack.chance.randrange(256)}.{attack.chance.randrange(1, 255)}"
            attack.send(packet.segment(f"{host}:{attack.chance.randrange(1, 65536)}", SERVICE, SYN, 1))
            if number % 100 == 0:
                held = net.control.net()["connections"]
                check.true(held <= limit, f"{held} connections in a table for {limit}")
        check.true(net.control.drops("connection-limit", SERVICE) > before, "nothing was refused at the limit")
        check.equal(attack.open.who(), (_PROCESS, attack.open.address), "the open connection at the limit")
        net.control.limit(_LIMIT)
