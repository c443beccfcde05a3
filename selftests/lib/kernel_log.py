# SPDX-License-Identifier: GPL-2.0
"""The kernel's log: what it says during a test."""

import os
import re

_BAD = re.compile(
    r"WARNING: |BUG: |Oops|Call Trace|general protection|KASAN|UBSAN|kmemleak: [1-9]|refcount_t|"
    r"suspicious RCU|circular locking|inconsistent lock|unregister_netdevice: waiting|leaked reference|"
    r"soft lockup|hung task|blocked for more than|rust_kernel: panicked"
)
_WARNING = 4


def _records():
    """Yields (sequence number, level, text) of all there is."""
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            try:
                record = os.read(log, 8192).decode(errors="replace")
            except BlockingIOError:
                return
            except BrokenPipeError:  # overwritten meanwhile: the next read goes on behind it
                continue
            prefix, _, text = record.partition(";")
            level, sequence = prefix.split(",")[:2]
            yield int(sequence), int(level) & 7, text.split("\n")[0]
    finally:
        os.close(log)


def mark():
    """A point in the log, for `complaints`."""
    return max((sequence for sequence, _, _ in _records()), default=-1)


def complaints(since):
    """What the kernel complained about since a mark."""
    return [
        text
        for sequence, level, text in _records()
        if sequence > since and (_BAD.search(text) or (level <= _WARNING and "tcp_dispatch" in text))
    ]


def lines(since, pattern):
    """What the kernel said since a mark that matches."""
    return [text for sequence, _, text in _records() if sequence > since and re.search(pattern, text)]
