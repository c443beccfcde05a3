# SPDX-License-Identifier: GPL-2.0
"""A `daemon` as it is started by another program: `python3 -m lib.foreground HOST PORT [FILE]`.

It stays in the foreground, says its number and each signal that it gets, and ends at SIGTERM with a
status of its own. With FILE it listens once that is there.
"""

import os
import pathlib
import signal
import sys
import threading

from . import daemon, ip, wait

STATUS = 7
TOLD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)


def argv(*arguments):
    """The command that runs it, and the options that `background.program` needs for it."""
    directory = str(pathlib.Path(__file__).resolve().parent.parent)
    command = [sys.executable or "python3", "-m", "lib.foreground", *arguments]
    return command, {"env": os.environ | {"PYTHONPATH": directory, "PYTHONDONTWRITEBYTECODE": "1"}}


def _main(host, port, gate=None):
    # A thread takes them: Python's handlers wait as long as a system call that was just about to begin.
    signal.pthread_sigmask(signal.SIG_BLOCK, [*TOLD, signal.SIGTERM])
    threading.Thread(target=_take_signals, daemon=True).start()
    print(f"{os.getpid()} {host} {port} {os.environ.get('TCP_DISPATCH_SERVICE')}", flush=True)
    if gate:
        wait.until(lambda: os.path.exists(gate), f"{gate} is there")
    daemon.serve(daemon.listen(ip.endpoint(host, port), None))


def _take_signals():
    while True:
        number = signal.sigwait([*TOLD, signal.SIGTERM])
        if number == signal.SIGTERM:
            os._exit(STATUS)
        print(signal.Signals(number).name, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
