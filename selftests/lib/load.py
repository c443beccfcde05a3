# SPDX-License-Identifier: GPL-2.0
"""New connections at a steady rate, each of which asks who serves it.

Compiled programs do both ends, as Python is too slow for hundreds a second in the VM.
"""

import collections
import dataclasses
import json
import subprocess

from . import background, check, wait

BENCH = "/opt/tcp_dispatch/bench/bench"


@dataclasses.dataclass
class Attempt:
    """What came of one connection."""

    start: float  # by time.monotonic(), before its first SYN
    outcome: str  # the process address that answered, or the error's name


class Load:
    """Connects while the `with` lasts, so many times a second as far as the computer keeps up."""

    def __init__(self, namespace, address, rate):
        arguments = ("load", address, f"--rate={rate}", f"--timeout={wait.DEADLINE:.0f}")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._program = background.program(BENCH, *arguments, namespace=namespace, **pipes).popen
        self.attempts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        printed, _ = self._program.communicate()
        self.attempts = [Attempt(*each) for each in json.loads(printed)]

    def rate(self):
        """How many attempts a second there were."""
        starts = [each.start for each in self.attempts]
        return len(starts) / (max(starts) - min(starts))

    def since(self, start):
        """How many attempts that were begun after `start` ended in what way."""
        return collections.Counter(each.outcome for each in self.attempts if each.start > start)


def answer(namespace, process, ballast=0):
    """Starts a daemon at a process address that tells who answers, and has `ballast` bytes of memory in use."""
    pipe = {"stdout": subprocess.PIPE}
    daemon = background.program(BENCH, "answer", process, f"--ballast={ballast}", namespace=namespace, **pipe)
    check.equal(daemon.popen.stdout.readline(), b"ready\n", f"what the daemon at {process} says")
    return daemon
