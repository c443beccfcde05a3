# SPDX-License-Identifier: GPL-2.0
"""curl, and what it and web servers write."""

from . import ip


def curl(namespace, *arguments):
    """What curl gets; it must succeed."""
    # An address of IPv6 is not a pattern.
    return namespace.run("curl", "--silent", "--show-error", "--fail", "--globoff", *arguments)


def bracketed(text):
    """The endpoint of a text that may have an address of IPv6 without brackets, as nginx, HAProxy and curl write it."""
    host, port = text.rsplit(":", 1)
    return ip.endpoint(host, int(port))
