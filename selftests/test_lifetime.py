# SPDX-License-Identifier: GPL-2.0
"""How long the connection table holds an entry: as long as the process has a socket of the connection.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service, others on 192.0.2.2
                                 10.77.0.1:80      daemon
"""

import dataclasses

from lib import check, daemon, inject, packet, topology, wait
from lib.client import Client
from lib.ip import endpoint, port_of
from lib.runner import test

# The table is swept every 2 s, and an entry goes after two sweeps that find no socket.
_SWEEPS = 7


@dataclasses.dataclass
class Net(topology.Pair):
    idle: Client


def setup(version):
    net = topology.pair(version)
    daemon.start(net.processes[0], namespace=net.server)
    net.control.serve(net.other_service, net.processes[0])
    # Assigned, and nothing comes of it: takes long, for the process might answer by a SYN cookie.
    net.control.connection_add(endpoint(net.far(9), 1024), net.other_service, net.processes[0])
    # Opened first and asked last: it idles through all sweeps of this file.
    return Net(**vars(net), idle=Client(net.client, net.other_service))


def _state(net, client):
    """The state of a connection's entry, or None where there is none."""
    return next((each["state"] for each in net.control.connections(client=client.address)), None)


@test
def an_open_connection_has_an_entry_that_names_client_service_process_and_state(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client:
        client.who()
        (entry,) = net.control.connections(client=client.address)
        age = entry.pop("age")
        want = {
            "client-address": client.address,
            "service-address": net.service,
            "process-address": net.processes[0],
            "state": "established",
        }
        check.equal(entry, want, "the entry")
        wait.until(lambda: net.control.connections(client=client.address)[0]["age"] > age, "its age grows")
        check.equal(net.control.connections(net.service)[0]["client-address"], client.address, "the entry, by service")
        check.equal(
            len(net.control.connections(process=net.processes[0], client=client.address)), 1, "entries by process"
        )
        check.equal(net.control.connections(process=net.process(8)), [], "entries of another process")


@test
def an_entry_ends_after_the_client_closed_first(net):
    net.control.serve(net.service, net.processes[0])
    client = Client(net.client, net.service)
    client.who()
    client.close()
    wait.until(lambda: _state(net, client) is None, "the entry ends")


@test
def an_entry_ends_after_a_reset(net):
    net.control.serve(net.service, net.processes[0])
    client = Client(net.client, net.service)
    client.who()
    client.reset()
    wait.until(lambda: _state(net, client) is None, "the entry ends")


@test
def an_entry_outlives_the_close_of_the_daemon_until_TIME_WAIT_is_over(net):
    net.control.serve(net.service, net.processes[0])
    client = Client(net.client, net.service)
    client.who()
    client.send("close")
    client.ended()
    closed = ("fin-wait1", "fin-wait2", "time-wait")  # the kernel keeps a closed socket as one in TIME_WAIT
    check.true(_state(net, client) in closed, "no entry while only the daemon has closed")
    client.close()
    wait.until(lambda: _state(net, client) == "time-wait", "the daemon's socket gets to TIME_WAIT")
    wait.throughout(lambda: _state(net, client) == "time-wait", "the entry in TIME_WAIT", _SWEEPS)
    # TIME_WAIT takes a minute; ended early, it is over like any other.
    port = port_of(client.address)
    with net.server:
        net.server.run("ss", "-K", "-t", "state", "time-wait", "dport", "=", f":{port}")
        left = net.server.run("ss", "-H", "-t", "state", "time-wait", "dport", "=", f":{port}")
    check.equal(left, "", "sockets in TIME_WAIT after `ss -K`")
    wait.until(lambda: _state(net, client) is None, "the entry ends")


@test
def a_handshake_that_stays_half_open_keeps_its_entry_while_the_process_waits_for_it(net):
    net.control.serve(net.service, net.processes[0])
    source = endpoint(net.near(77), 50000)  # nobody there, so nobody resets it
    net.server.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev eth0")
    inject.Injector(net.client).segment(source, net.service, packet.SYN, 1000)
    wait.until(lambda: net.control.connections(client=source), "the entry")
    states = lambda: [each["state"] for each in net.control.connections(client=source)]
    wait.throughout(lambda: states() and states()[0] in ("new-syn-recv", "syn-recv"), "the half-open entry", _SWEEPS)
    inject.Injector(net.client).segment(source, net.service, packet.RST, 1001)
    wait.until(lambda: not states(), "the entry ends after a reset", 120 * wait.SCALE)


@test
def a_client_that_comes_again_from_the_same_port_is_served(net):
    net.control.serve(net.service, net.processes[0])
    source = endpoint(net.client_address, 51000)
    for number in range(5):
        client = Client(net.client, net.service, source=source)
        check.equal(client.who(), (net.processes[0], source), f"process and client, connection {number}")
        if number % 2:
            client.reset()
        else:  # the process's socket stays, in TIME_WAIT
            client.send("close")
            client.ended()
            client.close()
        wait.until(lambda: not net.client.run("ss", "-Htan", "sport", "=", ":51000"), "the client's socket is gone")


@test
def an_idle_connection_keeps_its_entry_and_still_answers(net):
    entry = wait.until(
        lambda: next(
            (each for each in net.control.connections(client=net.idle.address) if each["age"] > 1000 * _SWEEPS * 2), None
        ),
        "the idle connection's entry grows old",
    )
    check.equal(entry["state"], "established", "its state")
    check.equal(net.idle.who(), (net.processes[0], net.idle.address), "process and client of the idle connection")


@test
def the_table_is_empty_once_all_connections_have_ended(net):
    net.server.run("ss", "-K", "-t", "state", "time-wait")
    net.idle.socket.shutdown(2)
    wait.until(lambda: not net.control.connections(client=net.idle.address), "the idle connection's entry ends")
    # That of the connection that nothing came of, too.
    wait.until(lambda: net.control.net()["connections"] == 0, "the table is empty", 120 * wait.SCALE)
