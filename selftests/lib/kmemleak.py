# SPDX-License-Identifier: GPL-2.0
"""Memory that nothing refers to any more, as the kernel finds it."""

import os
import time

_FILE = "/sys/kernel/debug/kmemleak"


def scan():
    """What kmemleak finds, or None where the kernel has none. A scan finds what is old enough only."""
    if not os.path.exists(_FILE):
        return None
    for _ in range(2):
        time.sleep(6)
        with open(_FILE, "w", encoding="ascii") as file:
            file.write("scan")
    with open(_FILE, encoding="ascii") as file:
        return file.read()
