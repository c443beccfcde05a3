# SPDX-License-Identifier: GPL-2.0
"""Waiting for conditions: no test knows how fast the machine is."""

import os
import time

from . import check

# A kernel with KASAN and lockdep, emulated, takes an order of magnitude longer. Its kmemleak shows which it is.
SCALE = float(os.environ.get("SELFTEST_SCALE", 8 if os.path.exists("/sys/kernel/debug/kmemleak") else 1))

# Long enough that only a hang reaches it.
DEADLINE = 60 * SCALE


def until(condition, what, seconds=DEADLINE):
    """Waits until `condition()` gives something true, and returns that."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise check.Failed(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.2)


def throughout(condition, what, seconds):
    """`condition()` stays true for `seconds`: for what must not happen later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise check.Failed(f"did not last: {what}")
        time.sleep(0.2)
