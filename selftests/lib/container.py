# SPDX-License-Identifier: GPL-2.0
"""Network namespaces without a name, and containers of a user who has no privilege over the host."""

import os

from . import background, command, namespace, wait

UID = 1000
_USER = ("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups")


class Unnamed(namespace.Namespace):
    """A network namespace that has no name; it lasts as long as something holds it."""

    def __init__(self, path):
        self.name = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def enter(self):
        os.setns(self._file, os.CLONE_NEWNET)

    def exists(self):
        return True

    def close(self):
        """Lets go of it."""
        os.close(self._file)


def unnamed():
    """Makes a network namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    os.unshare(os.CLONE_NEWNET)
    made = Unnamed("/proc/thread-self/ns/net")
    os.setns(before, os.CLONE_NEWNET)
    os.close(before)
    return made


class Container:
    """A user namespace of an unprivileged user's with a network namespace of its own, as `unshare -Urn` makes it."""

    def __init__(self):
        self._first = background.program(*_USER, "unshare", "-Urn", "sleep", "infinity")
        self.pid = self._first.pid
        wait.until(lambda: self._read("comm") == "sleep" and self._read("uid_map"), "the container is there")
        self.namespace = Unnamed(f"/proc/{self.pid}/ns/net")

    def _read(self, name):
        with open(f"/proc/{self.pid}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def argv(self, *argv):
        """The command that runs a program as the container's root."""
        # The user's own number is the root's in there.
        return (*_USER, "nsenter", "-t", str(self.pid), "-U", "-n", "--preserve-credentials", "--", *argv)

    def run(self, *argv):
        """Runs a program as the container's root; it must succeed."""
        return command.run(*self.argv(*argv))

    def result(self, *argv):
        """Runs a program as the container's root, whatever its exit status."""
        return command.result(*self.argv(*argv))

    def kill(self):
        """Ends the container's first process, and lets go of its namespace."""
        self._first.kill()
        self.namespace.close()
