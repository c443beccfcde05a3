# SPDX-License-Identifier: GPL-2.0
"""Processes that live beside a test: forked functions and programs."""

import ctypes
import os
import signal
import subprocess
import sys
import traceback

_pids = {}


class Background:
    """A process that runs until it is killed or done."""

    def __init__(self, pid, owner):
        self.pid = pid
        _pids[pid] = owner

    def kill(self, number=signal.SIGKILL):
        """Kills the process and waits for its end."""
        if _pids.pop(self.pid, None) == os.getpid():
            os.kill(self.pid, number)
            os.waitpid(self.pid, 0)

    def wait(self):
        """Waits for the process's end and returns its exit status."""
        _pids.pop(self.pid)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    """Has the kernel kill this process when its parent ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def fork(function, *arguments, keep=()):
    """Runs a function in a process of its own, which has no file open but those in `keep`.

    Else the copy of a test's socket in a daemon would keep it open after the test closed it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Background(pid, os.getpid())
    status = 1
    try:
        die_with_parent()
        low = 3
        for file in sorted(keep):
            os.closerange(low, file)
            low = file + 1
        os.closerange(low, 1 << 16)
        status = function(*arguments) or 0
    except BaseException:  # whatever it is, this copy of the test must not go on
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def in_child(function, *arguments):
    """The exit status of a function called in a process of its own: for what changes the whole process."""
    return fork(function, *arguments).wait()


def become(uid, *groups):
    """Makes this process one of an unprivileged user for good; the first group is its own, if there are any."""
    own = groups[0] if groups else uid
    os.setgroups(groups[1:])
    os.setresgid(own, own, own)
    os.setresuid(uid, uid, uid)
    die_with_parent()  # a change of user makes the kernel forget it


def program(*argv, namespace=None, **options):
    """Starts a program."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | options
    if namespace:
        with namespace:
            started = subprocess.Popen(argv, **options)
    else:
        started = subprocess.Popen(argv, **options)
    process = Background(started.pid, os.getpid())
    process.popen = started
    return process


def kill_all():
    """Kills what this process started."""
    for pid, owner in list(_pids.items()):
        if owner == os.getpid():
            Background(pid, owner).kill()
    _pids.clear()
