# SPDX-License-Identifier: GPL-2.0
"""A program that runs beside a test, and what it has said so far: dispatchctl, above all."""

import os
import tempfile

from . import background, wait


class Tool:
    """A program that was started in a namespace."""

    def __init__(self, namespace, *argv, **options):
        self._argv = argv
        self._stdout, self._stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        started = background.program(
            *argv, namespace=namespace, **({"stdout": self._stdout, "stderr": self._stderr} | options)
        )
        self.pid, self._popen = started.pid, started.popen

    @property
    def stdout(self):
        """Its standard output so far."""
        return _text(self._stdout)

    @property
    def stderr(self):
        """Its standard error so far."""
        return _text(self._stderr)

    def close_reader(self):
        """Stops reading what it says, if that goes to a pipe."""
        self._popen.stdout.close()

    def signal(self, number):
        """Sends it a signal."""
        self._popen.send_signal(number)

    def has_ended(self):
        """Whether it has."""
        return self._popen.poll() is not None

    def status(self):
        """Waits for its end and returns its exit status, or the negative number of the signal that killed it."""
        wait.until(self.has_ended, f"`{' '.join(self._argv)}` ends; it said:\n{self.stdout}{self.stderr}")
        return self._popen.returncode


def _text(file):
    # By position: the program writes where the file's offset is.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()
