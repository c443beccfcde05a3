# SPDX-License-Identifier: GPL-2.0
"""Much data, and many connections at once.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
"""

import collections
import os
import threading

from lib import check, daemon, topology, wait
from lib.client import Client
from lib.runner import test

# A kernel with KASAN, emulated, is given less to do.
_LENGTH = int(os.environ.get("SELFTEST_TRANSFER_MB", 100 if wait.SCALE == 1 else 20)) << 20
_OPEN = 2000


def setup(version):
    net = topology.pair(version)
    daemon.start(*net.processes, namespace=net.server)
    return net


@test(deadline=300)
def a_transfer_of_100_MB_each_way_at_once_arrives_whole(net):
    net.control.serve(net.service, *net.processes)
    arrived = {}
    with Client(net.client, net.service) as down, Client(net.client, net.service) as up:
        receiver = threading.Thread(target=lambda: arrived.update(down=down.download(_LENGTH, 7)))
        receiver.start()
        arrived["up"] = up.upload(_LENGTH, 7)
        receiver.join()
    want = daemon.digest(7, _LENGTH)
    check.equal(arrived, {"down": want, "up": want}, f"SHA-256 of {_LENGTH >> 20} MB")


@test
def a_local_client_transfers_each_way(net):
    net.control.serve(net.service, *net.processes)
    length = _LENGTH // 10
    want = daemon.digest(8, length)
    with Client(net.server, net.service) as client:
        check.equal(client.download(length, 8), want, "SHA-256 of the download")
        check.equal(client.upload(length, 8), want, "SHA-256 of the upload")


@test
def a_transfer_survives_loss_and_reordering(net):
    net.control.serve(net.service, *net.processes)
    length = 2 << 20
    disorder = "loss 1% delay 2ms reorder 25% duplicate 1%"
    for side in (net.client, net.server):
        side.run("tc", *f"qdisc add dev eth0 root netem {disorder} limit 10000".split())
    try:
        want = daemon.digest(9, length)
        with Client(net.client, net.service) as client:
            check.equal(client.download(length, 9), want, "SHA-256 of the download")
            check.equal(client.upload(length, 9), want, "SHA-256 of the upload")
    finally:
        for side in (net.client, net.server):
            side.run("tc", *"qdisc del dev eth0 root".split())


@test
def a_transfer_without_any_offload_arrives_whole(net):
    """Checksums in software, a packet a segment: the other half of the checksum code."""
    net.control.serve(net.service, *net.processes)
    features = "tx off rx off tso off gso off gro off sg off".split()
    for side in (net.client, net.server):
        side.run("ethtool", "-K", "eth0", *features)
    try:
        length = 4 << 20
        want = daemon.digest(10, length)
        with Client(net.client, net.service) as client:
            check.equal(client.download(length, 10), want, "SHA-256 of the download")
            check.equal(client.upload(length, 10), want, "SHA-256 of the upload")
    finally:
        for side in (net.client, net.server):
            side.run("ethtool", "-K", "eth0", *[word.replace("off", "on") for word in features])


@test(deadline=300)
def two_thousand_connections_are_open_at_once_and_all_answer(net):
    net.control.empty()
    net.control.serve(net.service, *net.processes)
    with net.client:
        clients = [Client(net.client, net.service) for _ in range(_OPEN)]
    for client in clients:
        client.send("who")
    answers = collections.Counter()
    for client in clients:
        process, seen = client.line().split()
        check.equal(seen, client.address, f"the client's address as {process} saw it")
        answers[process] += 1
    check.equal(sum(answers.values()), _OPEN, "answers")
    check.true(max(answers.values()) - min(answers.values()) <= 1, f"not shared evenly: {answers}")
    held = {each["client-address"] for each in net.control.connections(net.service)}
    differ = held ^ {client.address for client in clients}
    check.equal(differ, set(), "clients that have an entry alone, or a connection alone")
    check.equal(net.control.service(net.service)["connections"], _OPEN, "connections of the service")
    for client in clients:
        client.close()
    wait.until(
        lambda: net.control.service(net.service)["connections"] == 0, "all entries end once their connections did"
    )
