# SPDX-License-Identifier: GPL-2.0
"""What the netlink family refuses of settings of services and processes, and what it says then.

    server
    192.0.2.1:80     service
    10.77.0.1:80     its process
    no link: only requests
"""

import os
import struct

from lib import background, check, daemon, dispatch, events, family, namespace
from lib.family import PROCESS, SERVICE
from lib.netlink import NetlinkError, attribute, parse
from lib.runner import test

_SERVICE, _PROCESS, _OTHER = "192.0.2.1:80", "10.77.0.1:80", "10.77.0.2:80"
_MOST = 1024
_DEAD = 0x3FFFFF  # above the largest pid that there can be


def setup():
    return dispatch.Dispatch(namespace.Namespace("server")).up()


def _refused(code, names, at, request, *arguments, **settings):
    """The request must fail with this errno (or one of them), name the attribute `at`, and say why."""
    error = check.raises(NetlinkError, lambda: request(*arguments, **settings))
    what = f"{request.__name__}{arguments} {settings}"
    check.true(error.name in ((code,) if isinstance(code, str) else code), f"{what}: got {error}, want {code}")
    check.true(error.message, f"{what}: {code} without a word of explanation")
    check.equal(error.path, at and [family.number(names, at)], f"{what}: the offending attribute")
    return error


def _u32(value):
    return struct.pack("=I", value)


def _bad_of_service(control, request, service):
    for at, code, settings in (
        ("scheduler", "ERANGE", {"scheduler": _u32(8)}),
        ("scheduler", "ERANGE", {"scheduler": _u32(0xFFFFFFFF)}),
        ("refusal", "ERANGE", {"refusal": _u32(3)}),
        ("affinity-timeout", "ERANGE", {"affinity_timeout": 31_536_001}),
        # Of the family it is no more than IPv6 has, and of the service no more than IPv4 has.
        ("affinity-prefix-len", ("EINVAL", "ERANGE"), {"affinity_prefix_len": 33}),
        ("affinity-prefix-len", "ERANGE", {"affinity_prefix_len": 129}),
        ("registrant-prefix-len", "ERANGE", {"registrant_prefix": "10.77.0.0", "registrant_prefix_len": 129}),
        # Bits beyond the prefix's length.
        ("registrant-prefix", "EINVAL", {"registrant_prefix": "10.77.1.1", "registrant_prefix_len": 24}),
        # Not within the namespace's range.
        ("registrant-prefix", "EADDRNOTAVAIL", {"registrant_prefix": "10.78.0.0", "registrant_prefix_len": 24}),
        ("registrant-prefix", "EADDRNOTAVAIL", {"registrant_prefix": "10.76.0.0", "registrant_prefix_len": 15}),
    ):
        _refused(code, SERVICE, at, request, service, **settings)
    for missing, settings in (
        ("registrant-prefix", {"registrant_prefix_len": 24}),
        ("registrant-prefix-len", {"registrant_prefix": "10.77.1.0"}),
    ):
        error = check.raises(NetlinkError, lambda: request(service, **settings))
        check.equal((error.name, error.missing), ("EINVAL", [family.number(SERVICE, missing)]), "error and what is missing")


@test
def settings_of_a_service_that_cannot_be_are_refused_by_name_and_add_nothing(control):
    _bad_of_service(control, control.service_add, _SERVICE)
    check.equal(control.services(), {}, "services")


@test
def a_service_that_a_refused_request_was_to_change_is_as_before(control):
    control.service_add(_SERVICE, scheduler="wlc", affinity_timeout=60, registrant_uid=7, registrant_gid=8)
    control.service_set(_SERVICE, registrant_prefix="10.77.1.0", registrant_prefix_len=24)
    before = control.service(_SERVICE)
    _bad_of_service(control, control.service_set, _SERVICE)
    # A good setting beside a bad one.
    _refused("ERANGE", SERVICE, "refusal", control.service_set, _SERVICE, affinity_timeout=5, refusal=_u32(9))
    elsewhere = {"registrant_prefix": "10.78.0.0", "registrant_prefix_len": 24}
    _refused("EADDRNOTAVAIL", SERVICE, "registrant-prefix", control.service_set, _SERVICE, affinity_timeout=5, **elsewhere)
    check.equal(control.service(_SERVICE), before, "the service")


@test
def what_a_request_does_not_give_stays(control):
    given = {
        "scheduler": "saq",
        "refusal": "retry",
        "affinity-timeout": 31_536_000,
        "affinity-prefix-len": 0,
        "registrant-uid": 0,
        "registrant-gid": 4_294_967_294,
        "registrant-prefix": "10.77.1.0",
        "registrant-prefix-len": 24,
    }
    control.service_add(_SERVICE, **{name.replace("-", "_"): value for name, value in given.items()})
    shown = lambda: {name: control.service(_SERVICE).get(name) for name in given}
    check.equal(shown(), given, "the settings as they were added")
    control.service_set(_SERVICE)
    check.equal(shown(), given, "the settings after a request without any")
    for name, value in (
        ("scheduler", "rr"),
        ("refusal", "tcp"),
        ("affinity-timeout", 0),
        ("affinity-prefix-len", 32),
        ("registrant-uid", 5),
        ("registrant-gid", 6),
    ):
        control.service_set(_SERVICE, **{name.replace("-", "_"): value})
        given[name] = value
        check.equal(shown(), given, f"the settings after {name} was set")
    control.service_set(_SERVICE, registrant_uid=family.NOBODY, registrant_gid=family.NOBODY, registrant_prefix_len=0)
    for name in ("registrant-uid", "registrant-gid", "registrant-prefix", "registrant-prefix-len"):
        given[name] = None
    check.equal(shown(), given, "the settings without registrants")


def _bad_of_process(request, process):
    # No CPU 99999, however large the kernel's masks are.
    for at, code, settings in (
        ("weight", "ERANGE", {"weight": 65536}),
        ("weight", "ERANGE", {"weight": 0xFFFFFFFF}),
        ("state", "ERANGE", {"state": _u32(3)}),
        ("cpus", "EINVAL", {"cpus": "none"}),
        ("cpus", "EINVAL", {"cpus": "3-1"}),
        ("cpus", "EINVAL", {"cpus": "0-"}),
        ("cpus", "EINVAL", {"cpus": "-1"}),
        ("cpus", "ERANGE", {"cpus": "99999"}),
        ("cpus", "ERANGE", {"cpus": "0-99999"}),
        ("cpus", "EINVAL", {"cpus": "0," * 511 + "000"}),
    ):
        _refused(code, PROCESS, at, request, _SERVICE, process, **settings)


@test
def settings_of_a_process_that_cannot_be_are_refused_by_name_and_register_nothing(control):
    control.service_add(_SERVICE)
    _bad_of_process(control.process_add, _PROCESS)
    check.equal(control.processes(), {}, "processes")


@test
def a_registration_that_a_refused_request_was_to_change_is_as_before(control):
    control.service_add(_SERVICE)
    control.process_add(_SERVICE, _PROCESS, weight=5, cpus="0", state="down")
    before = control.process(_SERVICE, _PROCESS)
    _bad_of_process(control.process_set, _PROCESS)
    for settings in ({}, {"state": "active"}, {"state": "down"}):
        _refused(
            "EINVAL", PROCESS, "drain-timeout", control.process_set, _SERVICE, _PROCESS, drain_timeout=1000, **settings
        )
    _refused(
        "ERANGE", PROCESS, "drain-timeout", control.process_set, _SERVICE, _PROCESS, state="draining", drain_timeout=0
    )
    # A good setting beside a bad one.
    _refused("EINVAL", PROCESS, "cpus", control.process_set, _SERVICE, _PROCESS, weight=9, state="active", cpus="x")
    check.equal(control.process(_SERVICE, _PROCESS), before, "the registration")


@test
def only_the_settings_that_a_process_set_takes_can_be_changed(control):
    control.service_add(_SERVICE)
    control.process_add(_SERVICE, _PROCESS)
    before = control.process(_SERVICE, _PROCESS)
    for name, value in (("owner", "socket"), ("pid", 1), ("pidfd", 0), ("uid", 0), ("accept-queue", 1)):
        error = check.raises(NetlinkError, lambda: control.process_set(_SERVICE, _PROCESS, **{name: value}))
        check.equal((error.name, error.path), ("EINVAL", [family.number(PROCESS, name)]), "error and attribute")
    for name, value in (("uid", 0), ("drain-timeout", 5), ("accept-queue-max", 1), ("connections", _u32(1))):
        error = check.raises(NetlinkError, lambda: control.process_add(_SERVICE, _OTHER, **{name: value}))
        check.equal((error.name, error.path), ("EINVAL", [family.number(PROCESS, name)]), "error and attribute")
    check.equal(control.processes(), {(_SERVICE, _PROCESS): before}, "processes")
    error = check.raises(NetlinkError, lambda: control.process_set(_SERVICE, _OTHER, weight=1))
    check.equal((error.name, error.path), ("ENOENT", [family.number(PROCESS, "process-address")]), "error and attribute")


@test
def an_owner_that_cannot_be_is_refused_by_name(control):
    control.service_add(_SERVICE)
    (dead,) = daemon.start(_PROCESS, namespace=control.namespace)
    of_dead = os.pidfd_open(dead.pid)
    dead.kill()
    no_pidfd, alive = os.open("/dev/null", os.O_RDONLY), os.pidfd_open(os.getpid())
    for code, at, settings in (
        ("ERANGE", "owner", {"owner": _u32(3)}),
        ("EINVAL", "pid", {"pid": os.getpid()}),
        ("EINVAL", "pid", {"pid": os.getpid(), "owner": "socket"}),
        ("EINVAL", "pidfd", {"pidfd": alive}),
        ("EINVAL", "pidfd", {"pidfd": alive, "owner": "none"}),
        ("EINVAL", "pidfd", {"pid": os.getpid(), "pidfd": alive, "owner": "pid"}),
        ("ESRCH", "pid", {"pid": _DEAD, "owner": "pid"}),
        ("ESRCH", "pid", {"pid": dead.pid, "owner": "pid"}),
        ("ESRCH", "pid", {"pid": 0, "owner": "pid"}),
        ("ERANGE", "pid", {"pid": 0x80000000, "owner": "pid"}),
        ("ESRCH", "pidfd", {"pidfd": of_dead, "owner": "pid"}),
        ("EBADF", "pidfd", {"pidfd": no_pidfd, "owner": "pid"}),
        ("EBADF", "pidfd", {"pidfd": 9999, "owner": "pid"}),
        ("ERANGE", "pidfd", {"pidfd": 0xFFFFFFFF, "owner": "pid"}),
    ):
        _refused(code, PROCESS, at, control.process_add, _SERVICE, _PROCESS, **settings)
    check.equal(control.processes(), {}, "processes")


@test
def an_owner_that_is_killed_but_not_reaped_is_refused(control):
    control.service_add(_SERVICE)
    ready, tell = os.pipe()

    def zombie():
        os.write(tell, b"!")

    child = background.fork(zombie, keep=[tell])
    os.close(tell)
    check.equal(os.read(ready, 1) + os.read(ready, 1), b"!", "what the child said before its end")
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    _refused("ESRCH", PROCESS, "pid", control.process_add, _SERVICE, _PROCESS, owner="pid", pid=child.pid)
    check.equal(control.processes(), {}, "processes")


@test
def a_user_or_group_that_the_namespace_does_not_know_is_refused_by_name(_):
    def child():
        # A user namespace with one user, root, and one group.
        uid, gid = os.getuid(), os.getgid()
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        for path, content in (("uid_map", f"0 {uid} 1"), ("setgroups", "deny"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{path}", "w", encoding="ascii") as file:
                file.write(content)
        here = dispatch.Dispatch(None)
        for name in ("registrant_uid", "registrant_gid"):
            _refused("EINVAL", SERVICE, name.replace("_", "-"), here.service_add, _SERVICE, **{name: 1})
            here.service_add(_SERVICE, **{name: 0})
            check.equal(here.service(_SERVICE)[name.replace("_", "-")], 0, "the number as it was given")
            here.service_del(_SERVICE)

    check.equal(background.in_child(child), 0, "exit status in the user namespace")


@test
def a_service_may_have_1024_processes_and_no_more(control):
    control.service_add(_SERVICE, scheduler="mh")
    # With another scheduler the changes cost less.
    control.service_set(_SERVICE, scheduler="rr")
    addresses = [f"10.77.{1 + number // 250}.{1 + number % 250}:80" for number in range(_MOST + 1)]
    for address in addresses[:_MOST]:
        control.process_add(_SERVICE, address)
    error = check.raises(NetlinkError, lambda: control.process_add(_SERVICE, addresses[_MOST]))
    check.equal((error.name, error.path), ("ENOSPC", [family.number(PROCESS, "process-address")]), "error and attribute")
    check.true(str(_MOST) in error.message, f"the message does not say how many there may be: {error.message}")
    check.equal(control.service(_SERVICE)["processes"], _MOST, "its processes")
    check.equal(len(control.processes(_SERVICE)), _MOST, "processes that a dump has")
    for scheduler in family.SCHEDULERS:
        control.service_set(_SERVICE, scheduler=scheduler)
    control.process_del(_SERVICE, addresses[0])
    control.process_add(_SERVICE, addresses[_MOST])
    # Another service has room of its own.
    control.serve("192.0.2.2:80", addresses[0])


@test
def the_longest_list_of_cpus_is_shown_as_it_was_given(control):
    control.service_add(_SERVICE)
    longest = "0," * 511 + "00"
    check.equal(len(longest), 1024, "the length of the list")
    control.process_add(_SERVICE, _PROCESS, cpus=longest)
    check.equal(control.process(_SERVICE, _PROCESS)["cpus"], longest, "the CPUs in a dump")
    asked = family.encode(PROCESS, service_address=_SERVICE, process_address=_PROCESS)
    (reply,) = control.socket().request(family.PROCESS_GET, asked)
    # With the NUL that C programs, YNL's among them, rely on.
    shown = dict(parse(reply))[family.number(PROCESS, "cpus")]
    check.equal(shown.decode(), longest + "\0", "the CPUs in a reply")
    with events.Events(control.namespace) as heard:
        control.process_set(_SERVICE, _PROCESS, weight=2)
        check.equal(heard.next()[1]["cpus"], longest, "the CPUs in an event")


@test
def numbers_of_a_wrong_length_are_refused_by_name(control):
    control.service_add(_SERVICE)
    for names, operation, name, length, given in (
        (SERVICE, family.SERVICE_SET, "scheduler", 3, {"service_address": _SERVICE}),
        (SERVICE, family.SERVICE_SET, "affinity-timeout", 1, {"service_address": _SERVICE}),
        (SERVICE, family.SERVICE_SET, "registrant-prefix", 2, {"service_address": _SERVICE}),
        (PROCESS, family.PROCESS_ADD, "weight", 2, {"service_address": _SERVICE, "process_address": _PROCESS}),
        # Where it is asked for: it would be refused anyway with another owner.
        (
            PROCESS,
            family.PROCESS_ADD,
            "pidfd",
            0,
            {"service_address": _SERVICE, "process_address": _PROCESS, "owner": "pid"},
        ),
    ):
        kind = family.number(names, name)
        request = family.encode(names, **given) + attribute(kind, bytes(length))
        error = check.raises(NetlinkError, control.socket().request, operation, request)
        check.true(error.name in ("EINVAL", "ERANGE"), f"{name}: {error}")
        check.equal(error.path, [kind], f"{name}: the offending attribute")
