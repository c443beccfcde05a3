# SPDX-License-Identifier: GPL-2.0
"""Network namespaces and the links between them.

    with server:
        ...       # sockets made and programs started here are the server's
"""

import contextlib
import os
import threading

from . import command, wait
from .ip import IPV4, version_of

_RUN = "/run/netns"
_all = {}
_local = threading.local()


class Namespace:
    """A named network namespace, as `ip netns` makes them, for some versions of IP: IPv4 unless told."""

    def __init__(self, name, *versions):
        self.name = name
        if os.path.exists(f"{_RUN}/{name}"):
            command.run("ip", "netns", "del", name)
        command.run("ip", "netns", "add", name)
        _all[name] = self
        # The witness's other end vanishes with the namespace and not before:
        # it shows whether something still holds the namespace after its name is gone.
        self.witness = f"w-{name}"[:15]
        self.batch(
            f"link add name {self.witness} netns {os.getpid()} type veth peer name witness",
            "link set lo up",
        )
        # Nothing but what a test sends is on the wire, and no address is waited for.
        if set(versions or (IPV4,)) == {IPV4}:
            self.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
            self.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        # Ports that tests choose, from 30000 on, are nobody's by chance.
        self.sysctl("net/ipv4/ip_local_port_range", "10000 29999")
        for setting in ("accept_dad", "accept_ra", "autoconf"):
            self.sysctl(f"net/ipv6/conf/default/{setting}", 0)

    def __enter__(self):
        stack = _local.__dict__.setdefault("stack", [])
        if stack and stack[-1][0] is self:
            stack.append((self, None))
        else:
            stack.append((self, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)))
            self.enter()
        return self

    def __exit__(self, *_):
        _, previous = _local.stack.pop()
        if previous is not None:
            os.setns(previous, os.CLONE_NEWNET)
            os.close(previous)

    def enter(self):
        """Enters the namespace for good: for a process that gives its privileges up."""
        file = os.open(f"{_RUN}/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        os.setns(file, os.CLONE_NEWNET)
        os.close(file)

    def run(self, *argv, stdin=None):
        """Runs a program in the namespace; it must succeed."""
        with self:
            return command.run(*argv, stdin=stdin)

    def result(self, *argv, stdin=None):
        """Runs a program in the namespace, whatever its exit status."""
        with self:
            return command.result(*argv, stdin=stdin)

    def ip(self, arguments):
        """`ip` with these arguments, in the namespace."""
        return self.run("ip", *arguments.split())

    def batch(self, *lines):
        """Several `ip` commands at the price of one."""
        return self.run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def sysctl(self, path, value):
        """Sets a sysctl of the namespace."""
        with self, open(f"/proc/sys/{path}", "w", encoding="ascii") as file:
            file.write(str(value))

    def forward(self, version):
        """Makes it a router, which sends as many ICMP errors as there are reasons for."""
        ipv4 = version is IPV4
        self.sysctl("net/ipv4/ip_forward" if ipv4 else "net/ipv6/conf/all/forwarding", 1)
        self.sysctl("net/ipv4/icmp_ratelimit" if ipv4 else "net/ipv6/icmp/ratelimit", 0)

    def exists(self):
        """Whether the namespace has its name still."""
        return os.path.exists(f"{_RUN}/{self.name}")

    def delete(self):
        """Deletes the name, and the namespace if nothing else holds it."""
        if _all.pop(self.name, None):
            command.run("ip", "netns", "del", self.name)

    def gone(self):
        """Waits until the kernel has freed the namespace."""
        wait.until(
            lambda: not os.path.exists(f"/sys/class/net/{self.witness}"),
            f"namespace {self.name} is deleted, but something still holds it",
            wait.DEADLINE * 2,
        )


def address(host, length, device):
    """The `ip` command that gives a device an address, at once."""
    return f"addr add {host}/{length} dev {device}" + (" nodad" if version_of(host) is not IPV4 else "")


@contextlib.contextmanager
def added(namespace, version, kind, what):
    """A route, a rule or an IPsec policy, `kind`, of a version of IP, for the time being."""
    namespace.ip(f"{version.option} {kind} add {what}")
    try:
        yield
    finally:
        namespace.ip(f"{version.option} {kind} del {what}")


def link(left, left_device, left_address, right, right_device, right_address, mtu=1500):
    """Joins two namespaces by a veth pair. An address is HOST/LENGTH."""
    with left:
        peer = f"peer name {right_device} netns {right.name} mtu {mtu}"
        command.run("ip", *f"link add {left_device} mtu {mtu} type veth {peer}".split())
    for side, device, where in ((left, left_device, left_address), (right, right_device, right_address)):
        side.batch(address(*where.split("/"), device), f"link set {device} up")


def delete_all():
    """Deletes the namespaces that this process made, and waits until they are gone."""
    deleted = list(_all.values())
    for namespace in deleted:
        namespace.delete()
    for namespace in deleted:
        namespace.gone()
