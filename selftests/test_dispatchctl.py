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

from lib import check, daemon, dispatch, namespace, topology
from lib.client import Client, who
from lib.runner import test
from lib.topology import CLIENT, PROCESSES, SERVICE


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
