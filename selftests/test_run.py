# SPDX-License-Identifier: GPL-2.0
"""`dispatchctl run`: a daemon, registered for as long as it lives and listens.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80     service
                                 192.0.2.1:8080   service of an unprivileged user
                                 10.77.0.0/16     what dispatchctl runs
"""

import os
import signal
import tempfile

from lib import check, daemon, events, foreground, topology, wait
from lib.client import Client, refused, who
from lib.runner import test
from lib.tool import Tool
from lib.topology import HOST, PROCESSES, SERVICE

_FIRST, _SECOND, _THIRD = PROCESSES
_UNPRIVILEGED = f"{HOST}:8080"
_USER = 4711


def setup():
    return topology.pair()


def _run(net, *options, service=SERVICE, gate=(), **settings):
    """Starts a daemon by dispatchctl."""
    command, environment = foreground.argv("{address}", "{port}", *gate)
    arguments = ("dispatchctl", "run", service, *options, "--", *command)
    return Tool(net.server, *arguments, **(environment | settings))


def _serving(net, *options, service=SERVICE, **settings):
    """The same, when it serves; with its registration."""
    tool = _run(net, *options, service=service, **settings)
    return tool, wait.until(lambda: _active(net, tool, service), "a daemon is registered and active")


def _active(net, tool, service):
    check.true(not tool.has_ended(), f"dispatchctl ended: {tool.stdout}{tool.stderr}")
    if "serves" not in tool.stderr:
        return None
    _, host, port, _ = tool.stdout.split()
    found = net.control.process(service, f"{host}:{port}")
    return found if found and found["state"] == "active" else None


def _gate():
    """The name of a file that isn't there yet."""
    return f"{tempfile.mkdtemp()}/listen"


def _state(net, process=_FIRST):
    return (net.control.process(SERVICE, process) or {}).get("state")


def _unregistered(net):
    wait.until(lambda: not net.control.processes(), "the registration ends")


@test
def it_fills_in_an_address_that_is_free(net):
    net.control.service_add(SERVICE)
    # Registered and not listened on; listened on and not registered.
    net.control.process_add(SERVICE, _FIRST)
    with daemon.listen(_SECOND, net.server):
        _, process = _serving(net)
    check.equal(process["process-address"], _THIRD, "the address that it took")
    check.equal(who(net.client, SERVICE)[0], _THIRD, "the address that it listens on")


@test
def two_at_once_take_different_addresses(net):
    net.control.service_add(SERVICE)
    tools = [_run(net) for _ in range(3)]
    for tool in tools:
        wait.until(lambda: _active(net, tool, SERVICE), "a daemon is registered and active")
    taken = [" ".join(tool.stdout.split()[1:]) for tool in tools]
    check.equal(sorted(taken), [f"{each.replace(':', ' ')} {SERVICE}" for each in PROCESSES], "what they were told")
    check.equal({who(net.client, SERVICE)[0] for _ in range(3)}, set(PROCESSES), "who serves")


@test
def it_is_registered_as_its_pids_with_weight_and_cpus(net):
    net.control.service_add(SERVICE)
    tool, process = _serving(net, "--address", _THIRD, "--weight", "9", "--cpus", "0-1")
    pid = int(tool.stdout.split()[0])
    check.true(pid != tool.pid, "the daemon is dispatchctl itself")
    want = {"process-address": _THIRD, "owner": "pid", "pid": pid, "weight": 9, "cpus": "0-1", "state": "active"}
    check.equal({name: process.get(name) for name in want}, want, "its registration")


@test
def it_gets_no_connection_before_it_listens_and_those_that_come_then(net):
    gate = _gate()
    daemon.start(_SECOND, namespace=net.server)
    net.control.serve(SERVICE, _SECOND)
    with events.Events(net.server) as heard:
        tool = _run(net, gate=[gate])
        added = heard.find("process-add-ntf")
        check.equal((added["process-address"], added["state"]), (_FIRST, "down"), "its registration at first")
        check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_SECOND}, "who serves meanwhile")
        open(gate, "w", encoding="ascii").close()
        check.equal(heard.find("process-set-ntf")["state"], "active", "its state once it listens")
    check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_FIRST, _SECOND}, "who serves then")
    check.true(not tool.has_ended(), "dispatchctl has ended")


@test
def SIGTERM_lets_it_drain_first_and_its_exit_status_is_passed_on(net):
    net.control.service_add(SERVICE)
    tool, process = _serving(net)
    with Client(net.client, SERVICE) as open_connection:
        open_connection.who()
        tool.signal(signal.SIGTERM)
        wait.until(lambda: _state(net) == "draining", "it drains")
        check.true(net.control.process(SERVICE, _FIRST)["drain-timeout"] <= 30_000, "it may drain for 30 s at most")
        refused(net.client, SERVICE)
        check.equal(open_connection.who()[0], _FIRST, "who serves the open connection")
        check.true(os.path.exists(f"/proc/{process['pid']}"), "the daemon has ended before its connection")
    check.equal(tool.status(), foreground.STATUS, f"the exit status; dispatchctl said {tool.stderr}")
    check.equal(net.control.processes(), {}, "registrations")


@test
def what_is_left_after_the_drain_timeout_is_reset(net):
    net.control.service_add(SERVICE)
    tool, _ = _serving(net, "--drain-timeout", f"{int(1500 * wait.SCALE)}ms")
    with Client(net.client, SERVICE) as open_connection:
        open_connection.who()
        tool.signal(signal.SIGTERM)
        check.raises(ConnectionResetError, open_connection.socket.recv, 1)
    check.equal(tool.status(), foreground.STATUS, "the exit status")


@test
def a_second_SIGTERM_ends_the_draining(net):
    net.control.service_add(SERVICE)
    tool, _ = _serving(net, "--drain-timeout", "1h")
    with Client(net.client, SERVICE) as open_connection:
        open_connection.who()
        tool.signal(signal.SIGTERM)
        wait.until(lambda: _state(net) == "draining", "it drains")
        tool.signal(signal.SIGTERM)
        check.equal(tool.status(), foreground.STATUS, "the exit status")
        open_connection.ended()


@test
def it_passes_other_signals_on(net):
    net.control.service_add(SERVICE)
    tool, _ = _serving(net)
    for number in foreground.TOLD:
        tool.signal(number)
        wait.until(lambda: number.name in tool.stdout.split(), f"the daemon gets {number.name}")
    check.equal(_state(net), "active", "its state")
    check.true(not tool.has_ended(), "dispatchctl has ended")


@test
def the_registration_ends_at_once_when_the_daemon_is_killed(net):
    daemon.start(_SECOND, namespace=net.server)
    net.control.serve(SERVICE, _SECOND)
    tool, process = _serving(net)
    check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_FIRST, _SECOND}, "who serves")
    os.kill(process["pid"], signal.SIGKILL)
    check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_SECOND}, "who serves after the death")
    check.equal(tool.status(), 128 + signal.SIGKILL, "the exit status")
    check.equal({address for _, address in net.control.processes()}, {_SECOND}, "registrations")


@test
def when_dispatchctl_is_killed_the_daemon_ends_and_the_registration_with_it(net):
    net.control.service_add(SERVICE)
    tool, process = _serving(net)
    tool.signal(signal.SIGKILL)
    check.equal(tool.status(), -signal.SIGKILL, "the end of dispatchctl")
    _unregistered(net)
    wait.until(lambda: not _lives(process["pid"]), "the daemon ends")
    refused(net.client, SERVICE)


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@test
def a_daemon_that_ends_before_it_listens_is_told_with_its_status(net):
    net.control.service_add(SERVICE)
    for command, status, words in (
        (("sh", "-c", "exit 5"), 5, "exit status: 5"),
        (("sh", "-c", "kill -KILL $$"), 128 + signal.SIGKILL, "signal: 9"),
        # A daemon that goes to the background: the status says nothing of it.
        (("true",), 1, "exit status: 0"),
    ):
        outcome = net.server.result("dispatchctl", "run", SERVICE, "--", *command)
        shown = outcome.stderr
        check.equal(outcome.returncode, status, f"the exit status of dispatchctl run … {command}, which says {shown}")
        check.true(f"before it listened on {_FIRST}" in shown and words in shown, f"not a good explanation: {shown}")
        check.true("foreground" in shown, f"no word on what to do: {shown}")
        check.equal(net.control.processes(), {}, "registrations")


@test
def SIGTERM_ends_a_daemon_that_does_not_listen_yet(net):
    net.control.service_add(SERVICE)
    tool = _run(net, gate=[_gate()])
    wait.until(lambda: tool.stdout, "the daemon runs")
    tool.signal(signal.SIGTERM)
    check.equal(tool.status(), foreground.STATUS, "the exit status")
    _unregistered(net)


@test
def a_command_that_cannot_be_run_has_the_status_that_shells_give(net):
    net.control.service_add(SERVICE)
    for command, status in (("/no/such/daemon", 127), ("no-such-daemon", 127), ("/etc/passwd", 126)):
        outcome = net.server.result("dispatchctl", "run", SERVICE, "--", command)
        check.equal(outcome.returncode, status, f"the exit status of dispatchctl run … {command}")
        check.true(command in outcome.stderr, f"the command isn't named: {outcome.stderr}")
    check.equal(net.control.processes(), {}, "registrations")


@test
def an_address_that_it_cannot_have_is_refused_before_anything_is_started(net):
    started = f"{tempfile.mkdtemp()}/started"
    net.control.serve(SERVICE, _FIRST)
    with daemon.listen(_SECOND, net.server):
        for service, address, words in (
            (SERVICE, _SECOND, ("can't be bound", "ss -ltn")),
            (SERVICE, _FIRST, ("registered for this service already", "process del")),
            (SERVICE, "127.0.0.9:80", ("not of the range", "10.77.0.0/16")),
            (f"{HOST}:99", _THIRD, (f"{HOST}:99", "ENOENT")),
        ):
            arguments = ("run", service, "--address", address, "--", "touch", started)
            outcome = net.server.result("dispatchctl", *arguments)
            check.equal(outcome.returncode, 1, f"the exit status of dispatchctl {arguments}")
            check.true(all(word in outcome.stderr for word in words), f"not a good explanation: {outcome.stderr}")
            check.true(not os.path.exists(started), f"the daemon was started all the same, on {address}")


@test
def an_unprivileged_user_runs_one_where_the_service_permits_it(net):
    net.server.sysctl("net/ipv4/ip_unprivileged_port_start", 0)
    network, bits = "10.77.8.0", 24
    permitted = {"registrant_uid": _USER, "registrant_prefix": network, "registrant_prefix_len": bits}
    net.control.service_add(_UNPRIVILEGED, **permitted)
    user = {"user": _USER, "group": _USER, "extra_groups": []}
    tool, process = _serving(net, service=_UNPRIVILEGED, **user)
    check.equal(process["process-address"], "10.77.8.1:8080", "an address of the registrants' range")
    check.equal((process["owner"], process["uid"]), ("pid", _USER), "its owner and its user")
    check.equal(who(net.client, _UNPRIVILEGED)[0], "10.77.8.1:8080", "who serves")
    tool.signal(signal.SIGTERM)
    check.equal(tool.status(), foreground.STATUS, f"the exit status; dispatchctl said {tool.stderr}")
    other = _run(net, service=_UNPRIVILEGED, **(user | {"user": _USER + 1}))
    check.equal(other.status(), 1, "the exit status for another user")
    check.true("EPERM" in other.stderr, f"not a good explanation: {other.stderr}")
