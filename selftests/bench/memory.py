# SPDX-License-Identifier: GPL-2.0
"""How much memory the kernel uses, before and after a table is filled."""

import re
import time

# Namespaces that are gone and tables that were outgrown give their memory back a little later: it is
# read when it has not changed by more than this for some seconds, or after so many of these.
CHANGE, SECONDS, TIMES = 1 << 18, 3, 6


def _settle():
    before = 0
    for _ in range(TIMES):
        time.sleep(SECONDS)
        now = _meminfo()["MemFree"]
        if abs(now - before) < CHANGE:
            return
        before = now


def _meminfo():
    with open("/proc/meminfo", encoding="ascii") as file:
        info = {name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":") for line in file)}
    # What CPUs keep at hand, some megabytes, is free as well.
    with open("/proc/zoneinfo", encoding="ascii") as file:
        kept = sum(int(line.split()[1]) for line in file if line.lstrip().startswith("count:")) * 4096
    return info | {name: info[name] + kept for name in ("MemAvailable", "MemFree")}


def _slabs():
    """The bytes of each slab cache, its unused objects included."""
    slabs = {}
    with open("/proc/slabinfo", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            fields = line.split()
            pages, count = int(fields[5]), int(fields[14])
            slabs[fields[0]] = pages * count * 4096
    return slabs


class Memory:
    """The kernel's memory at one time."""

    def __init__(self):
        # What is dropped is given back late, too.
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
        _settle()
        self.slabs = _slabs()
        info = _meminfo()
        self.available, self.free = info["MemAvailable"], info["MemFree"]

    def since(self, before, entries, without=None):
        """What each of `entries` took since then, in bytes: all of it, and the slab cache that grew most.

        The slab caches that match `without` count as if they hadn't grown.
        """
        grown = {name: size - before.slabs.get(name, 0) for name, size in self.slabs.items()}
        not_theirs = sum(grown.pop(name) for name in list(grown) if without and re.fullmatch(without, name))
        most = max(grown, key=grown.get)
        return {
            "entries": entries,
            "bytes": round((before.available - self.available - not_theirs) / entries, 1),
            "free": round((before.free - self.free - not_theirs) / entries, 1),
            "slabs": round(sum(grown.values()) / entries, 1),
            "cache": most,
            "cache-bytes": round(grown[most] / entries, 1),
        }
