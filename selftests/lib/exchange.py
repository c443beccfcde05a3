# SPDX-License-Identifier: GPL-2.0
"""What a client and a service do with each other, where it is about what lies between them."""

import functools
import hashlib

from . import check, daemon
from .client import Client

_LENGTH = 300_000
_UPLOAD = b"".join(number.to_bytes(4) for number in range(_LENGTH // 4))


@functools.cache
def _digest():
    return daemon.digest(1, _LENGTH)


def everything(namespace, service, processes, client=None, source=None):
    """Both directions in bulk and every way to end.

    The daemons must see the client's own address and port, or another host that hides it: `client`. `source()` is
    the endpoint that the client is to bind.
    """
    port = lambda: {"source": source()} if source else {}
    with Client(namespace, service, **port()) as one:
        talk(one, processes, client)
        one.send("close")
        one.ended()
    with Client(namespace, service, **port()) as one:
        one.who()
        one.send("reset")
        check.raises(ConnectionResetError, one.socket.recv, 1)
    one = Client(namespace, service, **port())
    one.who()
    one.reset()


def talk(one, processes, client=None):
    """Who serves whom, and both directions in bulk."""
    process, seen = one.who()
    check.true(process in processes, f"{process} serves, which is none of {processes}")
    if client is None:
        check.equal(seen, one.address, "the client as the daemon sees it")
    else:
        check.equal(seen.rsplit(":", 1)[0].strip("[]"), client, "the client's host as the daemon sees it")
    check.equal(one.download(_LENGTH), _digest(), "SHA-256 of what the client gets")
    one.send(f"put {len(_UPLOAD)}")
    one.socket.sendall(_UPLOAD)
    check.equal(one.line(), hashlib.sha256(_UPLOAD).hexdigest(), "SHA-256 of what the daemon gets")
