# SPDX-License-Identifier: GPL-2.0
"""What the netlink family refuses, and what it says then.

    server
    192.0.2.1:80     service
    10.77.0.1:80     its process
    no link: only requests
"""

import errno
import socket
import struct

from lib import check, dispatch, family, namespace
from lib.family import CONNECTION, NET, PROCESS, SERVICE
from lib.netlink import NLM_F_DUMP, NetlinkError, attribute
from lib.requests import OPERATIONS, refused, with_address
from lib.runner import test

_SERVICE, _PROCESS, _CLIENT = "192.0.2.1:80", "10.77.0.1:80", "198.51.100.2:40000"
_VALID = {"service-address": _SERVICE, "process-address": _PROCESS, "client-address": _CLIENT}


def setup():
    server = namespace.Namespace("server")
    return dispatch.Dispatch(server).up()


def _serve(control):
    control.serve(_SERVICE, _PROCESS)


def _encode(names, addresses):
    return family.encode(names, **addresses)


@test
def each_operation_names_the_attribute_that_is_missing(control):
    _serve(control)
    for operation, (names, needed) in OPERATIONS.items():
        for absent in needed:
            given = {name: _VALID[name] for name in needed if name != absent}
            error = refused(control, "EINVAL", operation, _encode(names, given))
            check.equal(error.missing, [family.number(names, absent)], f"operation {operation}: missing attribute")


@test
def each_operation_names_the_half_of_an_address_that_is_missing(control):
    _serve(control)
    for operation, (names, needed) in OPERATIONS.items():
        for broken in needed:
            host, port = family.split(_VALID[broken])
            kind = family.number(names, broken)
            for half, missing in ((attribute(1, host), 2), (attribute(2, port), 1), (b"", 1)):
                request = b"".join(_encode(names, {name: _VALID[name]}) for name in needed if name != broken)
                request += attribute(kind, half, nested=True)
                error = refused(control, "EINVAL", operation, request)
                check.equal(error.missing, [kind, missing], f"operation {operation}: the missing attribute's path")


@test
def attributes_of_a_wrong_length_are_refused_by_name(control):
    _serve(control)
    for operation, (names, needed) in OPERATIONS.items():
        for broken in needed:
            host, port = family.split(_VALID[broken])
            cases = [(1, attribute(1, host[:n]) + attribute(2, port)) for n in range(4)]
            cases += [(1, attribute(1, host + b"\0" * n) + attribute(2, port)) for n in (1, 4, 12)]
            cases += [(2, attribute(1, host) + attribute(2, port[:n])) for n in range(2)]
            cases += [(2, attribute(1, host) + attribute(2, port + b"\0" * n)) for n in (1, 2, 6)]
            for half, halves in cases:
                request, kind = with_address(_VALID, names, needed, broken, halves)
                error = refused(control, ("EINVAL", "ERANGE"), operation, request)
                check.equal(error.path, [kind, half], f"operation {operation}: the offending attribute's path")


@test
def an_address_or_port_of_zero_is_out_of_range(control):
    _serve(control)
    for operation, (names, needed) in OPERATIONS.items():
        for broken in needed:
            host, port = family.split(_VALID[broken])
            for half, halves in (
                (1, attribute(1, bytes(4)) + attribute(2, port)),
                (2, attribute(1, host) + attribute(2, bytes(2))),
            ):
                request, kind = with_address(_VALID, names, needed, broken, halves)
                error = refused(control, "ERANGE", operation, request)
                check.equal(error.path, [kind, half], f"operation {operation}: the offending attribute's path")


@test
def unknown_attributes_are_refused_by_name(control):
    _serve(control)
    for operation, (names, needed) in OPERATIONS.items():
        request = _encode(names, {name: _VALID[name] for name in needed})
        for unknown in (len(names) + 1, 99):
            error = refused(control, "EINVAL", operation, request + attribute(unknown, b"\0\0\0\0"))
            check.equal(error.path, [unknown], f"operation {operation}: the unknown attribute")
        host, port = family.split(_VALID[needed[0]])
        halves = attribute(1, host) + attribute(2, port) + attribute(4, b"\0\0\0\0")
        request, kind = with_address(_VALID, names, needed, needed[0], halves)
        error = refused(control, "EINVAL", operation, request)
        check.equal(error.path, [kind, 4], f"operation {operation}: the unknown attribute in an address")


@test
def an_address_without_the_nested_flag_is_refused_by_name(control):
    for operation, (names, needed) in OPERATIONS.items():
        host, port = family.split(_VALID[needed[0]])
        kind = family.number(names, needed[0])
        request = attribute(kind, attribute(1, host) + attribute(2, port))
        request += _encode(names, {name: _VALID[name] for name in needed[1:]})
        error = refused(control, "EINVAL", operation, request)
        check.equal(error.path, [kind], f"operation {operation}: the offending attribute")


@test
def attributes_that_only_replies_have_are_refused(control):
    _serve(control)
    request = _encode(SERVICE, {"service-address": _SERVICE})
    for name in ("processes", "connections", "stats", "drops"):
        kind = family.number(SERVICE, name)
        refused(control, "EINVAL", family.SERVICE_ADD, request + attribute(kind, bytes(4)))
    for name in ("services", "connections", "drops"):
        refused(control, "EINVAL", family.NET_SET, attribute(family.number(NET, name), bytes(4)))


@test
def net_set_refuses_what_is_out_of_range(control):
    before = control.net()
    number = lambda name: family.number(NET, name)
    prefix = attribute(number("process-prefix"), socket.inet_aton("10.77.0.0"))
    length = lambda bits: attribute(number("process-prefix-len"), struct.pack("=B", bits))
    for name, request, code in (
        ("process-prefix-len", prefix + length(33), "ERANGE"),
        ("process-prefix-len", prefix + length(255), "ERANGE"),
        ("process-prefix", attribute(number("process-prefix"), bytes(4)) + length(8), "ERANGE"),
        ("max-connections", attribute(number("max-connections"), bytes(4)), "ERANGE"),
        # Bits beyond the prefix's length.
        ("process-prefix", attribute(number("process-prefix"), socket.inet_aton("10.77.0.1")) + length(16), "EINVAL"),
    ):
        error = refused(control, code, family.NET_SET, request)
        check.equal(error.path, [number(name)], f"{name}: the offending attribute")
    for name, request in (("process-prefix-len", prefix), ("process-prefix", length(16))):
        error = refused(control, "EINVAL", family.NET_SET, request)
        check.equal(error.missing, [number(name)], "the missing attribute")
    check.equal(control.net(), before, "what holds for the namespace")


@test
def a_prefix_that_would_leave_a_process_out_is_refused(control):
    _serve(control)
    before = control.net()
    number = lambda name: family.number(NET, name)
    for prefix, bits in (("10.78.0.0", 16), ("10.77.1.0", 24), ("10.77.0.0", 0)):
        request = attribute(number("process-prefix"), socket.inet_aton(prefix))
        request += attribute(number("process-prefix-len"), struct.pack("=B", bits))
        if bits == 0:
            request = attribute(number("process-prefix-len"), b"\0")
        error = refused(control, "EBUSY", family.NET_SET, request)
        check.true(error.path, "EBUSY names no attribute")
    check.equal(control.net(), before, "what holds for the namespace")


@test
def what_is_there_already_is_EEXIST(control):
    _serve(control)
    control.connection_add(_CLIENT, _SERVICE, _PROCESS)
    for operation, at in (
        (family.SERVICE_ADD, "service-address"),
        (family.PROCESS_ADD, "process-address"),
        (family.CONNECTION_ADD, "client-address"),
    ):
        names, needed = OPERATIONS[operation]
        error = refused(control, "EEXIST", operation, _encode(names, {name: _VALID[name] for name in needed}))
        check.equal(error.path, [family.number(names, at)], f"operation {operation}: the offending attribute")


@test
def what_is_not_there_is_ENOENT_and_named(control):
    _serve(control)
    absent = {"service-address": "192.0.2.1:81", "process-address": "10.77.0.2:80", "client-address": "198.51.100.2:1"}
    for operation, (names, needed) in OPERATIONS.items():
        if operation == family.SERVICE_ADD:
            continue
        for name in needed:
            adds_it = (operation, name) in (
                (family.PROCESS_ADD, "process-address"),
                (family.CONNECTION_ADD, "client-address"),
            )
            if adds_it:
                continue
            given = {each: _VALID[each] for each in needed} | {name: absent[name]}
            if operation in (family.CONNECTION_GET, family.CONNECTION_DEL):
                # Both addresses together name the connection: either may be the one that is named.
                refused(control, "ENOENT", operation, _encode(names, given))
                continue
            error = refused(control, "ENOENT", operation, _encode(names, given))
            check.equal(error.path, [family.number(names, name)], f"operation {operation}: the offending attribute")


@test
def an_address_that_cannot_serve_is_EADDRNOTAVAIL(control):
    _serve(control)
    for operation, names, at, addresses in (
        (family.PROCESS_ADD, PROCESS, "process-address", ["10.78.0.1:80", "192.0.2.7:80", "127.0.0.1:80"]),
        (family.SERVICE_ADD, SERVICE, "service-address", ["224.0.0.1:80", "255.255.255.255:80", "240.0.0.1:80"]),
        (family.CONNECTION_ADD, CONNECTION, "client-address", ["10.77.0.9:80", "224.0.0.1:80", "0.1.2.3:80"]),
    ):
        for address in addresses:
            given = {name: _VALID[name] for name in OPERATIONS[operation][1]} | {at: address}
            error = refused(control, "EADDRNOTAVAIL", operation, _encode(names, given))
            check.equal(error.path, [family.number(names, at)], f"{address}: the offending attribute")


@test
def an_address_that_is_taken_otherwise_is_EADDRINUSE(control):
    _serve(control)
    # A process address is no address for clients.
    error = refused(control, "EADDRINUSE", family.SERVICE_ADD, _encode(SERVICE, {"service-address": "10.77.0.9:80"}))
    check.equal(error.path, [family.number(SERVICE, "service-address")], "the offending attribute")
    # To the process both connections would look alike.
    other = "192.0.2.2:80"
    control.serve(other, _PROCESS)
    control.connection_add("198.51.100.2:42000", _SERVICE, _PROCESS)
    given = {"client-address": "198.51.100.2:42000", "service-address": other, "process-address": _PROCESS}
    error = refused(control, "EADDRINUSE", family.CONNECTION_ADD, _encode(CONNECTION, given))
    check.equal(error.path, [family.number(CONNECTION, "process-address")], "the offending attribute")
    # A range that would take a service's address in.
    control.reset()
    control.service_add(_SERVICE)
    number = lambda name: family.number(NET, name)
    request = attribute(number("process-prefix"), socket.inet_aton("192.0.0.0"))
    request += attribute(number("process-prefix-len"), struct.pack("=B", 16))
    error = refused(control, "EADDRINUSE", family.NET_SET, request)
    check.equal(error.path, [number("process-prefix")], "the offending attribute")


@test
def a_process_without_a_prefix_is_EADDRNOTAVAIL(_):
    bare = dispatch.Dispatch(namespace.Namespace("bare"))
    bare.service_add(_SERVICE)
    request = _encode(PROCESS, {"service-address": _SERVICE, "process-address": _PROCESS})
    error = refused(bare, "EADDRNOTAVAIL", family.PROCESS_ADD, request)
    check.equal(error.path, [family.number(PROCESS, "process-address")], "the offending attribute")
    bare.forget_sockets()
    bare.namespace.delete()
    bare.namespace.gone()


@test
def a_connection_beyond_the_limit_is_refused(control):
    _serve(control)
    limit = control.net()["max-connections"]
    held = control.net()["connections"]
    control.limit(held + 1)
    try:
        control.connection_add("198.51.100.2:41000", _SERVICE, _PROCESS)
        request = {**_VALID, "client-address": "198.51.100.2:41001"}
        refused(control, ("ENOSPC", "EDQUOT"), family.CONNECTION_ADD, _encode(CONNECTION, request))
    finally:
        control.limit(limit)


@test
def an_unknown_operation_is_EOPNOTSUPP(control):
    for operation in (0, *family.EVENTS, 255):
        error = check.raises(NetlinkError, control.socket().request, operation)
        check.equal(error.code, errno.EOPNOTSUPP, f"the error of operation {operation}")


@test
def dumps_refuse_attributes_that_they_do_not_take(control):
    _serve(control)
    for operation, names, given in (
        (family.SERVICE_GET, SERVICE, {"service-address": _SERVICE}),
        (family.PROCESS_GET, PROCESS, {"process-address": _PROCESS}),
        (family.CONNECTION_GET, CONNECTION, {"client-address": _CLIENT}),
    ):
        if operation == family.SERVICE_GET:
            # No policy at all: such a dump's attributes are not looked at.
            continue
        refused(control, "EINVAL", operation, _encode(names, given), NLM_F_DUMP)


@test
def a_refused_request_changes_nothing(control):
    _serve(control)
    before = (control.services(), control.processes(), control.net())
    for operation, (names, needed) in OPERATIONS.items():
        request = _encode(names, {name: _VALID[name] for name in needed}) + attribute(99, bytes(4))
        refused(control, "EINVAL", operation, request)
    check.equal((control.services(), control.processes(), control.net()), before, "services, processes and namespace")
