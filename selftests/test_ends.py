# SPDX-License-Identifier: GPL-2.0
"""However a connection ends: its entry stays as long as its socket, and is gone within 5 seconds after.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1:80      a listening socket of the test itself
"""

import contextlib
import socket
import time

from lib import check, daemon, inject, packet, registrant, topology, wait
from lib.client import Client
from lib.ip import endpoint
from lib.runner import test

_WITHIN = 5 * wait.SCALE
# The table is swept every 2 s, and an entry goes after two sweeps that find no socket.
_SWEEPS = 7


def setup(version):
    return topology.pair(version)


@contextlib.contextmanager
def _connection(net, namespace=None):
    """A connection to a process that is this test: the client and the process's socket."""
    with daemon.listen(net.processes[0], net.server) as listener:
        net.control.serve(net.service, net.processes[0])
        client = Client(namespace or net.client, net.service)
        accepted, _ = listener.accept()
        accepted.settimeout(wait.DEADLINE)
        yield client, accepted
        client.close()
        accepted.close()


def _sockets(net, client):
    """The process's socket of the client's connection, as `ss` shows it: state first."""
    return net.server.run("ss", "-Htan", "src", net.processes[0], "and", "dst", client)


def _entry(net, client):
    """The state that the connection's entry shows, or None where there is no entry."""
    return next((each["state"] for each in net.control.connections(client=client)), None)


def _ends(net, client):
    """The socket of the client's connection ends, and its entry within 5 seconds after."""
    seen = time.monotonic()
    while True:
        asked = time.monotonic()
        if not _sockets(net, client):
            break
        seen = asked
        check.true(time.monotonic() < seen + wait.DEADLINE * 2, "the process's socket does not end")
    wait.until(lambda: _entry(net, client) is None, "the entry is gone within 5 s after its socket", _WITHIN)
    print(f"the entry was gone {time.monotonic() - seen:.1f} s after its socket was seen last")


def _stays(net, client, state):
    """The entry lasts through the sweeps with its socket in this state."""
    wait.until(lambda: _entry(net, client) == state, f"the process's socket gets to {state}")
    wait.throughout(lambda: _entry(net, client) == state, f"the entry in {state}", _SWEEPS)


@test
def the_entry_ends_with_a_socket_whose_client_closed_first(net):
    for namespace in (net.client, net.server):
        with _connection(net, namespace) as (client, accepted):
            client.close()
            check.equal(accepted.recv(1), b"", "what the process reads")
            accepted.close()
            _ends(net, client.address)
        net.control.service_del(net.service)


@test
def the_entry_stays_while_a_connection_is_half_closed_by_the_client(net):
    with _connection(net) as (client, accepted):
        client.socket.shutdown(socket.SHUT_WR)
        _stays(net, client.address, "close-wait")
        accepted.sendall(b"late\n")
        check.equal(client.line(), "late", "what the process says later")
        accepted.close()
        _ends(net, client.address)


@test
def the_entry_stays_while_a_connection_is_half_closed_by_the_process(net):
    with _connection(net) as (client, accepted):
        accepted.shutdown(socket.SHUT_WR)
        client.ended()
        _stays(net, client.address, "fin-wait2")
        client.send("late")
        check.equal(accepted.recv(9), b"late\n", "what the client says later")
        client.reset()
        _ends(net, client.address)


@test
def the_entry_ends_with_a_socket_that_the_client_reset(net):
    for namespace in (net.client, net.server):
        with _connection(net, namespace) as (client, _):
            client.reset()
            _ends(net, client.address)
        net.control.service_del(net.service)


@test
def the_entry_ends_with_a_socket_that_the_process_reset(net):
    with _connection(net) as (client, accepted):
        client.send("unread")
        wait.until(lambda: accepted.recv(1, socket.MSG_PEEK), "something is there to read")
        accepted.close()
        check.raises(ConnectionResetError, client.socket.recv, 1)
        _ends(net, client.address)


@test
def the_entry_ends_with_a_socket_that_was_destroyed(net):
    with _connection(net) as (client, accepted):
        net.server.run("ss", "-K", "-t", "dst", client.address)
        check.raises(ConnectionAbortedError, accepted.recv, 1)
        check.raises(ConnectionResetError, client.socket.recv, 1)
        _ends(net, client.address)


@test
def the_entry_ends_with_a_socket_in_TIME_WAIT(net):
    with _connection(net) as (client, accepted):
        accepted.close()
        client.ended()
        client.close()
        _stays(net, client.address, "time-wait")
        net.server.run("ss", "-K", "-t", "state", "time-wait", "dst", client.address)
        _ends(net, client.address)


@test
def the_entry_ends_with_the_sockets_of_a_process_that_was_killed(net):
    net.control.service_add(net.service)
    killed = registrant.start(net.control, net.service, net.processes[0], owner="pid")
    with Client(net.client, net.service) as client, Client(net.server, net.service) as local:
        client.who(), local.who()
        killed.kill()
        for each in (client, local):
            each.ended()
            each.reset()
        for each in (client, local):
            _ends(net, each.address)


@test
def the_entry_ends_with_a_connection_that_was_never_accepted(net):
    with daemon.listen(net.processes[0], net.server) as listener:
        net.control.serve(net.service, net.processes[0])
        with Client(net.client, net.service) as client:
            _stays(net, client.address, "established")
            listener.close()
            check.raises(ConnectionResetError, client.socket.recv, 1)
            _ends(net, client.address)


@test
def the_entry_ends_with_a_handshake_that_the_client_took_back(net):
    source = endpoint(net.near(77), 50000)  # nobody there, so nobody resets it
    net.server.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev eth0")
    send = inject.Injector(net.client)
    with daemon.listen(net.processes[0], net.server):
        net.control.serve(net.service, net.processes[0])
        send.segment(source, net.service, packet.SYN, 1000)
        _stays(net, source, "new-syn-recv")
        send.segment(source, net.service, packet.RST, 1001)
        _ends(net, source)


@test
def the_entry_ends_with_a_handshake_that_nobody_finished(net):
    net.server.sysctl("net/ipv4/tcp_synack_retries", 1)
    source = endpoint(net.near(77), 50001)
    net.server.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev eth0")
    with daemon.listen(net.processes[0], net.server):
        net.control.serve(net.service, net.processes[0])
        inject.Injector(net.client).segment(source, net.service, packet.SYN, 1000)
        wait.until(lambda: _entry(net, source), "the entry")
        _ends(net, source)
