# SPDX-License-Identifier: GPL-2.0
"""The kernel source's own netlink client drives the family, from the specification alone.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
"""

import json
import os
import subprocess

from lib import background, check, command, daemon, topology, wait
from lib.client import Client
from lib.runner import test
from lib.topology import CLIENT, HOST, PROCESSES, SERVICE

_HERE = os.environ.get("TCP_DISPATCH_HOME", "/opt/tcp_dispatch")
_CLI = f"{_HERE}/ynl/pyynl/cli.py"
_SPEC = f"{_HERE}/specs/tcp_dispatch.yaml"


def setup():
    for path in (_CLI, _SPEC):
        check.true(os.path.exists(path), f"{path} is not there")
    net = topology.pair()
    daemon.start(*PROCESSES, namespace=net.server)
    return net


def _cli(net, *arguments, schema=("--no-schema",)):
    return net.server.run("python3", _CLI, "--spec", _SPEC, *schema, "--output-json", *arguments)


def _address(address):
    host, port = address.rsplit(":", 1)
    return {"ipv4": host, "port": int(port)}


def _do(operation, **values):
    """The arguments that make cli.py carry an operation out."""
    return "--multi", operation, json.dumps({name.replace("_", "-"): value for name, value in values.items()})


@test
def it_adds_a_service_and_its_processes_and_clients_are_served(net):
    arguments = _do("service-add", service_address=_address(SERVICE))
    for process in PROCESSES:
        arguments += _do("process-add", service_address=_address(SERVICE), process_address=_address(process))
    # Once with the kernel's schema of specifications, which takes long to check.
    _cli(net, *arguments, schema=())
    with Client(net.client, SERVICE) as client:
        check.true(client.who()[0] in PROCESSES, "no process of the service answered")
    check.equal({process for _, process in net.control.processes(SERVICE)}, set(PROCESSES), "the processes")


@test
def it_dumps_services_processes_and_connections(net):
    net.control.empty()
    net.control.serve(SERVICE, *PROCESSES)
    with Client(net.client, SERVICE) as client:
        process, _ = client.who()
        (service,) = json.loads(_cli(net, "--dump", "service-get"))
        check.equal(service["service-address"], _address(SERVICE), "the service's address")
        check.equal((service["processes"], service["connections"]), (3, 1), "processes and connections")
        check.equal(service["stats"]["connections"], 1, "connections counted")
        check.true("no-process" in service["drops"], "no drop counters")
        processes = json.loads(
            _cli(net, "--dump", "process-get", "--json", json.dumps({"service-address": _address(SERVICE)}))
        )
        check.equal([each["process-address"] for each in processes], [_address(each) for each in PROCESSES], "processes")
        (connection,) = json.loads(_cli(net, "--dump", "connection-get"))
        del connection["age"]
        want = {
            "client-address": _address(client.address),
            "service-address": _address(SERVICE),
            "process-address": _address(process),
            "state": "established",
        }
        check.equal(connection, want, "the connection")


@test
def it_gets_and_sets_what_holds_for_the_namespace(net):
    before = json.loads(_cli(net, "--do", "net-get"))
    check.equal((before["process-prefix"], before["process-prefix-len"]), ("10.77.0.0", 16), "the prefix")
    _cli(net, "--do", "net-set", "--json", json.dumps({"max-connections": 4321}))
    try:
        check.equal(net.control.net()["max-connections"], 4321, "the limit")
    finally:
        net.control.limit(before["max-connections"])


@test
def it_adds_and_deletes_a_connection_and_deletes_process_and_service(net):
    net.control.serve(SERVICE, *PROCESSES)
    name = {"client_address": {"ipv4": CLIENT, "port": 54000}, "service_address": _address(SERVICE)}
    _cli(net, *_do("connection-add", **name, process_address=_address(PROCESSES[0])))
    check.equal(len(net.control.connections(client=f"{CLIENT}:54000")), 1, "the connection's entries")
    _cli(
        net,
        *_do("connection-del", **name),
        *_do("process-del", service_address=_address(SERVICE), process_address=_address(PROCESSES[0])),
    )
    check.equal(net.control.connections(client=f"{CLIENT}:54000"), [], "the connection's entries after its deletion")
    check.equal(len(net.control.processes()), 2, "processes")
    _cli(net, "--do", "service-del", "--json", json.dumps({"service-address": _address(SERVICE)}))
    check.equal(net.control.services(), {}, "services")


@test
def it_shows_the_kernels_explanation_of_a_refusal(net):
    net.control.service_add(SERVICE)
    arguments = ("--do", "service-add", "--json", json.dumps({"service-address": _address(SERVICE)}))
    error = check.raises(command.CommandFailed, _cli, net, *arguments)
    shown = error.stdout + error.stderr
    check.true("File exists" in shown, f"the error is not named:\n{shown}")
    check.true("service-address" in shown, f"the offending attribute is not named:\n{shown}")
    nested = json.dumps({"service-address": {"ipv4": HOST}})
    error = check.raises(command.CommandFailed, _cli, net, "--do", "service-add", "--json", nested)
    check.true("Invalid argument" in error.stdout + error.stderr, f"the error is not named:\n{error}")


@test
def it_changes_settings_and_hears_of_it(net):
    net.control.serve(SERVICE, *PROCESSES)
    # Both take long to start: whatever happens before it listens isn't told, so it happens again and again.
    listening = background.program(
        *("python3", "-u", _CLI, "--spec", _SPEC, "--no-schema", "--output-json"),
        *("--subscribe", "events", "--duration", "600"),
        namespace=net.server,
        stdout=subprocess.PIPE,
    )
    os.set_blocking(listening.popen.stdout.fileno(), False)
    heard = b""
    weight = 1

    def hears():
        nonlocal heard, weight
        weight += 1
        net.control.process_set(SERVICE, PROCESSES[0], weight=weight)
        heard += listening.popen.stdout.read() or b""
        return heard.count(b"process-set-ntf") > 1

    wait.until(hears, "it hears of a change")
    draining = {"service_address": _address(SERVICE), "process_address": _address(PROCESSES[1])}
    draining |= {"state": "draining", "cpus": "0"}
    _cli(
        net,
        *_do("service-set", service_address=_address(SERVICE), scheduler="wlc", affinity_timeout=60),
        *_do("process-set", **draining),
    )
    service = net.control.service(SERVICE)
    check.equal((service["scheduler"], service["affinity-timeout"]), ("wlc", 60), "the service's settings")
    check.equal(net.control.process(SERVICE, PROCESSES[1])["cpus"], "0", "the process's CPUs")

    def told_all():
        nonlocal heard
        heard += listening.popen.stdout.read() or b""
        return b"process-drained-ntf" in heard

    wait.until(told_all, "it hears that the process has drained")
    listening.kill()
    events = [json.loads(line) for line in heard.decode().splitlines() if line]
    names = [event["name"] for event in events if event["name"] != "process-set-ntf"]
    check.equal(names, ["service-set-ntf", "process-drained-ntf"], "events")
    (changed,) = [event["msg"] for event in events if event["name"] == "service-set-ntf"]
    check.equal((changed["scheduler"], changed["affinity-timeout"]), ("wlc", 60), "settings in the event")
    check.equal(events[-1]["msg"]["state"], "down", "the state of what has drained")
