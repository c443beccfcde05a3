# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading under traffic.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
                                 192.0.2.1:8080    a daemon without dispatch
"""

import os
import re
import subprocess
import threading

from lib import background, capture, check, command, daemon, module, topology, wait
from lib.client import Client, refused, who
from lib.ip import IPV4, endpoint
from lib.runner import test

_TIMES = 3


def _direct(net):
    """The address of a daemon without dispatch."""
    return endpoint(net.host, 8080)


def setup(version):
    net = topology.pair(version)
    daemon.start(*net.processes, _direct(net), namespace=net.server)
    return net


def _least_tries(net):
    """How often each of the processes' sockets with data left has tried again since its last answer: the least."""
    sockets = [line.split() for line in net.server.run("ss", "-Htno", "state", "established").splitlines()]
    left = [line for line in sockets if line[1] != "0" and line[2] in net.processes]
    tries = [int(n) for n in re.findall(r"timer:\((?:on|persist),[^,]*,(\d+)\)", str(left))]
    return min(tries) if len(tries) == len(left) == len(net.processes) else 0


def _load_again(net):
    """Loads the module and sets the namespace up as before."""
    module.ensure_loaded()
    net.control.forget_sockets()
    net.control.up()


@test
def a_transfer_on_an_unrelated_socket_stays_whole_while_the_module_goes_and_comes(net):
    step, length = 1 << 20, (1 + 2 * _TIMES) << 20
    try:
        with Client(net.client, _direct(net)) as remote, Client(net.server, _direct(net)) as local:
            for client in (remote, local):
                client.send(f"get {length} 5")
            got = {remote: b"", local: b""}

            def receive():
                for client in got:
                    got[client] += client.receive(step)

            # The daemon has the rest still to send, and does while the module changes.
            for _ in range(_TIMES):
                receive()
                module.unload()
                receive()
                module.load()
            receive()
            want = b"".join(daemon.stream(5, length))
            for client, name in ((remote, "remote"), (local, "local")):
                check.true(got[client] == want, f"the {name} client's stream differs")
                check.equal(client.who(), (_direct(net), client.address), f"who serves the {name} client")
    finally:
        _load_again(net)


@test
def unloading_takes_devices_services_and_connections_with_it(net):
    net.control.serve(net.service, *net.processes)
    clients = [Client(net.client, net.service) for _ in range(5)]
    try:
        for client in clients:
            client.who()
        check.true("tcp_dispatch1" in net.server.ip("-br link"), "no device of the module while it is loaded")
        module.unload()
        check.true("tcp_dispatch" not in net.server.ip("-br link"), "a device of the module is left")
        refused(net.client, net.service)
        for client in clients:
            check.raises(OSError, lambda: client.who() and None)
    finally:
        _load_again(net)
    check.equal(net.control.services(), {}, "services after loading")
    check.equal(net.control.connections(), [], "connections after loading")
    net.control.serve(net.service, *net.processes)
    check.true(who(net.client, net.service)[0] in net.processes, "no service after loading")


@test
def no_process_address_gets_on_the_wire_when_the_module_goes_under_traffic(net):
    net.control.serve(net.service, *net.processes)
    clients = [Client(net.client, net.service) for _ in range(3)]
    try:
        with capture.Capture(net.client, "eth0") as wire:
            for client in clients:
                client.send(f"get {64 << 20} 1")
                client.receive(1000)
            module.unload()
            # The daemons' sockets have data left. What they repeat, or probe a full window with, finds no route,
            # which the kernel counts as tries of the timer and not as retransmissions.
            wait.until(lambda: _least_tries(net) >= 2, "the daemons' sockets send again what was not acknowledged")
        shown = sorted(each for each in wire.addresses() if net.is_process_host(each))
        check.equal(shown, [], "process addresses on the wire")
    finally:
        for client in clients:
            client.reset()
        _load_again(net)


@test
def the_module_can_go_and_come_under_dispatched_traffic(net):
    stop = threading.Event()
    served = []

    def load():
        while not stop.is_set():
            try:
                with Client(net.client, net.service, timeout=3 * wait.SCALE) as client:
                    client.who()
                    client.download(300_000)
                    served.append(client.address)
            except (OSError, EOFError, check.Failed):
                pass  # that is what unloading does to it

    net.control.serve(net.service, *net.processes)
    workers = [threading.Thread(target=load) for _ in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(_TIMES):
            before = len(served)
            wait.until(lambda: len(served) > before + 5, "clients are served")
            module.unload()
            _load_again(net)
            net.control.serve(net.service, *net.processes)
        before = len(served)
        wait.until(lambda: len(served) > before + 5, "clients are served after the last loading")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
        _load_again(net)


@test(only=IPV4)
def the_module_can_go_while_netlink_and_devices_are_in_use(net):
    """Whoever lists, adds or watches when the module goes is told, not crashed."""

    def hammer():
        for _ in range(100):
            for arguments in (("up", "--range", "10.77.0.0/16"), ("service", "add", "192.0.2.9:1"), ("status",)):
                with net.server:
                    command.result("dispatchctl", *arguments)
            if os.path.exists("/tmp/selftest-stop"):
                return 0
        return 0

    try:
        if os.path.exists("/tmp/selftest-stop"):
            os.unlink("/tmp/selftest-stop")
        workers = [background.fork(hammer) for _ in range(2)]
        unloaded = 0
        while unloaded < 5:
            module.ensure_loaded()
            unloaded += command.result("rmmod", "tcp_dispatch").returncode == 0
        open("/tmp/selftest-stop", "w", encoding="ascii").close()
        check.equal([each.wait() for each in workers], [0, 0], "exit statuses of the tools' users")
    finally:
        module.ensure_loaded()
        net.control.forget_sockets()
        net.server.result("dispatchctl", "down", "--force")
        net.control.up()


@test(only=IPV4)
def the_module_needs_nothing_of_netfilter(net):
    needs = command.run("modinfo", "-F", "depends", module.FILE).strip()
    check.equal(needs, "", "modules that it depends on")
    symbols = command.run("modinfo", "-F", "license", module.FILE).strip()
    check.true(symbols.startswith("GPL"), f"its licence is {symbols}")


@test(only=IPV4)
def the_module_says_who_made_it_and_what_its_parameters_do(net):
    for field in ("author", "description", "license"):
        check.true(command.run("modinfo", "-F", field, module.FILE).strip(), f"modinfo has no {field}")
    for parameter in command.run("modinfo", "-F", "parm", module.FILE).splitlines():
        name, _, text = parameter.partition(":")
        check.true(text.split("(")[0].strip(), f"parameter {name} is not documented")


@test(only=IPV4)
def unloading_waits_for_a_module_that_hooked_TCP_on_top(net):
    on_top = os.path.join(os.path.dirname(module.FILE), "hook_on_top.ko")
    state = "/sys/module/tcp_dispatch/initstate"
    try:
        _load_again(net)
        net.control.serve(net.service, net.processes[0])
        command.run("insmod", on_top)
        unloading = subprocess.Popen(["rmmod", "tcp_dispatch"])
        with open(state, encoding="ascii") as file:
            wait.until(lambda: file.seek(0) or file.read().strip() == "going", "the module is being unloaded")
        # The layer's code is still called, from the module on top.
        check.equal(who(net.client, net.service)[0], net.processes[0], "who serves meanwhile")
        check.equal(who(net.client, _direct(net))[0], _direct(net), "the daemon without dispatch")
        check.equal(unloading.poll(), None, "rmmod's exit status while the other module is there")
        command.run("rmmod", "hook_on_top")
        check.equal(unloading.wait(60), 0, "rmmod's exit status")
        check.true(not module.loaded(), "the module is still there")
        check.equal(who(net.client, _direct(net))[0], _direct(net), "the daemon without dispatch, afterwards")
    finally:
        _load_again(net)
