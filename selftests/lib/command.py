# SPDX-License-Identifier: GPL-2.0
"""Running programs, so that a failure shows what they said."""

import subprocess

from . import check, wait


class CommandFailed(check.Failed):
    """A program's exit status was not 0."""

    def __init__(self, argv, result):
        self.status = result.returncode
        self.stdout = result.stdout
        self.stderr = result.stderr
        super().__init__(f"`{' '.join(argv)}` exited with {result.returncode}:\n{result.stdout}{result.stderr}")


def result(*argv, stdin=None):
    """Runs a program to its end, whatever its exit status."""
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL if stdin is None else None,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=wait.DEADLINE * 2,
        check=False,
    )


def run(*argv, stdin=None):
    """Runs a program that must succeed, and returns its standard output."""
    outcome = result(*argv, stdin=stdin)
    if outcome.returncode != 0:
        raise CommandFailed(argv, outcome)
    return outcome.stdout
