# SPDX-License-Identifier: GPL-2.0
"""Daemons as they come from the distribution: each has a directory of its own, with its log in it."""

import os
import signal
import tempfile

from . import background, wait


class Program:
    """A daemon that listens on addresses of a namespace."""

    def __init__(self, namespace, *addresses, directory=None):
        self.namespace = namespace
        self.addresses = addresses
        self.directory = directory or make_directory(type(self).__name__.lower())

    @property
    def address(self):
        """The address that it listens on, or the first of them."""
        return self.addresses[0]

    def file(self, name, text):
        """Writes a file of its directory and returns its path."""
        path = f"{self.directory}/{name}"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def start(self, *argv, **options):
        """Starts it and waits until it listens."""
        with open(f"{self.directory}/log", "a", encoding="utf-8") as log:
            options = {"stdout": log, "stderr": log} | options
            self._process = background.program(*argv, namespace=self.namespace, **options)
        listens = lambda: self._lives() and self._listens()
        wait.until(listens, f"`{argv[0]}` listens on {' and '.join(self.addresses)}")
        return self

    def _lives(self):
        if self._process.popen.poll() is not None:
            raise RuntimeError(f"`{' '.join(self._process.popen.args)}` ended at once:\n{self.log()}")
        return True

    def _listens(self):
        # Who tries by connecting is in its log and its statistics.
        return all(self.namespace.run("ss", "-Hltn", "src", address) for address in self.addresses)

    def kill(self, number=signal.SIGKILL):
        """Sends it a signal, by default as `kill -9` does, and waits for its end."""
        self._process.kill(number)

    def log(self):
        """What it logged."""
        with open(f"{self.directory}/log", encoding="utf-8", errors="replace") as file:
            return file.read()


def make_directory(name):
    """A directory that every user can enter."""
    directory = tempfile.mkdtemp(prefix=f"{name}-")
    os.chmod(directory, 0o755)
    return directory
