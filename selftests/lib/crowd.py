# SPDX-License-Identifier: GPL-2.0
"""Many connections at once over links that lose and reorder, each with bytes of its own."""

import collections
import contextlib
import random
import select
import socket
import time

from . import background, check, daemon, ip, topology, wait

_DISORDER = "delay 10ms 5ms loss 1% reorder 25% duplicate 1% limit 100000"
_BUSY = 250  # how many connections may be amid something at once
_LENGTH = 3000  # of what each sends and gets back: some segments
_ROOM = 1 << 16


def setup(version):
    """A client and a server with three processes that say who serves whom, and then send back what they get."""
    net = topology.pair(version)
    for process in net.processes:
        with daemon.listen(process, net.server) as listener:
            background.fork(_serve, listener, keep=[listener.fileno()])
    return net


def _serve(listener):
    """Serves for ever."""
    poll, clients = select.epoll(), {}
    listener.setblocking(False)
    poll.register(listener, select.EPOLLIN)
    while True:
        for file, _ in poll.poll():
            if file == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client, peer = listener.accept()
                        clients[client.fileno()] = client
                        poll.register(client, select.EPOLLIN)
                        client.sendall(f"{daemon.name(client.getsockname())} {daemon.name(peer)}\n".encode())
            else:
                try:
                    got = clients[file].recv(_ROOM)
                except OSError:
                    got = b""
                if got:
                    clients[file].sendall(got)
                else:
                    poll.unregister(file)
                    clients.pop(file).close()


class _Member:
    """A connection's end at the client."""

    def __init__(self, namespace, address):
        host, port = ip.split(address)
        with namespace:
            self.socket = socket.socket(ip.version_of(host).family)
        self.socket.setblocking(False)
        self.socket.connect_ex((host, port))
        self.address = daemon.name(self.socket.getsockname())
        self._got = b""
        self.process = None

    def _receive(self):
        more = self.socket.recv(_ROOM)
        check.true(more, f"the connection of {self.address} ended")
        self._got += more

    def greeted(self):
        """Takes what came. Whether the process has said who it is by now; it must know the client's address."""
        self._receive()
        if not self._got.endswith(b"\n"):
            return False
        self.process, seen = self._got.decode().split()
        check.equal(seen, self.address, f"the client as {self.process} sees it")
        return True

    def ask(self):
        """Sends bytes that no other sends."""
        self._got, self._sent = b"", random.Random(self.address).randbytes(_LENGTH)
        check.equal(self.socket.send(self._sent), _LENGTH, "bytes that the socket takes")

    def answered(self):
        """Takes what came. Whether all that was sent has come back by now, as it was."""
        self._receive()
        if len(self._got) < _LENGTH:
            return False
        check.true(self._got == self._sent, f"{self.address} gets what it did not send")
        return True


class Crowd:
    """So many connections to a service, all open at once while the `with` lasts."""

    def __init__(self, net, number):
        self._net, self._number, self.members = net, number, []

    def __enter__(self):
        for side in (self._net.client, self._net.server):
            side.run("tc", *f"qdisc add dev eth0 root netem {_DISORDER}".split())
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.socket.close()
        for side in (self._net.client, self._net.server):
            side.run("tc", *"qdisc del dev eth0 root".split())

    def _begun(self):
        for _ in range(self._number):
            self.members.append(_Member(self._net.client, self._net.service))
            yield self.members[-1]

    def _asked(self):
        for member in self.members:
            member.ask()
            yield member

    def open(self):
        """Opens them all. Returns how many each process has."""
        _each(self._begun(), _Member.greeted)
        return collections.Counter(member.process for member in self.members)

    def exchange(self):
        """Each gets its own bytes back."""
        _each(self._asked(), _Member.answered)


def _each(members, done):
    """Waits for what members do, some hundred of them at a time, until each is done."""
    poll, busy = select.epoll(), {}
    with poll:
        while True:
            for member in members:
                busy[member.socket.fileno()] = member
                poll.register(member.socket, select.EPOLLIN)
                if len(busy) >= _BUSY:
                    break
            if not busy:
                return
            events = poll.poll(wait.DEADLINE)
            check.true(events, f"none of {len(busy)} connections hears anything")
            for file, _ in events:
                if done(busy[file]):
                    poll.unregister(file)
                    del busy[file]


def meet(net, number):
    """Opens so many connections under loss and reordering, has each exchange bytes, and ends them: what came of it."""
    net.control.serve(net.service, *net.processes)
    started = time.monotonic()
    with Crowd(net, number) as crowd:
        shares = crowd.open()
        opened = time.monotonic()
        check.equal(set(shares), set(net.processes), "who serves")
        held = {each["client-address"] for each in net.control.connections(net.service)}
        check.equal(len(held), number, "entries")
        check.equal(held, {member.address for member in crowd.members}, "clients that have entries")
        crowd.exchange()
        exchanged = time.monotonic()
        lost = sum(_dropped(side) for side in (net.client, net.server))
    check.true(lost, "netem has lost nothing")
    net.control.empty()
    ended = time.monotonic()
    stats = net.control.service(net.service)["stats"]
    check.equal(stats["connections"], number, "connections that the service counted")
    return (
        f"{number} connections, {sorted(shares.values())} a process: opened in {opened - started:.1f} s, an exchange "
        f"took {exchanged - opened:.1f} s, their entries were gone {ended - exchanged:.1f} s later; netem lost {lost}"
    )


def _dropped(side):
    """How many packets a namespace's netem has lost."""
    shown = side.run("tc", "-s", "qdisc", "show", "dev", "eth0")
    return int(shown.split("dropped ")[1].split(",")[0])
