# SPDX-License-Identifier: GPL-2.0
"""What the netlink family takes and refuses of IPv6 addresses, and of IPv4 and IPv6 together.

    server
    192.0.2.1:80, [2001:db8::1]:80     services
    10.77.0.1:80, [fd77::1]:80         their processes
    no link: only requests
"""

import struct

from lib import check, dispatch, family, ip, namespace
from lib.family import CONNECTION, NET, PROCESS, SERVICE
from lib.ip import BOTH, IPV4, IPV6, endpoint
from lib.netlink import NLM_F_DUMP, attribute
from lib.requests import OPERATIONS, refused, with_address
from lib.runner import test
from lib.topology import ADDRESSES

_FOUR, _SIX = ADDRESSES[IPV4], ADDRESSES[IPV6]
_VALID = {
    version: {
        "service-address": addresses.service,
        "process-address": addresses.processes[0],
        "client-address": endpoint(addresses.client_address, 40000),
    }
    for version, addresses in ADDRESSES.items()
}
_IPV4, _PORT, _IPV6 = 1, 2, 3


def setup():
    return dispatch.Dispatch(namespace.Namespace("server", *BOTH), *BOTH).up()


def _serve(control, *versions):
    # Those that a test has added wait for their first packet, longer than the test.
    for each in control.connections():
        control.connection_del(each["client-address"], each["service-address"])
    for addresses in versions or (_FOUR, _SIX):
        control.serve(addresses.service, addresses.processes[0])


def _each_address():
    """Yields each operation, its attribute set, the addresses that it must have and one of them."""
    for operation, (names, needed) in OPERATIONS.items():
        for at in needed:
            yield operation, names, needed, at


@test
def an_address_of_both_versions_is_refused_by_name(control):
    _serve(control)
    for operation, names, needed, at in _each_address():
        (four, _), (six, port) = (family.split(_VALID[version][at]) for version in BOTH)
        for first, second in (((_IPV4, four), (_IPV6, six)), ((_IPV6, six), (_IPV4, four))):
            halves = attribute(*first) + attribute(_PORT, port) + attribute(*second)
            request, kind = with_address(_VALID[IPV6], names, needed, at, halves)
            error = refused(control, "EINVAL", operation, request)
            check.equal(error.path and error.path[0], kind, f"operation {operation}: the offending attribute")


@test
def an_address_without_host_or_port_is_refused_and_the_missing_half_named(control):
    _serve(control)
    for operation, names, needed, at in _each_address():
        host, port = family.split(_VALID[IPV6][at])
        for half, missing in ((attribute(_IPV6, host), _PORT), (attribute(_PORT, port), _IPV4), (b"", _IPV4)):
            request, kind = with_address(_VALID[IPV6], names, needed, at, half)
            error = refused(control, "EINVAL", operation, request)
            check.equal(error.missing, [kind, missing], f"operation {operation}: the missing attribute's path")


@test
def an_IPv6_address_of_a_wrong_length_is_refused_by_name(control):
    _serve(control)
    for operation, names, needed, at in _each_address():
        host, port = family.split(_VALID[IPV6][at])
        for wrong in (b"", host[:1], host[:4], host[:15], host + b"\0", host * 2):
            halves = attribute(_IPV6, wrong) + attribute(_PORT, port)
            request, kind = with_address(_VALID[IPV6], names, needed, at, halves)
            error = refused(control, ("EINVAL", "ERANGE"), operation, request)
            check.equal(error.path, [kind, _IPV6], f"operation {operation}, {len(wrong)} bytes: the offending attribute")


@test
def an_IPv6_address_that_cannot_serve_is_EADDRNOTAVAIL(control):
    _serve(control)
    for operation, at, hosts in (
        (family.SERVICE_ADD, "service-address", ["ff0e::1", "ff02::1", "::", "fe80::1", "::ffff:192.0.2.1"]),
        (family.PROCESS_ADD, "process-address", ["fd77:0:0:1::1", "2001:db8::7", "::1", "::ffff:10.77.0.2"]),
        (family.CONNECTION_ADD, "client-address", ["fd77::9", "ff0e::1", "::", "::ffff:198.51.100.2"]),
    ):
        names, needed = OPERATIONS[operation]
        for host in hosts:
            given = {name: _VALID[IPV6][name] for name in needed} | {at: endpoint(host, 80)}
            error = refused(control, "EADDRNOTAVAIL", operation, family.encode(names, **given))
            check.equal(error.path, [family.number(names, at)], f"{host}: the offending attribute")


@test
def a_process_of_the_other_version_than_its_service_is_EAFNOSUPPORT(control):
    _serve(control)
    before = control.processes()
    for service, process in ((_FOUR.service, _SIX.process(2)), (_SIX.service, _FOUR.process(2))):
        request = family.encode(PROCESS, service_address=service, process_address=process)
        error = refused(control, "EAFNOSUPPORT", family.PROCESS_ADD, request)
        check.equal(error.path, [family.number(PROCESS, "process-address")], f"{process}: the offending attribute")
    check.equal(control.processes(), before, "processes")


@test
def a_connection_of_two_versions_is_refused_and_adds_nothing(control):
    _serve(control)
    for one, other in (BOTH, BOTH[::-1]):
        for at in ("client-address", "process-address"):
            given = _VALID[one] | {at: _VALID[other][at]}
            error = refused(
                control, ("EAFNOSUPPORT", "EINVAL", "ENOENT"), family.CONNECTION_ADD, family.encode(CONNECTION, **given)
            )
            check.equal(error.path, [family.number(CONNECTION, at)], f"{given[at]}: the offending attribute")
    check.equal(control.connections(), [], "connections")


@test
def what_is_there_already_is_EEXIST_and_what_is_not_there_ENOENT(control):
    _serve(control)
    control.connection_add(*(_VALID[IPV6][at] for at in ("client-address", "service-address", "process-address")))
    for operation, at in (
        (family.SERVICE_ADD, "service-address"),
        (family.PROCESS_ADD, "process-address"),
        (family.CONNECTION_ADD, "client-address"),
    ):
        names, needed = OPERATIONS[operation]
        error = refused(
            control, "EEXIST", operation, family.encode(names, **{name: _VALID[IPV6][name] for name in needed})
        )
        check.equal(error.path, [family.number(names, at)], f"operation {operation}: the offending attribute")
    # All but the last bit is the same.
    absent = endpoint("2001:db8::", 80)
    for operation in (family.SERVICE_DEL, family.SERVICE_GET, family.PROCESS_ADD):
        names, needed = OPERATIONS[operation]
        given = {name: _VALID[IPV6][name] for name in needed} | {"service-address": absent}
        error = refused(control, "ENOENT", operation, family.encode(names, **given))
        check.equal(error.path, [family.number(names, "service-address")], f"operation {operation}: the attribute")


@test
def an_IPv6_address_is_shown_as_it_was_given(control):
    _serve(control, _SIX)
    control.connection_add(_VALID[IPV6]["client-address"], _SIX.service, _SIX.processes[0])
    check.equal(list(control.services()), [_SIX.service], "services in a dump")
    check.equal(control.service(_SIX.service)["service-address"], _SIX.service, "the service in a reply")
    check.equal(list(control.processes()), [(_SIX.service, _SIX.processes[0])], "processes in a dump")
    (shown,) = control.connections()
    check.equal({at: shown[at] for at in _VALID[IPV6]}, _VALID[IPV6], "the connection in a dump")
    asked = family.encode(CONNECTION, client_address=_VALID[IPV6]["client-address"], service_address=_SIX.service)
    (reply,) = control.socket().request(family.CONNECTION_GET, asked)
    shown = family.decode(CONNECTION, reply)
    check.equal({at: shown[at] for at in _VALID[IPV6]}, _VALID[IPV6], "the connection in a reply")


@test
def client_ranges_of_both_versions_at_once_are_refused(control):
    asked = family.encode(CONNECTION, client_prefix=_FOUR.near(0), client_prefix_ipv6=_SIX.near(0), client_prefix_len=24)
    refused(control, "EINVAL", family.CONNECTION_GET, asked, NLM_F_DUMP)


@test
def a_range_longer_than_its_addresses_is_refused_by_name(control):
    # It is the range that doesn't fit, or its length.
    either = lambda names, name: [[family.number(names, f"{name}-prefix{more}")] for more in ("", "-len", "-ipv6")]
    for host, length, code in (
        (_FOUR.near(2), 33, "EINVAL"),
        (_FOUR.near(2), 128, "EINVAL"),
        (_SIX.near(2), 129, "ERANGE"),
        (_FOUR.near(2), 255, "ERANGE"),
    ):
        asked = family.encode(CONNECTION, **family.prefix("client", host, length))
        error = refused(control, code, family.CONNECTION_GET, asked, NLM_F_DUMP)
        check.true(error.path in either(CONNECTION, "client"), f"{host}/{length}: {error}")
    for addresses, length, code in ((_FOUR, 33, "EINVAL"), (_FOUR, 128, "EINVAL"), (_SIX, 129, "ERANGE")):
        given = family.prefix("registrant", addresses.process_host(1), length)
        asked = family.encode(SERVICE, service_address=addresses.service, **given)
        error = refused(control, code, family.SERVICE_ADD, asked)
        check.true(error.path in either(SERVICE, "registrant"), f"length {length}: {error}")
        asked = family.encode(SERVICE, service_address=addresses.service, affinity_prefix_len=length)
        error = refused(control, ("EINVAL", "ERANGE"), family.SERVICE_ADD, asked)
        name = family.number(SERVICE, "affinity-prefix-len")
        check.equal(error.path, [name], f"affinity of {length} bits: the offending attribute")
    check.equal(control.services(), {}, "services")


@test
def a_range_of_registrants_must_be_of_the_services_version_and_of_one(control):
    four, six = family.prefix("registrant", _FOUR.process_host(0, 1), 24), family.prefix("registrant", "fd77::1:0", 112)
    both = four | six | {"registrant_prefix_len": 24}
    for service, given in ((_FOUR.service, six), (_SIX.service, four), (_FOUR.service, both), (_SIX.service, both)):
        asked = family.encode(SERVICE, service_address=service, **given)
        refused(control, ("EINVAL", "EAFNOSUPPORT"), family.SERVICE_ADD, asked)
    check.equal(control.services(), {}, "services")
    control.service_add(_SIX.service)
    refused(
        control,
        ("EINVAL", "EAFNOSUPPORT"),
        family.SERVICE_SET,
        family.encode(SERVICE, service_address=_SIX.service, **four),
    )
    control.service_set(_SIX.service, **six)
    shown = control.service(_SIX.service)
    check.equal((shown["registrant-prefix-ipv6"], shown["registrant-prefix-len"]), ("fd77::1:0", 112), "the range")
    check.true("registrant-prefix" not in shown, "an IPv4 range is shown")
    control.service_set(_SIX.service, registrant_prefix_len=0)
    check.true("registrant-prefix-ipv6" not in control.service(_SIX.service), "a range is shown after its end")


@test
def an_IPv6_range_of_registrants_that_cannot_be_is_refused_by_name(control):
    at = [family.number(SERVICE, "registrant-prefix-ipv6")]
    for host, length, code in (
        ("fd77::1:1", 112, "EINVAL"),  # bits beyond the prefix's length
        ("fd77::1", 127, "EINVAL"),
        ("fd77:0:0:1::", 96, "EADDRNOTAVAIL"),  # not within the namespace's range
        ("fd77::", 63, "EADDRNOTAVAIL"),
    ):
        asked = family.encode(SERVICE, service_address=_SIX.service, **family.prefix("registrant", host, length))
        error = refused(control, code, family.SERVICE_ADD, asked)
        check.equal(error.path, at, f"{host}/{length}: the offending attribute")
    alone = family.encode(SERVICE, service_address=_SIX.service, registrant_prefix_ipv6="fd77::1:0")
    error = refused(control, "EINVAL", family.SERVICE_ADD, alone)
    check.equal(error.missing, [family.number(SERVICE, "registrant-prefix-len")], "the missing attribute")


def _range(host, length):
    """A request's attributes that set the IPv6 range; what is None is left out."""
    return family.encode(
        NET,
        process_prefix_ipv6=host and ip.pack(host),
        process_prefix_ipv6_len=None if length is None else struct.pack("=B", length),
    )


@test
def net_set_refuses_an_IPv6_range_that_cannot_be(control):
    before = control.net()
    first, length = (family.number(NET, name) for name in ("process-prefix-ipv6", "process-prefix-ipv6-len"))
    for host, bits, code, at in (
        ("fd77::", 129, "ERANGE", length),
        ("fd77::", 255, "ERANGE", length),
        ("fd77::1", 64, "EINVAL", first),  # bits beyond the prefix's length
        ("fd77::", 10, "EINVAL", first),
    ):
        error = refused(control, code, family.NET_SET, _range(host, bits))
        check.equal(error.path, [at], f"{host}/{bits}: the offending attribute")
    for missing, request in ((length, _range("fd77::", None)), (first, _range(None, 64))):
        error = refused(control, "EINVAL", family.NET_SET, request)
        check.equal(error.missing, [missing], "the missing attribute")
    for wrong in (b"", bytes(4), bytes(15), bytes(17)):
        request = attribute(first, wrong) + _range(None, 64)
        error = refused(control, ("EINVAL", "ERANGE"), family.NET_SET, request)
        check.equal(error.path, [first], f"{len(wrong)} bytes: the offending attribute")
    check.equal(control.net(), before, "what holds for the namespace")


@test
def an_IPv6_range_that_would_leave_a_process_out_or_take_a_service_in_is_refused(control):
    _serve(control)
    before = control.net()
    for host, bits in (("fd77:0:0:1::", 64), ("fd77::1:0", 112), (None, 0)):
        error = refused(control, "EBUSY", family.NET_SET, _range(host, bits))
        check.true(error.path, "EBUSY names no attribute")
    control.process_del(_SIX.service, _SIX.processes[0])
    error = refused(control, "EADDRINUSE", family.NET_SET, _range("2001:db8::", 32))
    check.equal(error.path, [family.number(NET, "process-prefix-ipv6")], "the offending attribute")
    check.equal(control.net(), before, "what holds for the namespace")
    # A process address is no service address.
    request = family.encode(SERVICE, service_address=_SIX.process(9))
    error = refused(control, "EADDRINUSE", family.SERVICE_ADD, request)
    check.equal(error.path, [family.number(SERVICE, "service-address")], "the offending attribute")


@test
def the_ranges_of_both_versions_are_set_and_ended_apart(_):
    bare = dispatch.Dispatch(namespace.Namespace("bare"))
    shown = lambda: [bare.net().get(name) for name in ("process-prefix", "process-prefix-ipv6")]
    check.equal(shown(), [None, None], "ranges at first")
    bare.prefix("fd77::", 64)
    check.equal(shown(), [None, "fd77::"], "ranges with one of IPv6")
    check.equal(bare.net()["process-prefix-ipv6-len"], 64, "the length of IPv6's")
    bare.service_add(_FOUR.service)
    request = family.encode(PROCESS, service_address=_FOUR.service, process_address=_FOUR.processes[0])
    error = refused(bare, "EADDRNOTAVAIL", family.PROCESS_ADD, request)
    check.equal(error.path, [family.number(PROCESS, "process-address")], "the offending attribute")
    bare.prefix("10.77.0.0", 16)
    check.equal(shown(), ["10.77.0.0", "fd77::"], "ranges of both")
    bare.process_add(_FOUR.service, _FOUR.processes[0])
    # IPv6's has no process, and IPv4's has one.
    bare.socket().request(family.NET_SET, _range(None, 0))
    check.equal(shown(), ["10.77.0.0", None], "ranges after the end of IPv6's")
    bare.forget_sockets()
    bare.namespace.delete()
    bare.namespace.gone()


@test
def a_dump_has_the_connections_of_a_range_of_one_version_and_none_of_the_other(control):
    _serve(control)
    clients = {}
    for addresses in (_FOUR, _SIX):
        clients[addresses] = [endpoint(addresses.near(number), 40000) for number in (2, 16, 17)]
        for client in clients[addresses]:
            control.connection_add(client, addresses.service, addresses.processes[0])
    dump = lambda **filters: {each["client-address"] for each in control.connections(**filters)}
    check.equal(dump(), {*clients[_FOUR], *clients[_SIX]}, "all connections")
    for addresses in (_FOUR, _SIX):
        bits, network = addresses.version.bits, addresses.near(0)
        whole = dump(**family.prefix("client", network, addresses.near_length))
        check.equal(whole, set(clients[addresses]), f"connections of {network}")
        part = dump(**family.prefix("client", addresses.near(16), bits - 4))
        check.equal(part, set(clients[addresses][1:]), f"connections of a part of {network}")
        one = dump(**family.prefix("client", addresses.near(17), bits))
        check.equal(one, {clients[addresses][2]}, f"the connection of one client of {network}")
        check.equal(dump(service=addresses.service), set(clients[addresses]), "connections of the service")
        check.equal(dump(process=addresses.processes[0]), set(clients[addresses]), "connections of the process")
