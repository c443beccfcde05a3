# SPDX-License-Identifier: GPL-2.0
"""Unprivileged users who register their daemons where the administrator allows it.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80        service
                                 10.77.1.0/24        where its registrants may take addresses from
                                 10.77.1.1:8080      Alice's daemon
"""

import os

from lib import background, check, daemon, dispatch, events, family, registrant, topology, wait
from lib.client import refused, who
from lib.netlink import NetlinkError
from lib.runner import test
from lib.topology import HOST, OTHER_HOST, SERVICE

# Users and groups need no names.
_ALICE, _BOB, _GROUP = 20001, 20002, 20010
_PROCESS, _SECOND = "10.77.1.1:8080", "10.77.1.2:8080"
_OUTSIDE = "10.77.2.1:8080"
_RANGE = {"registrant_prefix": "10.77.1.0", "registrant_prefix_len": 24}


def setup():
    return topology.pair()


def _as(net, user, function):
    """Calls a function with a control of the server as an unprivileged user, who must not fail."""

    def child():
        net.server.enter()
        background.become(*user)
        function(dispatch.Dispatch(None))

    check.equal(background.in_child(child), 0, f"exit status of user {user}")


def _denied(function, *arguments, error="EPERM", **settings):
    """The request must be refused with this error, and a word of explanation."""
    caught = check.raises(NetlinkError, lambda: function(*arguments, **settings))
    check.equal(caught.name, error, f"the error of {function.__name__}{arguments}")
    check.true(caught.message or error == "EPERM", f"{function.__name__}: no word of explanation")
    return caught


@test
def a_user_whom_the_service_names_registers_a_daemon_that_serves(net):
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)
    for owner in ("socket", "pid"):
        daemon_of_alice = registrant.start(net.control, SERVICE, _PROCESS, user=[_ALICE], owner=owner)
        shown = net.control.process(SERVICE, _PROCESS)
        check.equal((shown["uid"], shown["owner"]), (_ALICE, owner), "the user and the owner of the registration")
        check.equal(who(net.client, SERVICE)[0], _PROCESS, "who serves")
        daemon_of_alice.kill()
        wait.until(lambda: not net.control.processes(SERVICE), "the registration ends with its owner")


@test
def a_member_of_the_group_that_the_service_names_may_register(net):
    net.control.service_add(SERVICE, registrant_gid=_GROUP, **_RANGE)
    for user in ([_ALICE, _ALICE, _GROUP], [_BOB, _GROUP]):  # as a further group, and as the first
        member = registrant.start(net.control, SERVICE, _PROCESS, user=user, owner="socket")
        check.equal(net.control.process(SERVICE, _PROCESS)["uid"], user[0], "the user of the registration")
        check.equal(who(net.client, SERVICE)[0], _PROCESS, "who serves")
        member.kill()
    _as(net, [_ALICE], lambda control: _denied(control.process_add, SERVICE, _PROCESS, owner="socket"))


@test
def nobody_else_may_register(net):
    add = lambda control: _denied(control.process_add, SERVICE, _PROCESS, owner="socket")
    net.control.service_add(SERVICE)
    _as(net, [_ALICE], add)
    # A range alone permits nobody, and a user without a range has nowhere to go.
    net.control.service_set(SERVICE, **_RANGE)
    _as(net, [_ALICE], add)
    net.control.service_set(SERVICE, registrant_uid=_BOB)
    _as(net, [_ALICE], add)
    net.control.service_set(SERVICE, registrant_uid=_ALICE, registrant_prefix_len=0)
    _as(net, [_ALICE], add)
    net.control.service_set(SERVICE, **_RANGE)
    _as(net, [_ALICE], lambda control: control.process_add(SERVICE, _PROCESS, owner="pid", pid=os.getpid()))
    net.control.service_set(SERVICE, registrant_uid=family.NOBODY)
    _as(net, [_ALICE], lambda control: _denied(control.process_add, SERVICE, _SECOND, owner="socket"))
    check.true("registrant-uid" not in net.control.service(SERVICE), "the service has a registrant still")


@test
def a_registrant_may_register_only_addresses_of_the_range(net):
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)

    def alice(control):
        for address in (_OUTSIDE, "10.77.0.255:8080", "10.77.2.0:8080"):
            error = _denied(control.process_add, SERVICE, address, owner="socket")
            check.equal(error.path, [family.number(family.PROCESS, "process-address")], "the offending attribute")
        for address in ("10.77.1.0:8080", "10.77.1.255:65535", "10.77.1.7:1"):
            control.process_add(SERVICE, address, owner="socket")
        _denied(control.process_add, SERVICE, "10.78.1.1:8080", owner="socket", error="EADDRNOTAVAIL")

    _as(net, [_ALICE], alice)


@test
def a_registrants_registration_must_belong_to_its_own_socket_or_process(net):
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)
    other = os.getpid()

    def alice(control):
        _denied(control.process_add, SERVICE, _PROCESS)
        _denied(control.process_add, SERVICE, _PROCESS, owner="none")
        _denied(control.process_add, SERVICE, _PROCESS, owner="pid", pid=other)
        _denied(control.process_add, SERVICE, _PROCESS, owner="pid", pidfd=os.pidfd_open(other))
        _denied(control.process_add, SERVICE, _PROCESS, owner="pid", pid=1)
        check.equal(control.processes(), {}, "processes")
        control.process_add(SERVICE, _PROCESS, owner="pid", pid=os.getpid())
        control.process_add(SERVICE, _SECOND, owner="pid")
        check.equal(len(control.processes()), 2, "processes")

    _as(net, [_ALICE], alice)


@test
def a_registrant_may_change_and_delete_its_own(net):
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)

    def alice(control):
        control.process_add(SERVICE, _PROCESS, owner="pid")
        control.process_set(SERVICE, _PROCESS, weight=7, state="draining", drain_timeout=1000, cpus="0")
        shown = control.process(SERVICE, _PROCESS)
        check.equal((shown["weight"], shown["cpus"]), (7, "0"), "its weight and CPUs")
        control.process_del(SERVICE, _PROCESS)
        check.equal(control.processes(), {}, "processes")

    _as(net, [_ALICE], alice)


@test
def nobody_else_can_change_delete_or_take_over_anothers_registration(net):
    net.control.service_add(SERVICE, registrant_gid=_GROUP, **_RANGE)
    net.control.process_add(SERVICE, _SECOND)  # the administrator's
    registrant.start(net.control, SERVICE, _PROCESS, user=[_ALICE, _GROUP], owner="socket")
    before = net.control.processes()

    def bob(control):
        for process in (_PROCESS, _SECOND):
            _denied(control.process_del, SERVICE, process)
            for settings in ({"weight": 0}, {"state": "down"}, {"cpus": "0"}, {}):
                _denied(control.process_set, SERVICE, process, **settings)
            _denied(control.process_add, SERVICE, process, owner="socket", error="EEXIST")
        # He may register something of his own meanwhile.
        control.process_add(SERVICE, "10.77.1.3:8080", owner="socket")

    _as(net, [_BOB, _GROUP], bob)
    _as(net, [_BOB], lambda control: _denied(control.process_del, SERVICE, _PROCESS))
    wait.until(lambda: len(net.control.processes()) == 2, "his own ends with him")
    check.equal(net.control.processes(), before, "the registrations of the others")
    check.equal(who(net.client, SERVICE)[0], _PROCESS, "who serves")


@test
def a_registrant_cannot_change_services_connections_or_the_namespace(net):
    settings = {"registrant_uid": _ALICE, "registrant_gid": _GROUP, **_RANGE}
    net.control.service_add(SERVICE, **settings)
    before = net.control.services(), net.control.net()

    def alice(control):
        _denied(control.service_add, f"{OTHER_HOST}:80")
        _denied(control.service_set, SERVICE, scheduler="lc")
        _denied(control.service_set, SERVICE, registrant_prefix="10.77.0.0", registrant_prefix_len=16)
        _denied(control.service_del, SERVICE)
        _denied(control.connection_add, "198.51.100.2:40000", SERVICE, _PROCESS)
        _denied(control.connection_del, "198.51.100.2:40000", SERVICE)
        _denied(control.limit, 7)
        _denied(control.prefix, "10.77.0.0", 17)

    _as(net, [_ALICE, _GROUP], alice)
    check.equal((net.control.services(), net.control.net()), before, "services and namespace")


@test
def a_registrant_of_one_service_may_not_register_for_another(net):
    other = f"{OTHER_HOST}:80"
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)
    net.control.service_add(other, registrant_uid=_BOB, **_RANGE)
    _as(net, [_ALICE], lambda control: _denied(control.process_add, other, _PROCESS, owner="socket"))
    _as(net, [_ALICE], lambda control: _denied(control.process_add, f"{HOST}:81", _PROCESS, error="ENOENT"))


@test
def a_socket_that_another_user_opened_gives_nobody_the_right_to_register(net):
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)

    def child(opened_as, used_as):
        net.server.enter()
        control = dispatch.Dispatch(None)
        if opened_as:
            os.setresuid(-1, opened_as, 0)  # root may go on from there
        control.socket()
        os.setresuid(0, 0, 0)
        background.become(used_as)
        _denied(control.process_add, SERVICE, _PROCESS, owner="socket")

    # Root's own socket, and that of the registrant in another's hands.
    for opened_as, used_as in ((0, _ALICE), (_ALICE, _BOB)):
        check.equal(background.in_child(child, opened_as, used_as), 0, f"exit status of {used_as}")


@test
def another_users_listener_at_a_registrants_address_gets_nothing(net):
    net.control.service_add(SERVICE, registrant_gid=_GROUP, **_RANGE)
    alices, bobs = "10.77.1.5:8080", "10.77.1.6:8080"
    ready, tell = os.pipe()
    stay, leave = os.pipe()

    def alice():
        net.server.enter()
        background.become(_ALICE, _GROUP)
        control = dispatch.Dispatch(None)
        for process in (alices, bobs):
            control.process_add(SERVICE, process, owner="socket")
        mine = daemon.listen(alices, None)
        os.write(tell, b"!")
        os.read(stay, 1)  # until the test closes the other end
        mine.close()

    def bob():
        net.server.enter()
        background.become(_BOB, _GROUP)
        daemon.serve(daemon.listen(bobs, None))

    background.fork(alice, keep=[tell, stay])
    os.read(ready, 1)
    background.fork(bob)
    sockets = lambda: net.server.run("ss", "-Hltn", "src", bobs)
    wait.until(sockets, "the other user listens")
    # Alice's own listener has room, but is not hers at the other address.
    check.true("accept-queue" in net.control.process(SERVICE, alices), "the registrant's own listener is not seen")
    check.true("accept-queue" not in net.control.process(SERVICE, bobs), "another user's listener is shown as hers")
    net.control.process_set(SERVICE, alices, weight=0)
    for _ in range(4):
        refused(net.client, SERVICE)
    refused(net.server, SERVICE)
    check.equal(net.control.process(SERVICE, bobs)["stats"]["connections"], 0, "connections of that registration")
    # It would serve, if the administrator had registered it.
    net.control.process_del(SERVICE, bobs)
    net.control.process_add(SERVICE, bobs)
    check.equal(who(net.client, SERVICE)[0], bobs, "who serves when an administrator says so")
    os.close(leave)


@test
def events_of_a_registrants_process_bear_its_user(net):
    net.control.service_add(SERVICE, registrant_uid=_ALICE, **_RANGE)
    with events.Events(net.server) as heard:
        registrant.start(net.control, SERVICE, _PROCESS, user=[_ALICE], owner="socket").kill()
        check.equal(heard.find("process-add-ntf")["uid"], _ALICE, "the user in the event of the registration")
        check.equal(heard.find("process-del-ntf")["uid"], _ALICE, "the user in the event of its end")
