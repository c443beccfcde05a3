# SPDX-License-Identifier: GPL-2.0
"""A TCP server that does what a line tells it, and knows whom it talks to.

    who            -> "10.77.0.1:80 192.0.2.2:40000": its own address and the client's
    get N SEED     -> N bytes of `stream(SEED)`
    put N          takes N bytes -> their SHA-256
    close          closes the connection first
    reset          resets the connection
"""

import contextlib
import hashlib
import random
import select
import socket
import struct
import threading

from . import background, ip

_BLOCK = 1 << 20


def block(seed):
    """The bytes that `stream` repeats."""
    return random.Random(seed).randbytes(_BLOCK)


def stream(seed, length):
    """`length` bytes as memoryviews, the same for the same seed. No two blocks are equal."""
    data = block(seed)
    number = 0
    while length:
        head = struct.pack("=Q", number) + data[8:]
        yield memoryview(head)[: min(length, _BLOCK)]
        length -= min(length, _BLOCK)
        number += 1


def digest(seed, length):
    """The SHA-256 of a stream."""
    state = hashlib.sha256()
    for part in stream(seed, length):
        state.update(part)
    return state.hexdigest()


def receive_digest(connection, length):
    """Receives so many bytes and returns their SHA-256."""
    state = hashlib.sha256()
    buffer = memoryview(bytearray(_BLOCK))
    while length:
        got = connection.recv_into(buffer, min(length, _BLOCK))
        if not got:
            raise EOFError(f"{length} bytes before the end")
        state.update(buffer[:got])
        length -= got
    return state.hexdigest()


def name(address):
    """The endpoint's text of what the socket module gives."""
    return ip.endpoint(*address[:2])


def listen(address, namespace, backlog=4096):
    """A listening socket of the namespace, or of the present one."""
    host, port = ip.split(address)
    with namespace or contextlib.nullcontext():
        listener = socket.socket(ip.version_of(host).family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(backlog)
    return listener


def start(*addresses, namespace, backlog=4096):
    """Starts a daemon on each address; each is a process, in the order given."""
    started = []
    for address in addresses:
        with listen(address, namespace, backlog) as listener:
            started.append(background.fork(serve, listener, keep=[listener.fileno()]))
    return started


def serve(listener):
    """Serves for ever."""
    poll = select.epoll()
    listener.setblocking(False)
    poll.register(listener, select.EPOLLIN)
    clients = {}
    while True:
        for file, _ in poll.poll():
            if file == listener.fileno():
                _accept(listener, poll, clients)
            elif file in clients:
                _line(poll, clients, file)


def _accept(listener, poll, clients):
    while True:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setblocking(True)
        clients[client.fileno()] = client
        poll.register(client, select.EPOLLIN)


def _line(poll, clients, file):
    """Does what a client's next line says."""
    client = clients[file]
    line = b""
    try:
        while not line.endswith(b"\n"):
            # No more than the line: what follows it may be an upload.
            ahead = client.recv(64, socket.MSG_PEEK)
            if not ahead:
                raise EOFError
            line += client.recv(ahead.find(b"\n") + 1 or len(ahead))
        word, *arguments = line.decode().split()
        if word in ("get", "put"):
            # Takes long: meanwhile the others are served.
            poll.unregister(file)
            threading.Thread(target=_transfer, args=(poll, clients, file, word, arguments)).start()
        elif word == "who":
            client.sendall(f"{name(client.getsockname())} {name(client.getpeername())}\n".encode())
        elif word == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise EOFError
        else:
            raise EOFError
    except (EOFError, OSError):
        del clients[file]
        poll.unregister(file)
        client.close()


def _transfer(poll, clients, file, word, arguments):
    client = clients[file]
    try:
        if word == "get":
            for part in stream(int(arguments[1]), int(arguments[0])):
                client.sendall(part)
        else:
            client.sendall(receive_digest(client, int(arguments[0])).encode() + b"\n")
        poll.register(file, select.EPOLLIN)
    except (EOFError, OSError):
        del clients[file]
        client.close()
