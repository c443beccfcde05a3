# SPDX-License-Identifier: GPL-2.0
"""Who may change what.

    server, of the initial user namespace
    192.0.2.1:80     service
    10.77.0.1:80     its process
    and a network namespace that a user namespace of no privileges owns
"""

import os
import struct

from lib import background, check, dispatch, family, namespace
from lib.netlink import NetlinkError
from lib.runner import test

_SERVICE, _PROCESS, _CLIENT = "192.0.2.1:80", "10.77.0.1:80", "198.51.100.2:40000"
_CHANGES = {
    family.SERVICE_ADD: family.encode(family.SERVICE, service_address="192.0.2.2:80"),
    family.SERVICE_DEL: family.encode(family.SERVICE, service_address=_SERVICE),
    family.PROCESS_ADD: family.encode(family.PROCESS, service_address=_SERVICE, process_address="10.77.0.2:80"),
    family.PROCESS_DEL: family.encode(family.PROCESS, service_address=_SERVICE, process_address=_PROCESS),
    family.CONNECTION_ADD: family.encode(
        family.CONNECTION, client_address=_CLIENT, service_address=_SERVICE, process_address=_PROCESS
    ),
    family.CONNECTION_DEL: family.encode(family.CONNECTION, client_address=_CLIENT, service_address=_SERVICE),
    family.NET_SET: family.encode(family.NET, max_connections=struct.pack("=I", 7)),
}


def setup():
    return dispatch.Dispatch(namespace.Namespace("server")).up()


def _all_refused():
    """In the present user and network namespace all changes are refused, and what they would change is readable."""
    here = dispatch.Dispatch(None)
    for operation, request in _CHANGES.items():
        error = check.raises(NetlinkError, here.socket().request, operation, request)
        check.equal(error.name, "EPERM", f"the error of operation {operation}")
    check.equal(list(here.services()), [_SERVICE], "services")
    check.equal(list(here.processes()), [(_SERVICE, _PROCESS)], "processes")
    check.equal(here.connections(), [], "connections")
    check.true(here.net()["max-connections"] > 7, "the limit was changed")


@test
def a_user_namespace_that_does_not_own_the_network_namespace_may_look_but_not_change(control):
    control.serve(_SERVICE, _PROCESS)

    def child():
        control.namespace.enter()
        os.unshare(os.CLONE_NEWUSER)
        _all_refused()

    check.equal(background.in_child(child), 0, "exit status in the user namespace")


@test
def a_user_without_capabilities_may_look_but_not_change(control):
    control.serve(_SERVICE, _PROCESS)

    def child():
        control.namespace.enter()
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        _all_refused()

    check.equal(background.in_child(child), 0, "exit status of nobody")


@test
def the_owner_of_a_network_namespace_may_change_it(_):
    def child():
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        here = dispatch.Dispatch(None)
        check.equal(here.services(), {}, "services at first")
        here.prefix("10.77.0.0", 16)
        here.serve(_SERVICE, _PROCESS, "10.77.0.2:80")
        check.equal(len(here.processes()), 2, "processes")
        here.connection_add(_CLIENT, _SERVICE, _PROCESS)
        check.equal(len(here.connections()), 1, "connections")
        here.connection_del(_CLIENT, _SERVICE)
        here.process_del(_SERVICE, _PROCESS)
        here.service_del(_SERVICE)
        check.equal(here.services(), {}, "services at last")

    check.equal(background.in_child(child), 0, "exit status in the user namespace")
