# SPDX-License-Identifier: GPL-2.0
"""What is measured: which operations, with which dispatchers, in which surroundings."""

import dataclasses

import dispatchers
from lib.ip import IPV4, IPV6, Version

# How many operations make one number, and of how many numbers the median counts. A timer's tick costs a
# tenth of a connect: batches are long enough to have some, or they would differ by whether they have one.
BATCHES = {
    "round-trip": (100, 21),
    "connect": (100, 15),
    "echo": (10, 15),
    "send": (2, 15),
    "receive": (2, 15),
    # A round trip with a daemon that no dispatcher has to do with, while the service is in use.
    "unrelated": (100, 21),
}

# Of how many numbers it is where nothing is compared with figures that are kept: such medians still agree within
# 0.5 %, which a whole run has time for.
FEWER = 9

# What runs every 2 seconds takes longer than a batch where tables are full: batches are spread.
PAUSE = 97


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A dispatcher and its surroundings, and what is measured with them."""

    dispatcher: type
    # (client, operation)
    wanted: tuple
    processes: int = 1
    connections: int = 1
    services: int = 1
    version: Version = IPV4

    def __str__(self):
        around = [
            f"{number:,} {name}"
            for name in ("processes", "connections", "services")
            if (number := getattr(self, name)) > 1
        ]
        over = "" if self.version is IPV4 else f" over {self.version}"
        return ", ".join([self.dispatcher.name + over, *around])

    def batches(self, client, operation):
        """How many operations make one number, and of how many numbers it is the median."""
        operations, batches = BATCHES[operation]
        kept = (dispatchers.Dispatcher, dispatchers.TcpDispatch, dispatchers.TcpDispatchTuned)
        if self.dispatcher in kept and self.version is IPV4 and client == "remote":
            return operations, batches
        return operations, FEWER

    def only(self, clients, operations):
        """The same with fewer clients and operations; None is all."""
        wanted = ((client, what) for client, what in self.wanted if client in (clients or [client]))
        return dataclasses.replace(self, wanted=tuple(one for one in wanted if one[1] in (operations or [one[1]])))

    def cost(self):
        """How long it takes, about: 1 is as long as round trips."""
        operations = sum(3 if operation == "connect" else 1 for _, operation in self.wanted)
        if issubclass(self.dispatcher, dispatchers.Proxy):
            operations *= 2
        return 1 + operations + self.connections / 50_000 + self.services / 1_000

    def start(self):
        """The dispatcher, set up."""
        return self.dispatcher(self.processes, self.services, self.version)


def _all(clients, operations):
    return tuple((client, operation) for client in clients for operation in operations)


def quick():
    """What the guard needs, and a sentence on what it does without."""
    wanted = _all(["remote"], ["round-trip", "connect", "echo", "unrelated"])
    names = ("direct", "tcp_dispatch", "tcp_dispatch, tuned", "IPVS NAT")
    plan = [Configuration(dispatchers.COMPARED[name], wanted) for name in names]
    return plan, "IPv6: a quick run has no time for it"


def full():
    """All of it, and a sentence on what isn't in it."""
    operations = ["round-trip", "connect", "echo", "send", "receive"]
    wanted = _all(["remote"], [*operations, "unrelated"]) + _all(["local"], operations)
    plan = [Configuration(each, wanted) for each in dispatchers.COMPARED.values()]
    # Before full tables, which some dispatchers are slow to give back. What tunes the layer is IPv4's.
    either = [each for each in dispatchers.COMPARED.values() if each is not dispatchers.TcpDispatchTuned]
    plan += [Configuration(each, wanted, version=IPV6) for each in either]
    few = _all(["remote"], ["round-trip", "connect"])
    tables = [dispatchers.COMPARED[name] for name in ("tcp_dispatch", "IPVS NAT", "nft DNAT")]
    for version in (IPV4, IPV6):
        plan += [Configuration(each, few, processes=64, version=version) for each in tables]
        plan += [Configuration(each, few, services=10_000, version=version) for each in tables]
    plan += [Configuration(each, few, connections=10_000) for each in tables]
    # The layer comes before the peers, whose memory is given back late.
    plan += [Configuration(each, few, connections=1_000_000) for each in tables]
    return plan, "other connections over IPv6: what makes their entries makes those of IPv4 alone"


def partition(text):
    """M and N of an argument M/N."""
    number, shares = map(int, text.split("/"))
    if not 1 <= number <= shares:
        raise ValueError
    return number, shares


def share(configurations, number, shares):
    """What one of several VMs measures, in the plan's order: all take about as long.

    Direct is in each share: what a dispatcher adds is some percent of it, so that two VMs would have to
    agree in it far better than two measurements do.
    """
    direct = [one for one in configurations if one.dispatcher is dispatchers.Dispatcher]
    parts = [[] for _ in range(shares)]
    for one in sorted((one for one in configurations if one not in direct), key=Configuration.cost, reverse=True):
        min(parts, key=lambda part: sum(map(Configuration.cost, part))).append(one)
    mine = parts[number - 1]
    mine += [one for one in direct if shares == 1 or one.version in {other.version for other in mine}]
    return [one for one in configurations if one in mine]
