# SPDX-License-Identifier: GPL-2.0
"""Where hostile packets meet the layer: services, honest clients who go on meanwhile, and what must hold.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
      connections that             192.0.2.1:80    three processes, by weights
      transfer meanwhile           192.0.2.1:443   two processes, with affinity
    198.51.100.5                   192.0.2.1:82    no process
      new ones meanwhile           192.0.2.2:80    the victims' process
                                   0.0.0.0:80      a daemon that is no process: the wrong socket
    this test ────────────────── tun0 198.18.0.1/15
      hostile packets, and victims: connections that some of them are about
"""

import contextlib
import json
import os
import select
import socket
import struct
import time

from . import background, check, daemon, kernel_log, packet, slabs, topology, tun, wait
from .client import Client
from .generator import ROUND, VICTIMS, Generator
from .ip import IPV4, endpoint, host_of
from .packet import ACK, PSH, RST, SYN

_LIMIT = 20_000
_LENGTH = 100_000
_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ = 19, 20, 21
_RECEIVE, _SEND = 1, 2


def setup(version):
    """The computers and their daemons."""
    net = topology.pair(version)
    net.add_clients(net.near(5))
    processes, victim = _processes(net)
    wildcard = endpoint("0.0.0.0" if version is IPV4 else "::", 80)
    daemon.start(*processes, wildcard, namespace=net.server)
    with daemon.listen(victim, net.server) as listener:
        background.fork(_endure, listener, keep=[listener.fileno()])
    net.control.limit(_LIMIT)
    # IP itself stops as little as it can be told to.
    for name in ("all", "default", "eth0") if version is IPV4 else ():
        net.server.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        net.server.sysctl(f"net/ipv4/conf/{name}/accept_local", 1)
    # What is half there is given up in seconds.
    net.server.sysctl("net/ipv4/tcp_synack_retries", 1)
    net.server.sysctl("net/ipv4/tcp_orphan_retries", 1)
    net.server.sysctl("net/ipv4/ipfrag_time" if version is IPV4 else "net/ipv6/ip6frag_time", 2)
    return net


def _processes(net):
    """The processes, at a port that isn't the services', and that of the victims."""
    each = [net.process(number, port=8080) for number in range(1, 6)]
    return each, net.process(9, port=8080)


def _endure(listener):
    """Answers the first question of each victim, and takes whatever comes behind it."""
    asked = set()
    listener.setblocking(False)
    clients = {listener.fileno(): listener}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    while True:
        for file, _ in poll.poll():
            try:
                if file == listener.fileno():
                    client, _ = listener.accept()
                    clients[client.fileno()] = client
                    poll.register(client, select.EPOLLIN)
                elif not clients[file].recv(1 << 16):
                    raise EOFError
                elif file not in asked:
                    asked.add(file)
                    clients[file].send(b"here\n")
            except (BlockingIOError, ConnectionAbortedError):
                pass
            except (EOFError, OSError):
                poll.unregister(file)
                asked.discard(file)
                clients.pop(file).close()


def _services(net):
    return [net.service, endpoint(net.host, 443), endpoint(net.host, 82), net.other_service]


def generator(seed, version, honest=()):
    """The packets that are about this set-up."""
    addresses = topology.ADDRESSES[version]
    services = _services(addresses)
    return Generator(seed, addresses, services, _processes(addresses)[0], services[-1], honest)


class Attack:
    """An attack with the packets of a seed: made, sent, and followed by a look at what it did."""

    def __init__(self, net, seed):
        self._net, self._seed = net, seed
        processes, self._victim = _processes(net)
        self._services = _services(net)
        weighed, sticky, _, self._victims = self._services
        net.control.service_add(weighed, scheduler="wrr")
        for number, process in enumerate(processes[:3]):
            net.control.process_add(weighed, process, weight=1 + number)
        net.control.serve(sticky, *processes[3:], scheduler="mh", affinity_timeout=1)
        net.control.service_add(self._services[2])
        net.control.serve(self._victims, self._victim)
        self._before = self._passive_opens()
        self._slabs = slabs.objects()
        self._log = kernel_log.mark()
        self.taken = self.refused = self.answers = self.opened = 0
        self.seconds = 0.0
        self.honest = {"transfers": 0, "opened": 0}
        self._out = []  # packets with a process address that came out, and the number of the last one sent
        self._tun = tun.Tun(net.server, "tun0", net.wild(1), net.wild_length, offloads=True)
        addresses = lambda number: endpoint(net.client_address, 30000 + number)
        self._clients = [Client(net.client, (weighed, sticky)[i % 2], source=addresses(i)) for i in range(6)]
        self._served = [client.who() for client in self._clients]
        honest = [
            (client.address, (weighed, sticky)[number % 2], *_numbers(client.socket))
            for number, client in enumerate(self._clients)
        ]
        self._generator = generator(seed, version=net.version, honest=honest)

    def run(self, first, end, tell=lambda number: None):
        """Sends the packets from `first` on, up to but without `end`, and checks all that must hold.

        `tell` is told the number behind the last packet of each round that did no harm.
        """
        stop, honest = self._begin_honest()
        at = first
        try:
            while at < end:
                since, at = at, min(end, at - at % ROUND + ROUND)
                self._round(since, at)
                check.true(not select.select([honest], [], [], 0)[0], "the honest clients ended early")
                tell(at)
            since = first
            self._end_honest(stop, honest)
            self._nothing_left()
            shown = "\n".join(self._out[:40])
            check.true(not self._out, f"{len(self._out)} packets with a process address left the server:\n{shown}")
        except BaseException:
            again = f"--family {self._net.version.number} --seed {self._seed} --from {since} --to {at}"
            print(f"to send these packets again: selftests/hostile {again}")
            raise
        finally:
            self._tun.close()

    def summary(self):
        """What there was, in a line."""
        sent = self.taken + self.refused
        services = self._net.control.services()
        assigned = sum(each["stats"]["connections"] for each in services.values())
        unserved = services[self._services[2]]["drops"]["no-process"]
        return (
            f"{sent} packets of seed {self._seed}, {sent / max(self.seconds, 0.001):.0f} a second; the driver took {self.taken}; "
            f"{self.answers} answers; {self.opened} victims; {self.honest['transfers']} transfers and "
            f"{self.honest['opened']} new connections of honest clients; "
            f"the layer assigned {assigned} connections, found no process for {unserved}, and dropped "
            f"{self._net.control.net()['drops']}"
        )

    def _round(self, first, end):
        """Sends the packets of one round, with victims of their own."""
        self._open_victims(first)
        begun = time.monotonic()
        for number in range(first, end):
            if self._tun.send(self._generator.packet(number)):
                self.taken += 1
            else:
                self.refused += 1
            if number % 64 == 0:
                self._look(number)
        self._look(end - 1)
        self.seconds += time.monotonic() - begun
        self._no_wrong_socket()
        held = self._net.control.net()["connections"]
        check.true(held <= _LIMIT, f"{held} connections in a table for {_LIMIT}")
        # Down, a process has no connection any more, whatever state the victims are in.
        self._net.control.process_set(self._victims, self._victim, state="down")
        wait.until(lambda: not self._net.control.connections(process=self._victim), "the victims are gone")
        self._net.control.process_set(self._victims, self._victim, state="active")
        complaints = kernel_log.complaints(self._log)
        check.true(not complaints, "the kernel's log has:\n" + "\n".join(complaints))

    def _look(self, number=None):
        """Takes what came back, and notes what bears a process address. The attack goes on: there may be more."""
        came = self._tun.drain()
        self.answers += len(came)
        for data in came:
            if any(map(self._net.is_process_host, packet.ends(data))):
                self._out.append(f"by packet {number}: {packet.parse(data) or data[:80].hex()}")
        return came

    def _open_victims(self, number):
        for which in range(VICTIMS):
            self._generator.live[number // ROUND, which] = self._open_victim(*self._generator.victim(number, which))
            self.opened += 1

    def _open_victim(self, client, first):
        """Opens a connection by packets, and has the process answer. Returns the next numbers of both sides."""
        end = time.monotonic() + wait.DEADLINE
        question = b"there?\n"

        def answer(flags, *numbers, payload=b""):
            """Sends until the answer comes, as a client does; none if the server knows nothing of it any more."""
            while time.monotonic() < end:
                self._tun.send(bytes(10) + packet.segment(client, self._victims, *numbers, payload=payload))
                again = time.monotonic() + wait.SCALE
                while time.monotonic() < again:
                    for seen in filter(None, map(packet.parse, self._look())):
                        if seen.destination == client and seen.flags & (flags | RST):
                            check.equal(seen.source, self._victims, "who answers a victim")
                            if seen.flags & RST:
                                return None
                            if seen.flags & flags == flags:
                                return seen
                    select.select([self._tun], [], [], 0.1)
            raise check.Failed(f"no answer to {client}")

        while True:
            seen = answer(SYN | ACK, SYN, first)
            # A handshake that takes seconds, on a busy computer, is given up by then.
            seen = seen and answer(PSH, PSH | ACK, first + 1, seen.sequence + 1, payload=question)
            if seen:
                numbers = first + 1 + len(question), seen.sequence + seen.payload
                self._tun.send(bytes(10) + packet.segment(client, self._victims, ACK, *numbers))
                return numbers

    def _begin_honest(self):
        stop, stopper = os.pipe()
        told, teller = os.pipe()
        files = [client.socket.fileno() for client in self._clients]
        known = list(zip(self._clients, self._served))
        background.fork(_be_honest, self._net, known, stop, teller, keep=[*files, stop, teller])
        os.close(stop)
        os.close(teller)
        return stopper, told

    def _end_honest(self, stop, told):
        os.close(stop)
        with os.fdopen(told) as file:
            text = file.read()
        check.true(text, "an honest client did not get what is its own")
        self.honest = json.loads(text)
        check.true(self.honest["transfers"] > 0, "no honest client transferred anything")
        handshakes = self._passive_opens() - self._before
        own = len(self._clients) + self.opened + self.honest["opened"]
        check.equal(handshakes, own, "handshakes that the server ended, for those that the test did")

    def _passive_opens(self):
        """How many handshakes TCP ended in the server, whichever socket it was."""
        with self._net.server, open("/proc/thread-self/net/snmp", encoding="ascii") as file:
            names, values = (line.split() for line in file if line.startswith("Tcp:"))
        return int(values[names.index("PassiveOpens")])

    def _sockets(self):
        """The server's sockets, as ss tells them: state, local and remote end."""
        shown = self._net.server.run("ss", "-Htan")
        return [(each[0], each[3], each[4]) for each in map(str.split, shown.splitlines())]

    def _no_wrong_socket(self):
        """No socket of the server has a service address as its own: that would be the wildcard daemon's."""
        wrong = [each for each in self._sockets() if each[1] in self._services]
        check.equal(wrong, [], "sockets at a service address")

    def _nothing_left(self):
        net = self._net
        clients = {client.address for client in self._clients}
        left = lambda: {each["client-address"] for each in net.control.connections()} - clients
        wait.until(lambda: not left(), "all entries but those of open connections are gone", 2 * wait.DEADLINE)
        check.equal(net.control.net()["connections"], len(clients), "connections that are counted")
        for client, served in zip(self._clients, self._served):
            check.equal(client.who(), served, "an open connection afterwards")
            client.reset()
        net.control.empty()
        check.equal(net.control.net()["connections"], 0, "connections that are counted in the end")
        wait.until(lambda: all(state == "LISTEN" for state, *_ in self._sockets()), "no socket is left but listeners")
        wait.until(lambda: not self._fragments(), "no fragment is waited for")
        slabs.given_back(self._slabs)

    def _fragments(self):
        """How many packets wait for fragments."""
        name, key = ("sockstat", "FRAG:") if self._net.version is IPV4 else ("sockstat6", "FRAG6:")
        with self._net.server, open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
            return next(int(line.split()[2]) for line in file if line.startswith(key))


def _numbers(connection):
    """The next sequence numbers of a socket's own side and of the other's."""
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    numbers = []
    for queue in (_SEND, _RECEIVE):
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, queue)
        numbers.append(struct.unpack("=I", connection.getsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ, 4))[0])
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, -1)  # without a window probe
    return numbers


def _be_honest(net, known, stop, teller):
    """Transfers by open connections and new ones until `stop` is closed, then tells how many there were."""
    digests = [daemon.digest(seed, _LENGTH) for seed in range(4)]
    transfers = opened = 0
    # At least once; and with pauses, as they aren't who the computer should be busy with.
    while not transfers or not select.select([stop], [], [], 0.05)[0]:
        client, served = known[transfers % len(known)]
        seed = transfers % 4
        check.equal(client.download(_LENGTH, seed), digests[seed], "a download's SHA-256")
        check.equal(client.upload(_LENGTH, seed), digests[seed], "an upload's SHA-256")
        check.equal(client.who(), served, "who serves an open connection")
        transfers += 1
        with contextlib.closing(Client(net.client, net.service, source=endpoint(net.near(5), 0))) as new:
            process, seen = new.who()
            check.equal(seen, new.address, "whom a process sees")
            check.true(process in _processes(net)[0][:3], f"{process} served {net.service}")
            check.true(host_of(seen) == net.near(5), "the client's address")
            new.reset()
        opened += 1
    os.write(teller, json.dumps({"transfers": transfers, "opened": opened}).encode())
