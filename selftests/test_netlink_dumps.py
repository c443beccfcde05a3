# SPDX-License-Identifier: GPL-2.0
"""Dumps show all that stays, whatever else changes between two of their parts.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80, 192.0.2.1:10000…   services
                                 10.77.0.1..3:80                  three daemons
"""

import errno
import random

from lib import check, daemon, family, netlink, topology, wait
from lib.client import Client
from lib.netlink import NLM_F_DUMP
from lib.runner import test
from lib.topology import CLIENT, HOST, PROCESSES, SERVICE

_CONNECTIONS = 3000
_SERVICES = 1000
_CHANGED_PARTS = 8


def setup():
    net = topology.pair()
    daemon.start(*PROCESSES, namespace=net.server)
    return net


def _dump(net, operation, names, meanwhile, request=b""):
    """Dumps, and calls `meanwhile` after each of the first parts. Returns the objects, the parts, and whether the
    kernel said that something changed."""
    with net.server:
        reader = netlink.Socket(family.NAME)
    parts = 0
    receive = reader.receive

    def one_part():
        nonlocal parts
        parts += 1
        data = receive()
        if parts <= _CHANGED_PARTS:  # a dump of what grows all the time has no end
            meanwhile()
        return data

    reader.receive = one_part
    message = reader.message(operation, request, NLM_F_DUMP)
    reader.send(message)
    objects = [family.decode(names, each) for each in reader.answers(message)]
    reader.close()
    return objects, parts, reader.interrupted


def _delete(net, client):
    """Deletes an entry made by hand, unless it has waited too long for its first packet, as on a slow kernel."""
    try:
        net.control.connection_del(client, SERVICE)
    except netlink.NetlinkError as error:
        check.equal(error.code, errno.ENOENT, "the error of a deletion")


@test(deadline=400)
def a_dump_of_3000_connections_has_each_that_stays_while_others_come_and_go(net):
    net.control.serve(SERVICE, *PROCESSES)
    with net.client:
        clients = [Client(net.client, SERVICE) for _ in range(_CONNECTIONS)]
    stay = {client.address for client in clients}
    chance = random.Random(1)
    others = set()

    def meanwhile():
        for _ in range(30):
            if others and chance.random() < 0.5:
                _delete(net, others.pop())
            else:
                other = f"203.0.113.{chance.randrange(1, 255)}:{chance.randrange(1, 65536)}"
                if other not in others:
                    net.control.connection_add(other, SERVICE, chance.choice(PROCESSES))
                    others.add(other)

    for request in (b"", family.encode(family.CONNECTION, service_address=SERVICE)):
        # Only a resize of the table may make a dump show an entry twice; none may be missed unless it says so.
        objects, parts, interrupted = _dump(net, family.CONNECTION_GET, family.CONNECTION, meanwhile, request)
        check.true(parts > 3, f"a dump in {parts} parts proves nothing")
        found = [each["client-address"] for each in objects]
        missing = stay - set(found)
        check.true(not missing, f"{len(missing)} connections missing, interrupted: {interrupted}")
        twice = len(found) - len(set(found))
        check.true(not twice or interrupted, f"{twice} connections shown twice, and no word of it")
    one = family.encode(family.CONNECTION, process_address=PROCESSES[0])
    objects, _, _ = _dump(net, family.CONNECTION_GET, family.CONNECTION, lambda: None, one)
    check.equal({each["process-address"] for each in objects}, {PROCESSES[0]}, "processes in a dump of one")
    mine = {each["client-address"] for each in objects} & stay
    check.equal(len(mine), _CONNECTIONS // 3, "connections of one process")
    for client in clients:
        client.reset()
    for other in others:
        _delete(net, other)
    wait.until(lambda: net.control.net()["connections"] == 0, "the table gets empty")


@test
def a_dump_of_1000_services_has_each_that_stays_in_the_order_of_registration(net):
    stay = []
    for number in range(_SERVICES):
        service = f"{HOST}:{10000 + number}"
        net.control.service_add(service)
        if number % 2:
            stay.append(service)
    gone = [f"{HOST}:{10000 + number}" for number in range(0, _SERVICES, 2)]
    chance = random.Random(2)
    chance.shuffle(gone)
    port = 20000

    def meanwhile():
        nonlocal port
        for _ in range(20):
            if gone:
                net.control.service_del(gone.pop())
            net.control.service_add(f"{HOST}:{port}")
            port += 1

    objects, parts, _ = _dump(net, family.SERVICE_GET, family.SERVICE, meanwhile)
    check.true(parts > 3, f"a dump in {parts} parts proves nothing")
    found = [each["service-address"] for each in objects]
    check.equal([each for each in found if each in set(stay)], stay, "the services that stayed, in order")
    check.equal(len(found), len(set(found)), "services, each once")


@test
def a_dump_of_processes_has_each_that_stays(net):
    services = [f"{HOST}:{10000 + number}" for number in range(10)]
    for service in services:
        net.control.serve(service, *[f"10.77.1.{number}:80" for number in range(1, 61)])
    leaving = [(service, f"10.77.1.{number}:80") for service in services for number in range(2, 61, 2)]
    random.Random(3).shuffle(leaving)
    stay = {(service, f"10.77.1.{number}:80") for service in services for number in range(1, 61, 2)}
    arriving = 1

    def meanwhile():
        nonlocal arriving
        for _ in range(20):
            if leaving:
                service, process = leaving.pop()
                net.control.process_del(service, process)
            net.control.process_add(services[arriving % 10], f"10.77.2.{arriving % 250 + 1}:{1000 + arriving}")
            arriving += 1

    objects, parts, _ = _dump(net, family.PROCESS_GET, family.PROCESS, meanwhile)
    check.true(parts > 3, f"a dump in {parts} parts proves nothing")
    found = [(each["service-address"], each["process-address"]) for each in objects]
    check.true(stay <= set(found), f"{len(stay - set(found))} processes missing")
    check.equal(len(found), len(set(found)), "processes, each once")
    of_one = net.control.processes(services[3])
    check.equal({service for service, _ in of_one}, {services[3]}, "services in a dump of one's processes")


@test
def a_dump_that_nobody_reads_to_its_end_is_given_up_with_its_socket(net):
    net.control.service_add(SERVICE)
    for number in range(200):
        net.control.service_add(f"{HOST}:{10000 + number}")
    for operation in (family.SERVICE_GET, family.PROCESS_GET, family.CONNECTION_GET):
        for _ in range(20):
            with net.server:
                reader = netlink.Socket(family.NAME)
            reader.send(reader.message(operation, flags=NLM_F_DUMP))
            reader.close()
    check.equal(len(net.control.services()), 201, "services")
    check.equal(net.control.service(SERVICE)["service-address"], SERVICE, "a service after that")
    check.equal(net.control.connections(client=f"{CLIENT}:1"), [], "connections after that")
