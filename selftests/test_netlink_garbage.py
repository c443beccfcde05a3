# SPDX-License-Identifier: GPL-2.0
"""Netlink messages of any shape do no harm.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80     service
                                 10.77.0.1:80     daemon
"""

import os
import random
import struct

from lib import check, daemon, family, netlink, topology
from lib.client import who
from lib.ip import BOTH, endpoint
from lib.netlink import NLM_F_ACK, NLM_F_DUMP, attribute
from lib.runner import test
from lib.topology import PROCESSES, SERVICE

_SEED = int(os.environ.get("SELFTEST_SEED", 1))
_MESSAGES = 4000


def setup():
    net = topology.pair(*BOTH)
    daemon.start(*(each.processes[0] for each in topology.ADDRESSES.values()), namespace=net.server)
    return net


def _valid(chance):
    """A request that is well-formed, over addresses few enough that many of them exist."""
    # Mostly of one version.
    first, second, third = chance.choice((BOTH[:1] * 3, BOTH[1:] * 3, [chance.choice(BOTH) for _ in range(3)]))
    host = chance.choice((topology.ADDRESSES[first].host, topology.ADDRESSES[first].other_host))
    service = endpoint(host, chance.choice((80, 81)))
    process = topology.ADDRESSES[second].process(chance.randrange(1, 4))
    client = endpoint(topology.ADDRESSES[third].client_address, chance.randrange(61000, 61010))
    operation = chance.randrange(1, 14)
    if operation in (family.SERVICE_ADD, family.SERVICE_SET):
        return operation, family.encode(family.SERVICE, service_address=service, **_settings(chance))
    if operation in (family.PROCESS_ADD, family.PROCESS_SET):
        named = {"service_address": service, "process_address": process}
        return operation, family.encode(family.PROCESS, **named, **_registration(chance, operation))
    if operation in (family.NET_GET, family.NET_SET):
        settings = {"max_connections": struct.pack("=I", chance.randrange(100, 1 << 20))}
        if chance.random() < 0.2:
            lengths = [struct.pack("=B", length) for length in (0, 16, 48, 64, 96, 128)]
            settings |= _some(chance, process_prefix_ipv6=("fd77::", "fd77::1"), process_prefix_ipv6_len=lengths)
        return operation, family.encode(family.NET, **settings)
    if operation <= family.SERVICE_GET:
        return operation, family.encode(family.SERVICE, service_address=service)
    if operation <= family.PROCESS_GET:
        return operation, family.encode(family.PROCESS, service_address=service, process_address=process)
    addresses = {"client_address": client, "service_address": service}
    if operation == family.CONNECTION_ADD:
        addresses["process_address"] = process
    return operation, family.encode(family.CONNECTION, **addresses)


def _some(chance, **values):
    """Some of the attributes, each with one of its values."""
    return {name: chance.choice(among) for name, among in values.items() if chance.random() < 0.4}


def _settings(chance):
    return _some(
        chance,
        scheduler=family.SCHEDULERS,
        refusal=family.REFUSALS,
        affinity_timeout=(0, 1, 300),
        affinity_prefix_len=(0, 24, 32, 128),
        registrant_uid=(0, 1000, family.NOBODY),
        registrant_gid=(0, 1000, family.NOBODY),
        registrant_prefix=("10.77.0.0", "10.77.1.0", "192.0.2.0"),
        registrant_prefix_len=(0, 16, 24, 112),
        registrant_prefix_ipv6=("fd77::", "fd77::1:0", "2001:db8::"),
    )


def _registration(chance, operation):
    registration = {"weight": (0, 1, 65535), "state": family.PROCESS_STATES, "cpus": ("", "0", "0-1", "9999", "x")}
    if operation == family.PROCESS_ADD:
        registration |= {"owner": family.OWNERS, "pid": (1, os.getpid(), 4_000_000), "pidfd": (0, 1, 99)}
    else:
        registration |= {"drain_timeout": (1, 1000)}
    return _some(chance, **registration)


def _mutate(chance, data):
    """Breaks some bytes, or the length, of attributes."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        way = chance.randrange(6)
        at = chance.randrange(len(data)) if data else 0
        if way == 0 and data:
            data[at] = chance.randrange(256)
        elif way == 1 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif way == 2:
            del data[at:]
        elif way == 3:
            data += chance.randbytes(chance.randrange(1, 20))
        elif way == 4:
            data += data[: chance.randrange(len(data) + 1)]
        elif way == 5:
            nest = attribute(chance.randrange(8), chance.randbytes(chance.choice((chance.randrange(12), 16))))
            for _ in range(chance.randrange(12)):
                nest = attribute(chance.randrange(8), nest, nested=chance.random() < 0.8)
            data[at:at] = nest
    return bytes(data)


def _still_works(net):
    """The layer serves as before."""
    net.control.reset()
    net.control.limit(1 << 16)
    net.control.prefix("10.77.0.0", 16)
    net.control.prefix("fd77::", 64)
    for each in topology.ADDRESSES.values():
        net.control.serve(each.service, each.processes[0])
        check.equal(who(net.client, each.service)[0], each.processes[0], "who serves afterwards")


@test
def thousands_of_mutated_requests_are_answered_and_harm_nothing(net):
    chance = random.Random(_SEED)
    print(f"seed {_SEED}")  # shown if the test fails
    limit = net.control.net()["max-connections"]
    with net.server:
        talker = netlink.Socket(family.NAME)
    try:
        for number in range(_MESSAGES):
            operation, attributes = _valid(chance)
            if chance.random() < 0.7:
                attributes = _mutate(chance, attributes)
            if chance.random() < 0.05:
                operation = chance.randrange(256)
            flags = chance.choice((NLM_F_ACK, NLM_F_ACK, NLM_F_ACK, NLM_F_DUMP))
            try:
                talker.request(operation, attributes, flags)
            except netlink.NetlinkError:
                pass
            if number % 500 == 0:
                net.control.services()
        _still_works(net)
    finally:
        net.control.limit(limit)


@test
def messages_whose_headers_lie_harm_nothing(net):
    chance = random.Random(_SEED + 1)
    print(f"seed {_SEED + 1}")
    with net.server:
        talker = netlink.Socket(family.NAME)
    for _ in range(_MESSAGES // 4):
        operation, attributes = _valid(chance)
        if operation == family.NET_SET:
            continue
        message = bytearray(talker.message(operation, attributes, chance.choice((NLM_F_ACK, NLM_F_DUMP))))
        way = chance.randrange(4)
        if way == 0:
            struct.pack_into("=I", message, 0, chance.randrange(0, len(message) + 64))
        elif way == 1:
            del message[chance.randrange(len(message)) :]
        elif way == 2:
            struct.pack_into("=H", message, 6, chance.randrange(1 << 16) | 1)
        else:
            message += message[: chance.randrange(len(message))]
        try:
            talker.send(bytes(message))
        except OSError:
            pass  # refused before it is looked at
        while talker.pending() is not None:
            pass
    _still_works(net)


@test
def a_request_truncated_at_any_byte_is_refused_or_what_it_says(net):
    with net.server:
        talker = netlink.Socket(family.NAME)
    whole = family.encode(family.PROCESS, service_address=SERVICE, process_address=PROCESSES[0])
    net.control.service_add(SERVICE)
    for length in range(len(whole)):
        try:
            talker.request(family.PROCESS_ADD, whole[:length])
        except netlink.NetlinkError as error:
            check.true(error.name in ("EINVAL", "ERANGE"), f"truncated to {length} bytes: {error}")
            continue
        # Only the padding was cut off.
        net.control.process_del(SERVICE, PROCESSES[0])
        check.true(length >= len(whole) - 2, f"accepted when truncated to {length} bytes")
    _still_works(net)
