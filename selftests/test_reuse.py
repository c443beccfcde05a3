# SPDX-License-Identifier: GPL-2.0
"""Clients that use a port again for a new connection, right after closing the one before.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1..2:80   services
                                 10.77.0.1..2:80   listening sockets of the test itself
"""

import socket
import sys
import time

from lib import check, daemon, topology, wait
from lib.client import Client, refused
from lib.ip import endpoint
from lib.runner import test


def setup(version):
    return topology.pair(version)


class _Processes:
    """Two processes that are this test."""

    def __init__(self, net):
        self._net = net
        self.listeners = {process: daemon.listen(process, net.server) for process in net.processes[:2]}
        net.control.serve(net.service, *net.processes[:2])

    def accept(self):
        """The process and the socket of the connection that came last: it must be at one of them."""
        for process, listener in self.listeners.items():
            listener.setblocking(False)

        def accepted():
            for process, listener in self.listeners.items():
                try:
                    return process, listener.accept()[0]
                except BlockingIOError:
                    pass
            return None

        return wait.until(accepted, "a process gets the connection")

    def close(self, process):
        """The process is gone."""
        self.listeners.pop(process).close()


def _gone(namespace, port):
    """Waits until a namespace has no socket with this port."""
    port = f":{port}"
    find = lambda: namespace.run("ss", "-Htan", "sport", "=", port, "or", "dport", "=", port)
    wait.until(lambda: not find(), f"no socket with port {port} is left")


def _retransmissions(client):
    """How many segments a client sent again."""
    at = 100  # tcpi_total_retrans of struct tcp_info
    return int.from_bytes(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, at + 4)[at:], sys.byteorder)


@test
def a_port_that_is_used_again_right_after_a_reset_gets_a_fresh_assignment(net):
    processes = _Processes(net)
    for namespace, host in ((net.client, net.client_address), (net.server, net.host)):
        source, served = endpoint(host, 52000), []
        for _ in range(6):
            client = Client(namespace, net.service, source=source)
            process, accepted = processes.accept()
            served.append(process)
            client.reset()
            check.raises(ConnectionResetError, lambda: (accepted.setblocking(True), accepted.recv(1)))
            accepted.close()
        check.equal(served, net.processes[:2] * 3, f"who got the connections of {host}, in turn")


@test
def a_port_that_is_used_again_is_never_sent_to_a_process_that_is_gone(net):
    for pause in (0, 0.15):  # at once, and when the entry is older than a moment
        processes = _Processes(net)
        source = endpoint(net.client_address, 52100 + int(pause * 100))
        client = Client(net.client, net.service, source=source)
        process, accepted = processes.accept()
        time.sleep(pause)
        accepted.close()
        processes.close(process)
        client.reset()
        (left,) = processes.listeners
        with Client(net.client, net.service, source=source):
            check.equal(processes.accept()[0], left, "who got the connection")
        processes.close(left)
        net.control.service_del(net.service)


@test
def a_port_whose_last_connection_is_in_TIME_WAIT_at_a_process_that_is_gone_gets_another(net):
    processes = _Processes(net)
    source = endpoint(net.client_address, 52200)
    client = Client(net.client, net.service, source=source)
    process, accepted = processes.accept()
    accepted.close()
    client.ended()
    client.close()
    state = lambda: [each["state"] for each in net.control.connections(client=source)]
    wait.until(lambda: state() == ["time-wait"], "the process's socket gets to TIME_WAIT")
    processes.close(process)
    with Client(net.client, net.service, source=source):
        (left,) = processes.listeners
        process, accepted = processes.accept()
        check.equal(process, left, "who got the connection")
        (entry,) = net.control.connections(client=source)
        check.equal((entry["process-address"], entry["state"]), (left, "established"), "the entry's process and state")


@test
def a_port_that_is_used_again_while_the_old_entry_is_there_has_one_entry(net):
    processes = _Processes(net)
    source = endpoint(net.client_address, 52300)
    for _ in range(8):
        client = Client(net.client, net.service, source=source)
        process, accepted = processes.accept()
        (entry,) = net.control.connections(client=source)
        check.equal(entry["process-address"], process, "the process that its only entry names")
        client.reset()
        accepted.close()
        _gone(net.server, 52300)
    net.control.empty()


def _serve_both(net):
    """One process, of two services: it can't tell a client's connections to them apart."""
    (process, second) = net.processes[:2]
    processes = _Processes(net)
    processes.close(second)
    net.control.serve(net.other_service, process)
    return processes


@test
def a_port_that_is_used_for_another_service_right_after_a_reset_is_served_by_the_same_process(net):
    processes = _serve_both(net)
    source = endpoint(net.client_address, 52400)
    for service in (net.service, net.other_service) * 3:
        client = Client(net.client, service, source=source)
        accepted = processes.accept()[1]
        (entry,) = net.control.connections(client=source)
        check.equal(entry["service-address"], service, "the service that its only entry names")
        client.reset()
        check.raises(ConnectionResetError, lambda: (accepted.setblocking(True), accepted.recv(1)))
        accepted.close()


@test
def a_port_in_TIME_WAIT_at_a_process_can_be_used_for_another_service_of_it(net):
    processes = _serve_both(net)
    # Else timestamps begin anew for each address, and TCP can't tell which is the newer connection.
    net.client.sysctl("net/ipv4/tcp_timestamps", 2)
    source = endpoint(net.client_address, 52500)
    try:
        for service in (net.service, net.other_service) * 2:
            client = Client(net.client, service, source=source)
            accepted = processes.accept()[1]
            accepted.close()
            client.ended()
            client.close()
            states = lambda: {each["service-address"]: each["state"] for each in net.control.connections(client=source)}
            wait.until(lambda: states() == {service: "time-wait"}, "the process's socket gets to TIME_WAIT")
    finally:
        net.client.sysctl("net/ipv4/tcp_timestamps", 1)


@test
def a_connection_to_a_process_address_itself_is_not_disturbed_from_the_same_port(net):
    processes = _Processes(net)
    first, second = net.processes[:2]
    source = endpoint(net.host, 52600)
    with Client(net.server, first, source=source) as direct:
        process, accepted = processes.accept()
        check.equal(process, first, "the process of the direct connection")
        # Each has its turn; to the first the connections would look alike.
        for _ in range(2):
            client = Client(net.server, net.service, source=source)
            process, its_end = processes.accept()
            check.equal(process, second, "who got the connection of the service")
            client.reset()
            its_end.close()
        net.control.process_del(net.service, second)
        refused(net.server, net.service, source=source)
        check.equal(net.control.drops("conflict", net.service), 1, "connections refused for the direct one")
        direct.send("x")
        accepted.setblocking(True)
        check.equal(accepted.recv(2), b"x\n", "what the direct connection carries")


@test
def a_port_can_be_used_for_a_process_address_itself_right_after_a_connection_of_the_service(net):
    processes = _serve_both(net)
    (process,) = processes.listeners
    source = endpoint(net.host, 52700)
    for address in (net.service, process) * 3:
        client = Client(net.server, address, source=source)
        accepted = processes.accept()[1]
        check.equal(_retransmissions(client), 0, f"retransmissions of a client of {address}")
        client.reset()
        accepted.close()
