# SPDX-License-Identifier: GPL-2.0
"""The tool, as people and programs use it.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
    bare: a namespace without anything
"""

import dataclasses
import json
import os
import pwd

from lib import check, daemon, dispatch, namespace, topology, wait
from lib.client import Client, who
from lib.runner import test
from lib.tool import Tool
from lib.topology import CLIENT, HOST, PROCESSES, SERVICE


@dataclasses.dataclass
class Net:
    pair: topology.Pair
    bare: namespace.Namespace

    @property
    def server(self):
        return self.pair.server

    @property
    def client(self):
        return self.pair.client


def setup():
    pair = topology.pair()
    daemon.start(*PROCESSES, namespace=pair.server)
    return Net(pair, namespace.Namespace("bare"))


def _tool(where, *arguments):
    return where.run("dispatchctl", *arguments)


def _json(where, *arguments):
    return json.loads(_tool(where, *arguments, "--json"))


def _fails(where, *arguments, status=1):
    """The tool must fail with one line that says of whom it speaks; returns the line."""
    outcome = where.result("dispatchctl", *arguments)
    check.equal(outcome.returncode, status, f"exit status of dispatchctl {' '.join(arguments)}: {outcome.stderr}")
    check.equal(outcome.stdout, "", "standard output of a failure")
    check.true(outcome.stderr, "a failure without a word")
    return outcome.stderr


@test
def it_adds_lists_and_deletes_services_and_processes(net):
    _tool(net.server, "service", "add", SERVICE)
    for process in PROCESSES:
        _tool(net.server, "process", "add", SERVICE, process)
    check.true(who(net.client, SERVICE)[0] in PROCESSES, "no process of the service answered")
    table = _tool(net.server, "service", "list")
    check.true(SERVICE in table, f"the service is not in the table:\n{table}")
    table = _tool(net.server, "process", "list")
    check.true(all(process in table for process in PROCESSES), f"a process is not in the table:\n{table}")
    check.equal(len(table.strip().splitlines()[-1].split()), len(table.strip().splitlines()[-2].split()), "columns")
    table = _tool(net.server, "process", "list", SERVICE)
    check.true(PROCESSES[2] in table, f"a process is not in the service's table:\n{table}")
    _tool(net.server, "process", "del", SERVICE, PROCESSES[0])
    check.equal(len(net.pair.control.processes()), 2, "processes after a deletion")
    _tool(net.server, "service", "del", SERVICE)
    check.equal(net.pair.control.services(), {}, "services after the deletion")


@test
def it_sets_how_a_service_works_and_shows_it(net):
    service = ("service", "set", SERVICE)
    _tool(net.server, "service", "add", SERVICE, "--scheduler", "wlc", "--refusal", "retry")
    _tool(net.server, *service, "--affinity", "300/24", "--allow-user", "www-data", "--allow-group", "4711")
    _tool(net.server, *service, "--allow-range", "10.77.8.0/24")
    found = net.pair.control.service(SERVICE)
    uid = pwd.getpwnam("www-data").pw_uid
    want = {
        "scheduler": "wlc",
        "refusal": "retry",
        "affinity-timeout": 300,
        "affinity-prefix-len": 24,
        "registrant-uid": uid,
        "registrant-gid": 4711,
        "registrant-prefix": "10.77.8.0",
        "registrant-prefix-len": 24,
    }
    check.equal({name: found[name] for name in want}, want, "the service's settings")
    check.equal({name: _json(net.server, "service", "show", SERVICE)[name] for name in want}, want, "they, as JSON")
    shown = _tool(net.server, "service", "show", SERVICE)
    for words in ("wlc", "retry", "300/24", f"user {uid} and group 4711 in 10.77.8.0/24"):
        check.true(words in shown, f"`{words}` isn't shown:\n{shown}")
    _tool(net.server, *service, "--affinity", "0", "--allow-user", "none", "--allow-group", "none")
    _tool(net.server, *service, "--allow-range", "none", "--scheduler", "rr")
    found = _json(net.server, "service", "show", SERVICE)
    gone = ("registrant-uid", "registrant-gid", "registrant-prefix")
    check.equal([found[name] for name in gone], [None] * 3, "registrants at the end")
    check.equal((found["affinity-timeout"], found["scheduler"], found["refusal"]), (0, "rr", "retry"), "the rest")


@test
def it_sets_and_drains_processes_and_shows_them(net):
    first, second, _ = PROCESSES
    nobody_there = "10.77.0.9:80"
    net.pair.control.service_add(SERVICE)
    for process in (first, second):
        _tool(net.server, "process", "add", SERVICE, process, "--weight", "65535", "--cpus", "0-1")
    _tool(net.server, "process", "add", SERVICE, nobody_there, "--pid", str(os.getpid()))
    _tool(net.server, "process", "set", SERVICE, second, "--weight", "0", "--cpus", "")
    found = _json(net.server, "process", "show", SERVICE, first)
    check.equal((found["weight"], found["cpus"], found["owner"]), (65535, "0-1", "none"), "the first one's settings")
    check.equal((found["accept-queue"], found["accept-queue-max"]), (0, 4096), "its accept queue")
    found = _json(net.server, "process", "show", SERVICE, second)
    check.equal((found["weight"], found["cpus"], found["state"]), (0, "", "active"), "the second one's settings")
    found = _json(net.server, "process", "show", SERVICE, nobody_there)
    check.equal((found["pid"], found["accept-queue-max"]), (os.getpid(), None), "owner and queue where nobody listens")
    shown = _tool(net.server, "process", "show", SERVICE, nobody_there)
    check.true(f"pid {os.getpid()}" in shown and "nobody listens" in shown, f"owner and queue aren't shown:\n{shown}")
    table = _tool(net.server, "process", "list", SERVICE)
    check.true("65535" in table and "0/4096" in table and f"pid {os.getpid()}" in table, f"not a good table:\n{table}")

    with Client(net.client, SERVICE) as client:
        check.equal(client.who()[0], first, "who serves")
        waiting = Tool(net.server, "dispatchctl", "process", "drain", SERVICE, first, "--timeout", "1h", "--wait")
        wait.until(lambda: _state(net, first) == "draining", "it drains")
        shown = _tool(net.server, "process", "show", SERVICE, first)
        check.true("draining, what is left is reset in 35" in shown, f"the time that is left isn't shown:\n{shown}")
        check.true(not waiting.has_ended(), "the drain has ended with a connection left")
    check.equal((waiting.status(), _state(net, first)), (0, "down"), "how the drain ended")
    _tool(net.server, "process", "set", SERVICE, first, "--state", "active")
    check.equal(who(net.client, SERVICE)[0], first, "who serves again")
    with Client(net.client, SERVICE) as client:
        client.who()
        _tool(net.server, "process", "set", SERVICE, first, "--state", "down")
        check.raises(ConnectionResetError, client.socket.recv, 1)


def _state(net, process):
    return net.pair.control.process(SERVICE, process)["state"]


@test
def a_drain_that_somebody_stops_is_a_failure_that_says_so(net):
    process = PROCESSES[0]
    net.pair.control.serve(SERVICE, process)
    for stop, words in (
        (lambda: net.pair.control.process_set(SERVICE, process, state="active"), "active again"),
        (lambda: net.pair.control.process_del(SERVICE, process), "connection list --service"),
    ):
        with Client(net.client, SERVICE) as client:
            client.who()
            waiting = Tool(net.server, "dispatchctl", "process", "drain", SERVICE, process, "--wait")
            wait.until(lambda: _state(net, process) == "draining", "it drains")
            stop()
            check.equal(waiting.status(), 1, "the exit status")
            check.true(words in waiting.stderr, f"not a good explanation: {waiting.stderr}")


@test
def its_JSON_has_the_specifications_names(net):
    net.pair.control.empty()
    net.pair.control.serve(SERVICE, *PROCESSES)
    with Client(net.client, SERVICE) as client:
        client.who()
        (service,) = _json(net.server, "service", "list")
        check.equal(service["service-address"], SERVICE, "the service's address")
        check.equal((service["processes"], service["connections"]), (3, 1), "processes and connections")
        names = {"connections", "packets-in", "bytes-in", "packets-out", "bytes-out"}
        check.equal(set(service["stats"]), names, "names of counters")
        check.true({"no-process", "connection-limit", "conflict"} <= set(service["drops"]), "names of drop counters")
        processes = _json(net.server, "process", "list", SERVICE)
        check.equal([each["process-address"] for each in processes], PROCESSES, "processes")
        check.equal(sum(each["stats"]["connections"] for each in processes), 1, "their connections")
        (connection,) = _json(net.server, "connection", "list")
        check.equal(connection["client-address"], client.address, "the client's address")
        check.equal(connection["state"], "established", "the connection's state")
        check.true(connection["process-address"] in PROCESSES, "the connection's process")
    check.true(isinstance(_json(net.server, "status"), dict), "status is no object")


@test
def it_lists_the_connections_of_one_service_or_process(net):
    net.pair.control.serve(SERVICE, PROCESSES[0])
    with Client(net.client, SERVICE) as client:
        client.who()
        for arguments, found in (
            (("--service", SERVICE), True),
            (("--process", PROCESSES[0]), True),
            (("--service", "192.0.2.9:80"), False),
            (("--process", PROCESSES[1]), False),
        ):
            listed = [each["client-address"] for each in _json(net.server, "connection", "list", *arguments)]
            check.equal(client.address in listed, found, f"the connection in the list of {arguments}")


@test
def it_lists_the_connections_of_a_range_of_clients_or_in_a_state(net):
    net.pair.control.serve(SERVICE, PROCESSES[0])
    with Client(net.client, SERVICE) as client, Client(net.server, SERVICE) as local:
        client.who(), local.who()
        remote = {client.address}
        both = {client.address, local.address}
        for arguments, found in (
            (("--client", "198.51.100.0/24"), remote),
            (("--client", CLIENT), remote),
            (("--client", "192.0.2.0/24"), both - remote),
            (("--client", "203.0.113.0/24"), set()),
            (("--state", "established"), both),
            (("--state", "time-wait"), set()),
            (("--state", "established", "--client", CLIENT, "--service", SERVICE, "--process", PROCESSES[0]), remote),
            (("--state", "established", "--client", CLIENT, "--process", PROCESSES[1]), set()),
        ):
            listed = {each["client-address"] for each in _json(net.server, "connection", "list", *arguments)}
            check.equal(listed & both, found, f"connections in the list of {arguments}")
        table = _tool(net.server, "connection", "list", "--client", CLIENT)
        check.true(client.address in table and local.address not in table, f"not the client's table:\n{table}")


@test
def it_adds_and_deletes_connections(net):
    net.pair.control.serve(SERVICE, *PROCESSES)
    source = f"{CLIENT}:55000"
    _tool(net.server, "connection", "add", source, SERVICE, PROCESSES[2])
    check.equal(len(net.pair.control.connections(client=source)), 1, "the connection's entries")
    _tool(net.server, "connection", "del", source, SERVICE)
    check.equal(net.pair.control.connections(client=source), [], "the connection's entries after its deletion")


@test
def its_errors_say_what_failed_on_which_object_and_why(net):
    for arguments, words in (
        (("service", "del", SERVICE), (SERVICE,)),
        (("process", "add", SERVICE, PROCESSES[0]), (SERVICE, PROCESSES[0])),
        (("process", "del", SERVICE, PROCESSES[0]), (SERVICE, PROCESSES[0])),
        (("connection", "del", f"{CLIENT}:1", SERVICE), (f"{CLIENT}:1", SERVICE)),
    ):
        shown = _fails(net.server, *arguments)
        check.true("ENOENT" in shown and all(word in shown for word in words), f"not a good explanation: {shown}")
    net.pair.control.service_add(SERVICE)
    shown = _fails(net.server, "service", "add", SERVICE)
    check.true(SERVICE in shown and "EEXIST" in shown, f"not a good explanation: {shown}")
    shown = _fails(net.server, "process", "add", SERVICE, "10.78.0.1:80")
    check.true("10.78.0.1:80" in shown and "EADDRNOTAVAIL" in shown, f"not a good explanation: {shown}")
    for arguments, words in (
        (("service", "set", f"{HOST}:99", "--scheduler", "rr"), (f"{HOST}:99", "service list")),
        (("service", "set", SERVICE, "--allow-range", "10.78.0.0/24"), (SERVICE, "registrant-prefix", "range")),
        (("process", "set", SERVICE, PROCESSES[0], "--weight", "1"), (PROCESSES[0], f"process list {SERVICE}")),
        (("process", "drain", SERVICE, PROCESSES[0]), (PROCESSES[0], f"process list {SERVICE}")),
        (("process", "drain", f"{HOST}:99", PROCESSES[0]), (f"{HOST}:99", "service list")),
        (("process", "add", SERVICE, PROCESSES[0], "--cpus", "0-9999"), ("no such CPU", "cpus")),
        (("process", "add", SERVICE, PROCESSES[0], "--cpus", "9x"), ("such as 0-3,8", "cpus")),
        (("process", "add", SERVICE, PROCESSES[0], "--pid", "4194304"), ("no process with this pid", "ESRCH")),
    ):
        shown = _fails(net.server, *arguments)
        check.true(all(word in shown for word in words), f"not a good explanation: {shown}")
    for arguments, words in (
        (("service", "add", SERVICE, "--scheduler", "best"), "rr, wrr, lc, wlc, mh, sh, saq, cpu"),
        (("service", "add", SERVICE, "--refusal", "drop"), "tcp, reset, retry"),
        (("service", "add", SERVICE, "--affinity", "5m"), "300/24"),
        (("service", "add", SERVICE, "--allow-user", "nobody-of-this-name"), "id -u"),
        (("service", "set", SERVICE), "service set --help"),
        (("process", "set", SERVICE, PROCESSES[0]), "process set --help"),
        (("process", "add", SERVICE, PROCESSES[0], "--weight", "65536"), "65535"),
        (("process", "add", SERVICE, "10.77.0.1"), "IP:PORT"),
        (("process", "drain", SERVICE, PROCESSES[0], "--timeout", "soon"), "30s"),
        (("connection", "list", "--state", "asleep"), "time-wait"),
        (("connection", "list", "--client", "198.51.100.7/24"), "198.51.100.0/24"),
    ):
        shown = _fails(net.server, *arguments, status=2)
        check.true(words in shown, f"not a good explanation: {shown}")
    for arguments in (("service", "add", "nonsense"), ("process", "add", SERVICE), ("frobnicate",), ("service",)):
        _fails(net.server, *arguments, status=2)


@test
def up_twice_is_up_and_down_twice_is_down(net):
    bare = dispatch.Dispatch(net.bare)
    links = net.bare.ip("-br link")
    rules, local = net.bare.ip("rule"), net.bare.ip("route show table local")
    bare.up()
    state = [net.bare.ip(what) for what in ("rule", "route show table all", "-br addr")]
    bare.up()
    check.equal([net.bare.ip(what) for what in ("rule", "route show table all", "-br addr")], state, "set-up, twice")
    check.equal(bare.net()["process-prefix"], "10.77.0.0", "the prefix")
    bare.tool("down")
    bare.tool("down")
    check.equal(net.bare.ip("-br link"), links, "links after `down`")
    check.equal((net.bare.ip("rule"), net.bare.ip("route show table local")), (rules, local), "rules and routes")
    check.true(bare.net().get("process-prefix-len", 0) == 0, "a prefix after `down`")


@test
def up_with_another_range_is_refused(net):
    shown = _fails(net.server, "up", "--range", "10.88.0.0/16")
    check.true("10.77.0.0/16" in shown, f"the error does not say which range there is: {shown}")
    for wrong in ("10.77.0.0/33", "10.77.0.1/16", "nonsense"):
        outcome = net.bare.result("dispatchctl", "up", "--range", wrong)
        check.true(outcome.returncode in (1, 2) and outcome.stderr, f"`up --range {wrong}` was accepted")


@test
def down_refuses_while_processes_are_registered_unless_forced(net):
    bare = dispatch.Dispatch(net.bare)
    bare.tool("up", "--range", "10.99.0.0/24", "--table", "99", "--max-connections", "77")
    check.equal(bare.net()["max-connections"], 77, "the limit")
    check.true("tcp_dispatch1" in net.bare.ip("route show table 99"), "no route in the table that was named")
    bare.serve(SERVICE, "10.99.0.1:80")
    _fails(net.bare, "down")
    check.equal(len(bare.processes()), 1, "processes after `down` was refused")
    bare.tool("down", "--force")
    check.equal((bare.services(), bare.processes()), ({}, {}), "services and processes after `down --force`")
    check.true("tcp_dispatch" not in net.bare.ip("-br link"), "a device after `down --force`")


@test
def status_says_what_is_wrong_with_the_set_up(net):
    bare = dispatch.Dispatch(net.bare).up()
    whole = bare.tool("status")
    check.true("10.77.0.0/16" in whole, f"status without the range:\n{whole}")
    net.bare.ip("rule del from 10.77.0.0/16 table 77")
    broken = bare.tool("status")
    check.true(broken != whole and "rule" in broken, f"status does not say that the rule is gone:\n{broken}")
    bare.up()
    check.equal(bare.tool("status"), whole, "status after `up` again")
    bare.tool("down")


@test
def up_and_status_warn_of_rules_that_come_before_the_layers(net):
    bare = dispatch.Dispatch(net.bare).up()
    rules = ("pref 100 from 10.0.0.0/8 lookup 5", "pref 101 fwmark 1 lookup 5")
    harmless = ("pref 102 iif tcp_dispatch1 lookup 5", "pref 103 from 10.78.0.0/16 lookup 5", "pref 991 lookup 5")
    net.bare.batch(*(f"rule add {rule}" for rule in harmless))
    check.equal(_json(net.bare, "status")["plumbing"]["warnings"], [], "warnings of harmless rules")
    net.bare.batch(*(f"rule add {rule}" for rule in rules))
    begins = ["the rule 100, `from 10.0.0.0/8 lookup 5`, ", "the rule 101, `from all … lookup 5`, "]
    told = net.bare.result("dispatchctl", "up").stderr.splitlines()
    for warnings in (
        _json(net.bare, "status")["plumbing"]["warnings"],
        [line.removeprefix("dispatchctl: warning: ") for line in told],
    ):
        found = [warning[: len(begin)] for warning, begin in zip(warnings, begins, strict=True)]
        check.equal(found, begins, "warnings")
    net.bare.batch(*(f"rule del {rule}" for rule in rules + harmless))
    bare.tool("down")


@test
def it_acts_in_the_namespace_that_it_is_told(net):
    net.pair.control.service_add(SERVICE)
    (service,) = _json(net.client, "--netns", "server", "service", "list")
    check.equal(service["service-address"], SERVICE, "the service as seen from outside")
    check.equal(_json(net.client, "service", "list"), [], "services of the client's own namespace")
    check.true("nowhere" in _fails(net.client, "--netns", "nowhere", "status"), "an unknown namespace is not named")


@test
def it_completes_and_documents_itself(net):
    for shell in ("bash", "zsh", "fish"):
        check.true("dispatchctl" in _tool(net.server, "completions", shell), f"completions for {shell}")
    check.true(".TH" in _tool(net.server, "man"), "no manual page")
    for arguments in (("--help",), ("service", "--help"), ("up", "--help")):
        check.true("Usage" in _tool(net.server, *arguments), f"dispatchctl {' '.join(arguments)}")
