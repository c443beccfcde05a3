# SPDX-License-Identifier: GPL-2.0
"""Ways to send that spare copies, and devices that segment, join and sum: what is sent arrives whole.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1:80      a listening socket of the test itself
                                 10.77.0.2..3:80   two daemons
"""

import contextlib
import hashlib
import os
import select
import socket
import struct
import tempfile
import threading

from lib import background, check, command, daemon, ip, topology, wait
from lib.client import Client
from lib.ip import IPV6
from lib.runner import test

_LENGTH = 2 << 20
_MSG_ZEROCOPY, _SO_ZEROCOPY = 0x4000000, 60
_MSG_ERRQUEUE = 0x2000
_RECVERR = {4: (0, 11), 6: (41, 25)}  # level and type of what an error queue gives
_TCP_ULP, _SOL_TLS, _TLS_TX, _TLS_RX = 31, 282, 1, 2
_CONNECTIONS = 1000


def setup(version):
    net = topology.pair(version)
    daemon.start(*net.processes[1:], namespace=net.server)
    return net


@contextlib.contextmanager
def _connection(net):
    """A connection to a process that is this test: the client and the process's socket."""
    with daemon.listen(net.processes[0], net.server) as listener:
        net.control.serve(net.service, net.processes[0])
        with Client(net.client, net.service) as client:
            accepted, _ = listener.accept()
            accepted.settimeout(wait.DEADLINE)
            with accepted:
                yield client.socket, accepted


def _arrives(net, send, seed):
    """What `send` sends by the process's socket is the stream that the client gets."""
    with _connection(net) as (client, accepted):
        sender = threading.Thread(target=send, args=(accepted,))
        sender.start()
        got = daemon.receive_digest(client, _LENGTH)
        sender.join()
    check.equal(got, daemon.digest(seed, _LENGTH), "SHA-256 of what came")


def _file(seed):
    """A file that holds a stream."""
    file = tempfile.TemporaryFile()
    for part in daemon.stream(seed, _LENGTH):
        file.write(part)
    file.flush()
    file.seek(0)
    return file


@test
def sendfile_arrives_whole(net):
    with _file(21) as file:
        _arrives(net, lambda connection: connection.sendfile(file), 21)


@test
def splice_from_a_file_arrives_whole(net):
    def send(connection):
        connection.setblocking(True)
        source, sink = os.pipe()
        left = _LENGTH
        while left:
            count = os.splice(file.fileno(), sink, left)
            left -= count
            while count:
                count -= os.splice(source, connection.fileno(), count)
        os.close(source), os.close(sink)

    with _file(22) as file:
        _arrives(net, send, 22)


@test
def splice_from_connection_to_connection_gives_back_what_came(net):
    """As a proxy does: the process's data is never in its memory."""
    with _connection(net) as (client, accepted):
        accepted.setblocking(True)

        def echo():
            source, sink = os.pipe()
            while count := os.splice(accepted.fileno(), sink, 1 << 16):
                while count:
                    count -= os.splice(source, accepted.fileno(), count)
            os.close(source), os.close(sink)
            accepted.shutdown(socket.SHUT_WR)

        def send():
            for part in daemon.stream(23, _LENGTH):
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=each) for each in (echo, send)]
        for each in threads:
            each.start()
        got = daemon.receive_digest(client, _LENGTH)
        for each in threads:
            each.join()
    check.equal(got, daemon.digest(23, _LENGTH), "SHA-256 of what came back")


def _completed(connection, version):
    """How many zero-copy sends the error queue says are done: ranges in struct sock_extended_err."""
    done = 0
    while True:
        try:
            _, ancillary, _, _ = connection.recvmsg(1, 512, _MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return done
        for level, kind, data in ancillary:
            if (level, kind) == _RECVERR[version.number]:
                error, origin, _, _, _, first, last = struct.unpack_from("=IBBBBII", data)
                check.equal((error, origin), (0, 5), "error and origin of a completion")
                done += last - first + 1


@test
def zero_copy_sends_arrive_whole_and_are_completed(net):
    def send(connection):
        connection.setblocking(False)  # or Python waits before it looks at the error queue
        connection.setsockopt(socket.SOL_SOCKET, _SO_ZEROCOPY, 1)
        sent = done = 0
        for part in daemon.stream(24, _LENGTH):
            while part:
                try:
                    part = part[connection.send(part, _MSG_ZEROCOPY) :]
                    sent += 1
                except BlockingIOError:  # a completion wakes select() as well
                    select.select([], [connection], [], wait.DEADLINE)
                done += _completed(connection, net.version)
        while done < sent:
            done += wait.until(lambda: _completed(connection, net.version), "completions")
        counts.append((sent, done))

    counts = []
    _arrives(net, send, 24)
    check.true(counts and counts[0][0] == counts[0][1] > 0, f"sends, and those completed: {counts}")


def _keys(seed):
    """A key for TLS 1.3: struct tls12_crypto_info_aes_gcm_128."""
    random = hashlib.sha256(seed).digest()
    return struct.pack("=HH8s16s4s8s", 0x0304, 51, random[:8], random[8:24], random[24:28], bytes(8))


@test
def kernel_TLS_on_the_accepted_socket_arrives_whole_each_way(net):
    if command.result("modprobe", "tls").returncode:
        raise check.Skip("this kernel has no module tls")
    with _connection(net) as (client, accepted), _file(25) as file:
        for connection, sends, receives in ((client, b"up", b"down"), (accepted, b"down", b"up")):
            connection.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
            connection.setsockopt(_SOL_TLS, _TLS_TX, _keys(sends))
            connection.setsockopt(_SOL_TLS, _TLS_RX, _keys(receives))
        sender = threading.Thread(target=lambda: accepted.sendfile(file))
        sender.start()
        check.equal(daemon.receive_digest(client, _LENGTH), daemon.digest(25, _LENGTH), "SHA-256 of the download")
        sender.join()

        def upload():
            for part in daemon.stream(26, _LENGTH):
                client.sendall(part)

        sender = threading.Thread(target=upload)
        sender.start()
        check.equal(daemon.receive_digest(accepted, _LENGTH), daemon.digest(26, _LENGTH), "SHA-256 of the upload")
        sender.join()


def _transfers(net, what):
    """A download and an upload arrive whole."""
    want = daemon.digest(27, _LENGTH)
    with Client(net.client, net.service) as client:
        check.equal(client.download(_LENGTH, 27), want, f"SHA-256 of the download with {what}")
        check.equal(client.upload(_LENGTH, 27), want, f"SHA-256 of the upload with {what}")


def _features(side):
    """The features of a side's device, and whether they are on."""
    lines = side.run("ethtool", "-k", "eth0").splitlines()[1:]
    pairs = (line.strip().split(": ") for line in lines)
    return {name: state.split()[0] for name, state in pairs if "fixed" not in state}


# Each with what makes it matter: only a device that joins what comes in can make lists of it, and only of packets that
# the sender segments.
_CASES = (
    {"tx-checksum-ip-generic": "off"},
    {"tcp-segmentation-offload": "off"},
    {"tcp-segmentation-offload": "off", "generic-segmentation-offload": "off"},
    {"generic-receive-offload": "on"},
    {"generic-receive-offload": "on", "rx-gro-list": "on"},
    {"scatter-gather": "off"},
)


@contextlib.contextmanager
def _set(side, features):
    before = _features(side)
    unknown = set(features) - set(before)
    if unknown:
        raise check.Skip(f"the device has no {', '.join(unknown)}")
    try:
        side.run("ethtool", "-K", "eth0", *(word for pair in features.items() for word in pair))
        now = _features(side)
        check.equal({name: now[name] for name in features}, features, "the features that were set")
        yield
    finally:
        side.run("ethtool", "-K", "eth0", *(word for pair in before.items() for word in pair))


def _with_features(net, case, *sides):
    net.control.serve(net.service, *net.processes[1:])
    with contextlib.ExitStack() as stack:
        for side in sides:
            stack.enter_context(_set(side, case))
        _transfers(net, f"{case} at {[side.name for side in sides]}")


@test
def transfers_arrive_whole_with_each_offload_changed_at_the_server(net):
    for case in _CASES:
        _with_features(net, case, net.server)
        net.control.service_del(net.service)


@test
def transfers_arrive_whole_with_each_offload_changed_at_the_client(net):
    for case in _CASES:
        _with_features(net, case, net.client)
        net.control.service_del(net.service)


@test
def transfers_arrive_whole_when_single_segments_are_joined_at_the_other_end(net):
    """By lists or not: the layer translates the one header of what was joined."""
    single = {"tcp-segmentation-offload": "off", "generic-segmentation-offload": "off"}
    net.control.serve(net.service, *net.processes[1:])
    for lists in ("off", "on"):
        for sums in ("on", "off"):
            sender = {**single, "tx-checksum-ip-generic": sums}
            joins = {**sender, "generic-receive-offload": "on", "rx-gro-list": lists}
            with _set(net.client, joins), _set(net.server, joins):
                _transfers(net, f"lists {lists}, checksums {sums}")


@test
def BIG_TCP_transfers_arrive_whole(net):
    size = 180_000
    prefix = "" if net.version is IPV6 else "ipv4_"
    net.control.serve(net.service, *net.processes[1:])
    before = f"gso_{prefix}max_size 65536 gro_{prefix}max_size 65536"
    with _set(net.client, {"generic-receive-offload": "on"}), _set(net.server, {"generic-receive-offload": "on"}):
        try:
            for side in (net.client, net.server):
                side.ip(f"link set eth0 {before.replace('65536', str(size))}")
            _transfers(net, f"packets of {size} bytes")
        finally:
            for side in (net.client, net.server):
                side.ip(f"link set eth0 {before}")


def _echo(listener):
    """A process that says what it hears, to all at once."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections = {}
    while True:
        for file, _ in poll.poll():
            if file == listener.fileno():
                connection = listener.accept()[0]
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
            elif data := connections[file].recv(1 << 16):
                connections[file].sendall(data)
            else:
                poll.unregister(file)
                connections.pop(file).close()


@test(deadline=300)
def a_thousand_connections_with_loss_and_reordering_all_arrive_whole(net):
    echoes = [net.process(number) for number in (4, 5)]
    for process in echoes:
        with daemon.listen(process, net.server) as listener:
            background.fork(_echo, listener, keep=[listener.fileno()])
    net.control.serve(net.service, *echoes)
    disorder = "loss 1% delay 2ms reorder 25% duplicate 1%"
    for side in (net.client, net.server):
        side.run("tc", *f"qdisc add dev eth0 root netem {disorder} limit 10000".split())
    try:
        with net.client:
            sockets = [socket.socket(net.version.family) for _ in range(_CONNECTIONS)]
        for each in sockets:
            each.setblocking(False)
            each.connect_ex(ip.split(net.service))
        _hear(sockets)
    finally:
        for side in (net.client, net.server):
            side.run("tc", *"qdisc del dev eth0 root".split())
    served = [net.control.process(net.service, each)["stats"]["connections"] for each in echoes]
    check.equal(served, [_CONNECTIONS // 2] * 2, "connections of the processes")


def _hear(sockets):
    """Says something else by each connection once it is open, and waits until all have heard it again."""
    poll = select.epoll()
    open_ones, said, heard = {}, {}, {}
    for number, each in enumerate(sockets):
        file = each.fileno()
        open_ones[file], said[file], heard[file] = each, struct.pack("=I", number) * 1000, b""
        poll.register(file, select.EPOLLOUT)
    while open_ones:
        events = poll.poll(wait.DEADLINE)
        check.true(events, f"nothing comes any more; {len(open_ones)} connections wait")
        for file, event in events:
            connection = open_ones[file]
            if event & select.EPOLLOUT:
                check.equal(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "the error of an opening")
                check.equal(connection.send(said[file]), len(said[file]), "bytes that were sent")
                poll.modify(file, select.EPOLLIN)
                continue
            data = connection.recv(1 << 16)
            heard[file] += data
            check.true(data and said[file].startswith(heard[file]), "a connection heard something else, or ended")
            if heard[file] == said[file]:
                poll.unregister(file)
                open_ones.pop(file).close()
