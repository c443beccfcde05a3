# SPDX-License-Identifier: GPL-2.0
"""The kernel module: loading, unloading, who uses it."""

import os

from . import command

FILE = os.environ.get("TCP_DISPATCH_KO", "/opt/tcp_dispatch/tcp_dispatch.ko")
_SYS = "/sys/module/tcp_dispatch"


def loaded():
    """Whether the module is there."""
    return os.path.isdir(_SYS)


def references():
    """How many hold the module."""
    try:
        with open(f"{_SYS}/refcnt", encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return None


def load():
    """Loads the module."""
    command.run("insmod", FILE)


def unload():
    """Unloads the module."""
    command.run("rmmod", "tcp_dispatch")


def ensure_loaded():
    """Loads the module if a test left it unloaded."""
    if not loaded():
        load()
