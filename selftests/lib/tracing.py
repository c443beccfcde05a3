# SPDX-License-Identifier: GPL-2.0
"""What passes tracepoints of the kernel."""

import contextlib
import os
import pathlib
import re

from . import check
from .ip import IPV4, IPV6

_TRACING = pathlib.Path("/sys/kernel/tracing")
# What this computer sends has it as the device that it came by.
_LOOPBACK = 1
_ROUTE_LOOKUPS = {IPV4: "fib/fib_table_lookup", IPV6: "fib6/fib6_table_lookup"}


def need():
    """Skips the file if the kernel has no tracefs."""
    if not (_TRACING / "instances").is_dir():
        raise check.Skip("the kernel has no tracefs")


@contextlib.contextmanager
def traced(*events, only=None):
    """A buffer of its own that gets these events, `SYSTEM/EVENT`. Yields what reads it as text.

    `only` is the filter of all of them.
    """
    instance = _TRACING / "instances" / f"selftest-{os.getpid()}"
    instance.mkdir()
    try:
        for event in events:
            if only:
                (instance / "events" / event / "filter").write_text(only)
            (instance / "events" / event / "enable").write_text("1")
        yield (instance / "trace").read_text
    finally:
        for event in events:
            (instance / "events" / event / "enable").write_text("0")
        instance.rmdir()


def looked_up(version, source, destination, what):
    """How many tables were looked into during `what` for a route that this computer takes from one host to another."""
    with traced(_ROUTE_LOOKUPS[version], only=f"iif <= {_LOOPBACK}") as trace:
        what()
        return len(re.findall(rf" {re.escape(source)}/\d+ -> {re.escape(destination)}/", trace()))


def routed(version, hosts, what):
    """How many look-ups of routes there were during `what`, of packets that came by a device for one of the hosts."""
    with traced(_ROUTE_LOOKUPS[version], only=f"iif > {_LOOPBACK}") as trace:
        what()
        return sum(trace().count(f"-> {host}/") for host in hosts)
