# SPDX-License-Identifier: GPL-2.0
"""What the kernel's caches hold of what connections are made of."""

import contextlib
import pathlib
import re

from . import check, wait

# Entries are of the general caches, which may be there many times, and of any use.
_GENERAL = re.compile(r"kmalloc(?:-rnd-\d+|-cg|-rcl)?-(128|192|256)$")
_CACHES = re.compile(r"(request_sock|tw_sock)?_?TCP(v6)?$|ip6?_dst_cache$|skbuff_\w+$")
# The rest of the computer has objects, too, and a CPU keeps free ones that count as held.
_NOISE = 1000


def objects():
    """How many objects each cache holds."""
    for name, _ in _counts():
        # KASAN keeps what was freed for a while, and it counts as held.
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path("/sys/kernel/slab", name, "shrink").write_text("1")
    held = {}
    for name, active in _counts():
        general = _GENERAL.match(name)
        name = f"kmalloc-{general.group(1)}" if general else name
        held[name] = held.get(name, 0) + active
    check.true(held, "no cache is known by its name")
    return held


def _counts():
    """The caches of interest, and their objects in use."""
    lines = map(str.split, pathlib.Path("/proc/slabinfo").read_text("ascii").splitlines())
    return [(line[0], int(line[1])) for line in lines if _GENERAL.match(line[0]) or _CACHES.match(line[0])]


def given_back(before):
    """Waits until no cache holds more than it did, but for the noise."""
    grown = {}

    def back():
        grown.clear()
        grown.update((name, now - before[name]) for name, now in objects().items() if now > before[name] + _NOISE)
        return not grown

    try:
        wait.until(back, "the memory of connections is given back", 30 * wait.SCALE)
    except check.Failed as error:
        raise check.Failed(f"{error}: {grown} objects more") from None
