# SPDX-License-Identifier: GPL-2.0
"""Floods of SYNs with forged sources, with SYN cookies and without.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons, who have room for few handshakes
    this test ────────────────── tun0 198.18.0.1/15: where the flood comes from
"""

import dataclasses
import os
import random

from lib import check, daemon, packet, topology, tun
from lib.client import Client, who
from lib.packet import SYN
from lib.runner import test
from lib.topology import PROCESSES, SERVICE

_BACKLOG = 32
# For so many handshakes the listeners have room, and so many connections a test has itself.
_ROOM, _OWN = len(PROCESSES) * _BACKLOG, 40
# When TCP has room again, for it gives a handshake 3 s then, entries of those that failed are there for 4 s more.
_BOUND = 3 * _ROOM + _OWN
_FLOOD = 3000
_TRANSFER = 3_000_000


@dataclasses.dataclass
class Net:
    pair: topology.Pair
    control: object
    client: object


def setup():
    pair = topology.pair()
    # Below this, the last quarter is for clients that TCP knows.
    pair.server.sysctl("net/ipv4/tcp_max_syn_backlog", _BACKLOG)
    pair.server.sysctl("net/ipv4/conf/all/rp_filter", 0)
    daemon.start(*PROCESSES, namespace=pair.server, backlog=_BACKLOG)
    return Net(pair, pair.control, pair.client)


def _flood(net, number, look):
    """Sends so many SYNs of as many clients; `look` is called now and then."""
    device = tun.Tun(net.pair.server, "tun0", "198.18.0.1", 15)
    chance = random.Random(os.getpid())
    try:
        for sent in range(number):
            host = f"198.18.{chance.randrange(256)}.{chance.randrange(2, 255)}"
            device.send(packet.segment(f"{host}:{chance.randrange(1024, 65536)}", SERVICE, SYN, chance.getrandbits(32)))
            if sent % 100 == 99:
                device.drain()
                look()
    finally:
        device.close()


def _attack(net, cookies):
    """Floods the service; entries must stay within what the listeners have room for, and open connections work."""
    net.pair.server.sysctl("net/ipv4/tcp_syncookies", cookies)
    net.control.empty()
    net.control.serve(SERVICE, *PROCESSES)
    # Clients that TCP has got to know, at each of the processes.
    for _ in range(2 * len(PROCESSES)):
        who(net.client, SERVICE)
    clients = [Client(net.client, SERVICE) for _ in range(6)]
    served = [client.who() for client in clients]
    digest = daemon.digest(1, _TRANSFER)
    peak, connected = [], []

    def look():
        held = net.control.net()["connections"]
        peak.append(held)
        check.true(held <= _BOUND, f"{held} entries, but room for {_ROOM} handshakes")
        if len(peak) % 5 == 0:
            check.equal(clients[len(peak) % 6].who(), served[len(peak) % 6], "an open connection during the flood")
            connected.append(who(net.client, SERVICE)[0])

    _flood(net, _FLOOD, look)
    print(f"at most {max(peak)} entries, {len(connected)} connections during the flood")
    check.equal([client.who() for client in clients], served, "the open connections after the flood")
    check.equal(clients[0].download(_TRANSFER), digest, "a download of an open connection")
    check.equal(clients[0].who(), served[0], "who serves it")
    check.true(set(connected) <= set(PROCESSES) and len(connected) >= 3, "new connections during the flood")
    for client in clients:
        client.reset()
    return max(peak)


@test
def with_cookies_for_all_a_flood_leaves_no_entry_and_open_and_new_connections_go_on(net):
    peak = _attack(net, 2)
    # The open ones, and those of clients that had come and gone.
    check.true(peak <= _OWN, f"{peak} entries")


@test
def with_cookies_in_need_a_flood_leaves_no_more_entries_than_the_backlogs_of_the_listeners_allow(net):
    peak = _attack(net, 1)
    check.true(peak >= _BACKLOG, f"only {peak} entries: the listeners were not full")


@test
def without_cookies_a_flood_leaves_no_more_entries_than_the_backlogs_of_the_listeners_allow(net):
    peak = _attack(net, 0)
    check.true(peak >= _BACKLOG, f"only {peak} entries: the listeners were not full")


@test
def an_unknown_client_gets_in_without_cookies_once_the_flood_is_over(net):
    stranger = "198.51.100.200"
    net.client.ip(f"addr replace {stranger}/24 dev eth0")
    net.pair.server.sysctl("net/ipv4/tcp_syncookies", 0)
    net.pair.server.sysctl("net/ipv4/tcp_synack_retries", 1)
    net.control.serve(SERVICE, *PROCESSES)
    _flood(net, 500, lambda: None)
    process, seen = who(net.client, SERVICE, source=f"{stranger}:0")
    check.true(process in PROCESSES and seen.startswith(stranger), f"{process} saw {seen}")


@test
def the_table_is_empty_some_time_after_a_flood(net):
    net.control.empty()
    check.equal(net.control.net()["connections"], 0, "entries")
