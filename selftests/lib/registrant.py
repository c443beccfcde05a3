# SPDX-License-Identifier: GPL-2.0
"""A daemon that registers itself."""

import contextlib
import mmap
import os

from . import background, check, daemon, dispatch

_PAGE = 4096


def start(control, service, process, user=(), ballast=0, **settings):
    """Starts a daemon at a process address, which registers itself with these settings.

    `user` is the number of the user that it runs as, and those of the user's groups. What `ballast`
    bytes of memory do: a process that is killed gives them back before it closes its sockets.
    """
    registered, tell = os.pipe()
    child = background.fork(_run, control.namespace, service, process, user, ballast, settings, tell, keep=[tell])
    os.close(tell)
    with os.fdopen(registered, "rb") as file:
        check.true(file.read(1), f"the daemon at {process} could not register itself")
    return child


def _run(namespace, service, process, user, ballast, settings, tell):
    namespace.enter()
    if user:
        background.become(*user)
    memory = _occupy(ballast)
    listener = daemon.listen(process, None)
    control = dispatch.Dispatch(None)
    control.process_add(service, process, **settings)
    os.write(tell, b"!")
    os.close(tell)
    daemon.serve(listener)
    memory.close()


def _occupy(size):
    """Memory that is really there, in small pages."""
    memory = mmap.mmap(-1, max(size, _PAGE))
    with contextlib.suppress(OSError):  # a kernel without huge pages knows no such advice
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, size, _PAGE):
        memory[at] = 1
    return memory
