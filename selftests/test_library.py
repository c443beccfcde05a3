# SPDX-License-Identifier: GPL-2.0
"""The library, as a daemon links it: the examples `echo` and `echo_tokio` of rust/netlink.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..2:80   examples
                                 10.77.8.1:80      an example of an unprivileged user
"""

import os
import signal

from lib import check, client, topology, wait
from lib.client import Client, refused
from lib.runner import test
from lib.tool import Tool
from lib.topology import OTHER_HOST, PROCESSES, SERVICE

_EXAMPLES = os.environ.get("TCP_DISPATCH_EXAMPLES", "/opt/tcp_dispatch/examples")
_BLOCKING, _ASYNC = f"{_EXAMPLES}/echo", f"{_EXAMPLES}/echo_tokio"
_BOTH = {PROCESSES[0]: _BLOCKING, PROCESSES[1]: _ASYNC}
_USER = 4711
_REGISTRANTS = {"registrant_uid": _USER, "registrant_prefix": "10.77.8.0", "registrant_prefix_len": 24}
_OWN = "10.77.8.1:80"


def setup():
    net = topology.pair()
    net.server.sysctl("net/ipv4/ip_unprivileged_port_start", 0)
    return net


def _start(net, example, process, **options):
    """Starts an example and waits until it is registered."""
    tool = Tool(net.server, example, SERVICE, process, **options)

    def registered():
        check.true(not tool.has_ended(), f"{example} ended: {tool.stderr}")
        return net.control.process(SERVICE, process)

    wait.until(registered, f"{example} registers itself")
    return tool


def _state(net, process):
    return (net.control.process(SERVICE, process) or {}).get("state")


def _echoes(connection):
    connection.send("what goes in")
    check.equal(connection.line(), "what goes in", "what comes out")


def _serves(net):
    with Client(net.client, SERVICE) as connection:
        _echoes(connection)


@test
def a_daemon_registers_its_listening_socket_and_serves(net):
    net.control.service_add(SERVICE)
    for process, example in _BOTH.items():
        _start(net, example, process)
    found = net.control.processes(SERVICE)
    check.equal({address for _, address in found}, set(_BOTH), "what is registered")
    for each in found.values():
        check.equal((each["owner"], each["state"], each["weight"]), ("socket", "active", 1), "the registration")
    for _ in range(4):
        _serves(net)
    had = [each["stats"]["connections"] for each in net.control.processes(SERVICE).values()]
    check.equal(had, [2, 2], "connections of the two")


@test
def at_SIGTERM_it_drains_with_a_connection_open_and_then_it_ends(net):
    net.control.service_add(SERVICE)
    for process, example in _BOTH.items():
        tool = _start(net, example, process)
        with Client(net.client, SERVICE) as connection:
            _echoes(connection)
            tool.signal(signal.SIGTERM)
            wait.until(lambda: _state(net, process) == "draining", "it drains")
            check.true(net.control.process(SERVICE, process)["drain-timeout"] > 0, "it may drain for ever")
            refused(net.client, SERVICE)
            _echoes(connection)
            check.true(not tool.has_ended(), "it has ended before its connection")
        check.equal((tool.status(), tool.stderr), (0, ""), f"how {example} ended")
        check.equal(net.control.processes(), {}, "registrations")


@test
def a_kill_9_ends_the_registration_at_once(net):
    net.control.service_add(SERVICE)
    for process, example in _BOTH.items():
        tool = _start(net, example, process)
        _serves(net)
        tool.signal(signal.SIGKILL)
        check.equal(tool.status(), -signal.SIGKILL, "how it ended")
        check.equal(net.control.processes(), {}, "registrations")
        refused(net.client, SERVICE)


@test
def an_unprivileged_user_registers_where_the_service_permits_it_and_nowhere_else(net):
    user = {"user": _USER, "group": _USER, "extra_groups": []}
    net.control.service_add(SERVICE)
    _refused(net, SERVICE, _OWN, "neither an administrator", **user)
    net.control.service_set(SERVICE, **_REGISTRANTS)
    tool = _start(net, _BLOCKING, _OWN, **user)
    check.equal(net.control.process(SERVICE, _OWN)["uid"], _USER, "the registrant")
    _serves(net)
    _refused(net, SERVICE, PROCESSES[0], "range for registrants", **user)
    _refused(net, SERVICE, "10.77.8.2:80", "neither an administrator", **(user | {"user": _USER + 1}))
    tool.signal(signal.SIGTERM)
    check.equal((tool.status(), tool.stderr), (0, ""), "how it ended")
    check.equal(net.control.processes(), {}, "registrations")


def _refused(net, service, process, *words, **options):
    """The example can't register itself, and says why."""
    tool = Tool(net.server, _BLOCKING, service, process, **options)
    check.equal(tool.status(), 1, "the exit status")
    check.true(all(word in tool.stderr for word in words), f"not a good explanation: {tool.stderr}")
    check.equal(net.control.process(service, process), None, "the registration")


@test
def a_registration_that_is_refused_says_why(net):
    net.control.service_add(SERVICE)
    tool = Tool(net.server, _BLOCKING, f"{OTHER_HOST}:80", PROCESSES[0])
    check.equal(tool.status(), 1, "the exit status without the service")
    check.true("there is no service at this address" in tool.stderr, f"not a good explanation: {tool.stderr}")
    # The server's own address: it can be bound, and is none of the range.
    _refused(net, SERVICE, f"{topology.SERVER}:80", "range of process addresses", "process-address")
    client.refused(net.client, SERVICE)


@test
def who_is_drained_by_an_administrator_notices_and_goes_on(net):
    net.control.service_add(SERVICE)
    tool = _start(net, _ASYNC, PROCESSES[1])
    net.control.process_set(SERVICE, PROCESSES[1], state="draining")
    wait.until(lambda: _state(net, PROCESSES[1]) == "down", "it is drained")
    net.control.process_set(SERVICE, PROCESSES[1], state="active")
    _serves(net)
    # Deleted by somebody else, it has nothing to drain, and says so.
    net.control.process_del(SERVICE, PROCESSES[1])
    tool.signal(signal.SIGTERM)
    check.equal(tool.status(), 1, "the exit status")
    check.true("ENOENT" in tool.stderr, f"not a good explanation: {tool.stderr}")
