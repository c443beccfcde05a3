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

    def start(self):
        """The dispatcher, set up."""
        return self.dispatcher(self.processes, self.services, self.version)


def _all(clients, operations):
    return tuple((client, operation) for client in clients for operation in operations)


def quick():
    """What the guard needs, and a sentence on what it does without."""
    wanted = _all(["remote"], ["round-trip", "connect", "echo", "unrelated"])
    names = ("direct", "tcp_dispatch", "tcp_dispatch, tuned", "IPVS NAT")
    plan = [Configuration(dispatchers.ALL[name], wanted) for name in names]
    return plan, "IPv6: a quick run has no time for it"


def full():
    """All of it, and a sentence on what isn't in it."""
    operations = ["round-trip", "connect", "echo", "send", "receive"]
    wanted = _all(["remote"], [*operations, "unrelated"]) + _all(["local"], operations)
    plan = [Configuration(each, wanted) for each in dispatchers.ALL.values()]
    # Before full tables, which some dispatchers are slow to give back. What tunes the layer is IPv4's.
    over_ipv6 = _all(["remote"], ["round-trip", "connect", "echo"])
    either = [each for each in dispatchers.ALL.values() if each is not dispatchers.TcpDispatchTuned]
    plan += [Configuration(each, over_ipv6, version=IPV6) for each in either]
    few = _all(["remote"], ["round-trip", "connect"])
    tables = [dispatchers.ALL[name] for name in ("tcp_dispatch", "IPVS NAT", "nft DNAT")]
    plan += [Configuration(each, few, processes=64) for each in tables]
    plan += [Configuration(each, few, services=10_000) for each in tables]
    plan += [Configuration(each, few, connections=10_000) for each in tables]
    # It comes before the peers, whose memory is given back late. Of IPVS's entries a million were not
    # there in the time that a run has.
    plan += [Configuration(tables[0], few, connections=1_000_000)]
    plan += [Configuration(each, few, connections=200_000) for each in tables[1:]]
    return plan, (
        "over IPv6 bulk, an unrelated service, a local client, 64 processes, other connections and "
        "10,000 services: a run has no time for them"
    )
