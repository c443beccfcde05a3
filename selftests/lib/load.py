# SPDX-License-Identifier: GPL-2.0
"""New connections at a steady rate, each of which asks who serves it."""

import collections
import dataclasses
import errno
import json
import os
import select
import socket
import time

from . import background, wait

_QUESTION = b"who\n"


@dataclasses.dataclass
class Attempt:
    """What came of one connection."""

    start: float  # by time.monotonic(), before its first SYN
    outcome: str  # the process address that answered, or the error's name


class Load:
    """Connects while the `with` lasts, so many times a second as far as the computer keeps up."""

    def __init__(self, namespace, address, rate):
        self._stop, stopped = os.pipe()[::-1]
        self._results, results = os.pipe()
        arguments = (namespace, address, rate, stopped, results)
        self._process = background.fork(_run, *arguments, keep=[stopped, results])
        os.close(stopped)
        os.close(results)
        self.attempts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._stop)
        with os.fdopen(self._results, "rb") as file:
            self.attempts = [Attempt(*each) for each in json.loads(file.read() or b"[]")]
        self._process.wait()

    def since(self, start):
        """How many attempts that were begun after `start` ended in what way."""
        return collections.Counter(each.outcome for each in self.attempts if each.start > start)


def _run(namespace, address, rate, stopped, results):
    host, port = address.rsplit(":", 1)
    poll = select.epoll()
    poll.register(stopped, select.EPOLLIN)
    going, done = {}, []
    due, end = time.monotonic(), None
    with namespace:
        while end is None or (going and time.monotonic() < end):
            pause = 0.1 if end else max(0, due - time.monotonic())
            for file, _ in poll.poll(pause):
                if file == stopped:
                    poll.unregister(file)
                    end = time.monotonic() + wait.DEADLINE / 2
                else:
                    _go_on(poll, going, done, file)
            if end is None and time.monotonic() >= due:
                # What the computer was too slow for is not made up for by a burst.
                due = max(due + 1 / rate, time.monotonic() - 0.1)
                _begin(poll, going, done, (host, int(port)))
    done += [(start, "no answer") for _, start, _ in going.values()]
    with os.fdopen(results, "wb") as file:
        file.write(json.dumps(done).encode())


def _begin(poll, going, done, address):
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    start = time.monotonic()
    error = client.connect_ex(address)
    if error == errno.EINPROGRESS:
        going[client.fileno()] = (client, start, [])
        poll.register(client, select.EPOLLOUT)
    else:
        done.append((start, errno.errorcode[error]))


def _go_on(poll, going, done, file):
    client, start, answer = going[file]
    outcome = None
    try:
        if not answer:
            error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            client.send(_QUESTION)
            answer.append(b"")
            poll.modify(client, select.EPOLLIN)
        else:
            answer.append(client.recv(200))
            whole = b"".join(answer)
            if whole.endswith(b"\n"):
                outcome = whole.decode().split()[0]
            elif not answer[-1]:
                outcome = "closed"
    except OSError as error:
        outcome = errno.errorcode[error.errno]
    if outcome:
        done.append((start, outcome))
        del going[file]
        client.close()
