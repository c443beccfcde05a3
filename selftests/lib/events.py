# SPDX-License-Identifier: GPL-2.0
"""The family's events, as a program hears them that listens for them."""

import contextlib
import struct

from . import check, family, netlink, wait

_HEADERS = 20  # struct nlmsghdr and struct genlmsghdr


class Lost(Exception):
    """There were more events than the socket had room for: netlink says ENOBUFS."""


class Events:
    """Hears the events of a namespace, or of the present one, from now on."""

    def __init__(self, namespace, buffer=1 << 20):
        with namespace or contextlib.nullcontext():
            self._socket = netlink.Socket(family.NAME)
        self._socket.receive_buffer(buffer)
        self._socket.join(family.EVENTS_GROUP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def next(self, seconds=wait.DEADLINE):
        """The next event, as (name, content); None if none comes in time."""
        data = self._socket.pending(seconds)
        if data is None:
            return None
        if not data:
            raise Lost
        (length,) = struct.unpack_from("=I", data)
        check.equal(length, len(data), "the length of an event, which comes alone")
        name = family.EVENTS[data[16]]
        return name, family.decode(family.content_of(name), data[_HEADERS:])

    def find(self, name, seconds=wait.DEADLINE):
        """The content of the next event of this name; others before it are passed over."""
        passed = []
        while (event := self.next(seconds)) is not None:
            if event[0] == name:
                return event[1]
            passed.append(event[0])
        raise check.Failed(f"no {name} came, but {passed}")

    def pending(self):
        """All events that have come."""
        events = []
        while (event := self.next(0)) is not None:
            events.append(event)
        return events

    def drop(self):
        """Throws away what has come, and word of what was lost."""
        while self._socket.pending(0) is not None:
            pass
