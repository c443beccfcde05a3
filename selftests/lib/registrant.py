# SPDX-License-Identifier: GPL-2.0
"""A daemon that registers itself."""

import os

from . import background, check, daemon, dispatch


def start(control, service, process, user=(), **settings):
    """Starts a daemon at a process address, which registers itself with these settings.

    `user` is the number of the user that it runs as, and those of the user's groups.
    """
    registered, tell = os.pipe()
    child = background.fork(_run, control.namespace, service, process, user, settings, tell, keep=[tell])
    os.close(tell)
    with os.fdopen(registered, "rb") as file:
        check.true(file.read(1), f"the daemon at {process} could not register itself")
    return child


def _run(namespace, service, process, user, settings, tell):
    namespace.enter()
    if user:
        background.become(*user)
    listener = daemon.listen(process, None)
    control = dispatch.Dispatch(None)
    control.process_add(service, process, **settings)
    os.write(tell, b"!")
    os.close(tell)
    daemon.serve(listener)
