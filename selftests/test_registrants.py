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
from lib.ip import IPV4, endpoint
from lib.netlink import NetlinkError
from lib.runner import test

# Users and groups need no names.
_ALICE, _BOB, _GROUP = 20001, 20002, 20010


def _at(net, number):
    """A process address that registrants may take."""
    return net.process(number, 1, 8080)


def _range(net):
    """The settings of a service that name where its registrants may take addresses from."""
    return family.prefix("registrant", *net.process_subnet(1))


def setup(version):
    return topology.pair(version)


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
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))
    for owner in ("socket", "pid"):
        daemon_of_alice = registrant.start(net.control, net.service, _at(net, 1), user=[_ALICE], owner=owner)
        shown = net.control.process(net.service, _at(net, 1))
        check.equal((shown["uid"], shown["owner"]), (_ALICE, owner), "the user and the owner of the registration")
        check.equal(who(net.client, net.service)[0], _at(net, 1), "who serves")
        daemon_of_alice.kill()
        wait.until(lambda: not net.control.processes(net.service), "the registration ends with its owner")


@test
def a_member_of_the_group_that_the_service_names_may_register(net):
    net.control.service_add(net.service, registrant_gid=_GROUP, **_range(net))
    for user in ([_ALICE, _ALICE, _GROUP], [_BOB, _GROUP]):  # as a further group, and as the first
        member = registrant.start(net.control, net.service, _at(net, 1), user=user, owner="socket")
        check.equal(net.control.process(net.service, _at(net, 1))["uid"], user[0], "the user of the registration")
        check.equal(who(net.client, net.service)[0], _at(net, 1), "who serves")
        member.kill()
    _as(net, [_ALICE], lambda control: _denied(control.process_add, net.service, _at(net, 1), owner="socket"))


@test
def nobody_else_may_register(net):
    add = lambda control: _denied(control.process_add, net.service, _at(net, 1), owner="socket")
    net.control.service_add(net.service)
    _as(net, [_ALICE], add)
    # A range alone permits nobody, and a user without a range has nowhere to go.
    net.control.service_set(net.service, **_range(net))
    _as(net, [_ALICE], add)
    net.control.service_set(net.service, registrant_uid=_BOB)
    _as(net, [_ALICE], add)
    net.control.service_set(net.service, registrant_uid=_ALICE, registrant_prefix_len=0)
    _as(net, [_ALICE], add)
    net.control.service_set(net.service, **_range(net))
    _as(net, [_ALICE], lambda control: control.process_add(net.service, _at(net, 1), owner="pid", pid=os.getpid()))
    net.control.service_set(net.service, registrant_uid=family.NOBODY)
    _as(net, [_ALICE], lambda control: _denied(control.process_add, net.service, _at(net, 2), owner="socket"))
    check.true("registrant-uid" not in net.control.service(net.service), "the service has a registrant still")


@test
def a_registrant_may_register_only_addresses_of_the_range(net):
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))

    def alice(control):
        for address in (net.process(1, 2, 8080), net.process(net.subnet - 1, 0, 8080), net.process(0, 2, 8080)):
            error = _denied(control.process_add, net.service, address, owner="socket")
            check.equal(error.path, [family.number(family.PROCESS, "process-address")], "the offending attribute")
        for address in (_at(net, 0), net.process(net.subnet - 1, 1, 65535), net.process(7, 1, 1)):
            control.process_add(net.service, address, owner="socket")
        beyond = "10.78.1.1:8080" if net.version is IPV4 else "[fd77:0:0:1::1:1]:8080"
        _denied(control.process_add, net.service, beyond, owner="socket", error="EADDRNOTAVAIL")

    _as(net, [_ALICE], alice)


@test
def a_registrants_registration_must_belong_to_its_own_socket_or_process(net):
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))
    other = os.getpid()

    def alice(control):
        _denied(control.process_add, net.service, _at(net, 1))
        _denied(control.process_add, net.service, _at(net, 1), owner="none")
        _denied(control.process_add, net.service, _at(net, 1), owner="pid", pid=other)
        _denied(control.process_add, net.service, _at(net, 1), owner="pid", pidfd=os.pidfd_open(other))
        _denied(control.process_add, net.service, _at(net, 1), owner="pid", pid=1)
        check.equal(control.processes(), {}, "processes")
        control.process_add(net.service, _at(net, 1), owner="pid", pid=os.getpid())
        control.process_add(net.service, _at(net, 2), owner="pid")
        check.equal(len(control.processes()), 2, "processes")

    _as(net, [_ALICE], alice)


@test
def a_registrant_may_change_and_delete_its_own(net):
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))

    def alice(control):
        control.process_add(net.service, _at(net, 1), owner="pid")
        control.process_set(net.service, _at(net, 1), weight=7, state="draining", drain_timeout=1000, cpus="0")
        shown = control.process(net.service, _at(net, 1))
        check.equal((shown["weight"], shown["cpus"]), (7, "0"), "its weight and CPUs")
        control.process_del(net.service, _at(net, 1))
        check.equal(control.processes(), {}, "processes")

    _as(net, [_ALICE], alice)


@test
def nobody_else_can_change_delete_or_take_over_anothers_registration(net):
    net.control.service_add(net.service, registrant_gid=_GROUP, **_range(net))
    net.control.process_add(net.service, _at(net, 2))  # the administrator's
    registrant.start(net.control, net.service, _at(net, 1), user=[_ALICE, _GROUP], owner="socket")
    before = net.control.processes()

    def bob(control):
        for process in (_at(net, 1), _at(net, 2)):
            _denied(control.process_del, net.service, process)
            for settings in ({"weight": 0}, {"state": "down"}, {"cpus": "0"}, {}):
                _denied(control.process_set, net.service, process, **settings)
            _denied(control.process_add, net.service, process, owner="socket", error="EEXIST")
        # He may register something of his own meanwhile.
        control.process_add(net.service, _at(net, 3), owner="socket")

    _as(net, [_BOB, _GROUP], bob)
    _as(net, [_BOB], lambda control: _denied(control.process_del, net.service, _at(net, 1)))
    wait.until(lambda: len(net.control.processes()) == 2, "his own ends with him")
    check.equal(net.control.processes(), before, "the registrations of the others")
    check.equal(who(net.client, net.service)[0], _at(net, 1), "who serves")


@test
def a_registrant_cannot_change_services_connections_or_the_namespace(net):
    settings = {"registrant_uid": _ALICE, "registrant_gid": _GROUP, **_range(net)}
    net.control.service_add(net.service, **settings)
    wait.until(lambda: net.control.net()["connections"] == 0, "entries of the tests before are gone")
    before = net.control.services(), net.control.net()

    def alice(control):
        _denied(control.service_add, net.other_service)
        _denied(control.service_set, net.service, scheduler="lc")
        _denied(control.service_set, net.service, **family.prefix("registrant", *net.process_range))
        _denied(control.service_del, net.service)
        _denied(control.connection_add, endpoint(net.near(2), 40000), net.service, _at(net, 1))
        _denied(control.connection_del, endpoint(net.near(2), 40000), net.service)
        _denied(control.limit, 7)
        _denied(control.prefix, net.process_host(0), net.process_range[1] + 1)

    _as(net, [_ALICE, _GROUP], alice)
    check.equal((net.control.services(), net.control.net()), before, "services and namespace")


@test
def a_registrant_of_one_service_may_not_register_for_another(net):
    other = net.other_service
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))
    net.control.service_add(other, registrant_uid=_BOB, **_range(net))
    _as(net, [_ALICE], lambda control: _denied(control.process_add, other, _at(net, 1), owner="socket"))
    _as(net, [_ALICE], lambda control: _denied(control.process_add, endpoint(net.host, 81), _at(net, 1), error="ENOENT"))


@test
def a_socket_that_another_user_opened_gives_nobody_the_right_to_register(net):
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))

    def child(opened_as, used_as):
        net.server.enter()
        control = dispatch.Dispatch(None)
        if opened_as:
            os.setresuid(-1, opened_as, 0)  # root may go on from there
        control.socket()
        os.setresuid(0, 0, 0)
        background.become(used_as)
        _denied(control.process_add, net.service, _at(net, 1), owner="socket")

    # Root's own socket, and that of the registrant in another's hands.
    for opened_as, used_as in ((0, _ALICE), (_ALICE, _BOB)):
        check.equal(background.in_child(child, opened_as, used_as), 0, f"exit status of {used_as}")


@test
def another_users_listener_at_a_registrants_address_gets_nothing(net):
    net.control.service_add(net.service, registrant_gid=_GROUP, **_range(net))
    alices, bobs = _at(net, 5), _at(net, 6)
    ready, tell = os.pipe()
    stay, leave = os.pipe()

    def alice():
        net.server.enter()
        background.become(_ALICE, _GROUP)
        control = dispatch.Dispatch(None)
        for process in (alices, bobs):
            control.process_add(net.service, process, owner="socket")
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
    check.true("accept-queue" in net.control.process(net.service, alices), "the registrant's own listener is not seen")
    check.true("accept-queue" not in net.control.process(net.service, bobs), "another user's listener is shown as hers")
    net.control.process_set(net.service, alices, weight=0)
    for _ in range(4):
        refused(net.client, net.service)
    refused(net.server, net.service)
    check.equal(net.control.process(net.service, bobs)["stats"]["connections"], 0, "connections of that registration")
    # It would serve, if the administrator had registered it.
    net.control.process_del(net.service, bobs)
    net.control.process_add(net.service, bobs)
    check.equal(who(net.client, net.service)[0], bobs, "who serves when an administrator says so")
    os.close(leave)


@test
def events_of_a_registrants_process_bear_its_user(net):
    net.control.service_add(net.service, registrant_uid=_ALICE, **_range(net))
    with events.Events(net.server) as heard:
        registrant.start(net.control, net.service, _at(net, 1), user=[_ALICE], owner="socket").kill()
        check.equal(heard.find("process-add-ntf")["uid"], _ALICE, "the user in the event of the registration")
        check.equal(heard.find("process-del-ntf")["uid"], _ALICE, "the user in the event of its end")
