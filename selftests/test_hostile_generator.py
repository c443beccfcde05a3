# SPDX-License-Identifier: GPL-2.0
"""Thousands of hostile packets, of which each can be sent again by its number. `lib/arena.py` has the drawing.

`selftests/hostile` sends as many as it is told, on any kernel.
"""

import collections
import os

from lib import arena, check
from lib.ip import IPV4, IPV6
from lib.runner import test

_SEED = int(os.environ.get("SELFTEST_SEED", 1))
_PACKETS = 3000


def setup(version):
    return arena.setup(version)


@test(deadline=600)
def hostile_packets_reach_no_wrong_socket_and_leave_nothing(net):
    attack = arena.Attack(net, _SEED)
    attack.run(0, _PACKETS)
    drops = net.control.net()["drops"]
    # Else they were stopped before the layer.
    check.true(drops["outside"] > _PACKETS // 100, f"few of {_PACKETS} packets with a process address came: {drops}")
    check.true(attack.answers > _PACKETS // 10, f"{attack.answers} answers to {_PACKETS} packets")
    return attack.summary()


# Seed and number of packets that did harm once: SYNs, whose answers left with the process address.
_FINDS = {
    IPV4: [(2, 464)],  # of tun0's broadcast address
    IPV6: [(20261123, 2572)],  # of a link-local address
}


@test
def hostile_packets_that_did_harm_once_do_none(net):
    for seed, number in _FINDS[net.version]:
        attack = arena.Attack(net, seed)
        attack.run(number, number + 1)
        check.equal(attack.taken, 1, "packets that the driver took")
        net.control.reset()


@test
def a_hostile_packet_can_be_made_again_by_its_number(net):
    first, second = (arena.generator(_SEED, net.version) for _ in range(2))
    numbers = range(0, _PACKETS, 7)
    made = [first.packet(number) for number in numbers]
    check.true([second.packet(number) for number in reversed(numbers)] == made[::-1], "the same number, other packets")
    other = arena.generator(_SEED + 1, net.version)
    same = sum(other.packet(number) == packet for number, packet in zip(numbers, made))
    check.true(same < len(made) // 10, f"{same} of {len(made)} packets are the same with another seed")


@test
def there_are_hostile_packets_of_all_kinds(net):
    made = arena.generator(_SEED, net.version)
    kinds = collections.Counter(made.kind(number) for number in range(_PACKETS))
    check.equal(len(kinds), 10, "kinds")
    check.true(min(kinds.values()) > _PACKETS // 50, f"some are rare: {kinds}")
