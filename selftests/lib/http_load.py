# SPDX-License-Identifier: GPL-2.0
"""HTTP clients that fetch steadily: some keep their connections alive, some make one for each request."""

import collections
import errno
import json
import os
import select
import socket
import threading

from . import background, wait

_PAUSE = 0.04 * wait.SCALE
# A client that keeps its connection counts as lost what is answered later than this.
_PATIENCE = 20 * wait.SCALE


class Refused(Exception):
    """The answer isn't one that says: well."""


class HttpLoad:
    """Fetches from an address while the `with` lasts, by so many clients of each kind.

    Afterwards `answers` has the number of answers by kind of client, `losses` that of requests without an answer
    and of resets by kind and reason, and `unannounced` that of kept connections that the server closed
    without a word.
    """

    def __init__(self, namespace, address, keeping=3, short=3):
        self._stop, stopped = os.pipe()[::-1]
        self._results, results = os.pipe()
        arguments = (namespace, address, keeping, short, stopped, results)
        self._process = background.fork(_run, *arguments, keep=[stopped, results])
        os.close(stopped)
        os.close(results)
        self.answers = self.losses = self.unannounced = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._stop)
        with os.fdopen(self._results, "rb") as file:
            answers, losses, self.unannounced = json.loads(file.read() or b"[{}, {}, 0]")
        self.answers, self.losses = collections.Counter(answers), collections.Counter(losses)
        self._process.wait()

    def summary(self):
        """What came of all, in a sentence."""
        requests = self.answers.total() + self.losses.total()
        lost = ", ".join(f"{count} {what}" for what, count in sorted(self.losses.items())) or "none"
        idle = f"{self.unannounced} idle connections closed unannounced"
        return f"{requests} requests, {self.losses.total()} lost ({lost}), {idle}"


class _Clients:
    """What the threads have in common."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.host = host
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.answers, self.losses = collections.Counter(), collections.Counter()
        self.unannounced = 0

    def answered(self, kind):
        with self.lock:
            self.answers[kind] += 1

    def lost(self, kind, error):
        reason = errno.errorcode.get(getattr(error, "errno", None)) or str(error) or type(error).__name__
        with self.lock:
            self.losses[f"{kind}: {reason}"] += 1


def _run(namespace, address, keeping, short, stopped, results):
    clients = _Clients(address)
    with namespace:
        # A thread is in the namespace that its maker was in.
        threads = [threading.Thread(target=_keep, args=(clients,)) for _ in range(keeping)]
        threads += [threading.Thread(target=_short, args=(clients,)) for _ in range(short)]
        for thread in threads:
            thread.start()
    os.read(stopped, 1)
    clients.done.set()
    for thread in threads:
        thread.join()
    with os.fdopen(results, "wb") as file:
        file.write(json.dumps([clients.answers, clients.losses, clients.unannounced]).encode())


def _keep(clients):
    """Fetches by one connection until the server announces its end, then by the next."""
    connection = None
    while not clients.done.wait(_PAUSE):
        try:
            connection = connection or socket.create_connection(clients.address, _PATIENCE)
            if _is_closed(connection):
                # As any good client it looks before it sends, so no request is lost.
                clients.unannounced += 1
                connection = _end(connection)
                continue
            goes_on = _fetch(connection, clients.host, "keep-alive")
            if not goes_on:
                connection = _end(connection)
            clients.answered("kept")
        except (OSError, Refused) as error:
            clients.lost("kept", error)
            if connection:
                connection.close()
            connection = None
    if connection:
        connection.close()


def _short(clients):
    """Makes a connection for each request."""
    while not clients.done.wait(_PAUSE):
        try:
            with socket.create_connection(clients.address, _PATIENCE) as connection:
                _fetch(connection, clients.host, "close")
                _end(connection)
                clients.answered("short")
        except (OSError, Refused) as error:
            clients.lost("short", error)


def _is_closed(connection):
    """Whether the server has closed a connection that nothing is due on."""
    return bool(select.select([connection], [], [], 0)[0]) and not connection.recv(1, socket.MSG_PEEK)


def _fetch(connection, host, wish):
    """Sends a request and receives the page. Returns whether another may be sent."""
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: {wish}\r\n\r\n".encode())
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += _more(connection, answer)
    lines = answer[:end].decode().lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    while len(answer) < end + 4 + int(fields["content-length"]):
        answer += _more(connection, answer)
    if " 200 " not in lines[0]:
        raise Refused(lines[0])
    return fields.get("connection") != "close"


def _more(connection, so_far):
    more = connection.recv(4096)
    if not more:
        raise Refused("closed within an answer" if so_far else "closed without an answer")
    return more


def _end(connection):
    """Reads to the end that the server announced: a reset there is a loss, too."""
    if connection.recv(1):
        raise Refused("bytes behind the announced end")
    connection.close()
