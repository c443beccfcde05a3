# SPDX-License-Identifier: GPL-2.0
"""What the family tells on its multicast group.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1:80      daemon, others do not listen
"""

import os
import time

from lib import background, check, daemon, dispatch, events, family, namespace, topology, wait
from lib.client import Client, refused
from lib.ip import endpoint
from lib.runner import test


def setup(version):
    net = topology.pair(version)
    daemon.start(net.processes[0], namespace=net.server)
    return net


@test
def a_service_that_is_added_changed_or_deleted_is_told_with_what_service_get_says(net):
    with events.Events(net.server) as heard:
        net.control.service_add(net.service, scheduler="wlc", refusal="retry")
        check.equal(heard.next(), ("service-add-ntf", net.control.service(net.service)), "the event of the addition")
        net.control.service_set(net.service, scheduler="mh", affinity_timeout=60, affinity_prefix_len=24)
        changed = net.control.service(net.service)
        check.equal(changed["scheduler"], "mh", "its scheduler")
        check.equal(heard.next(), ("service-set-ntf", changed), "the event of the change")
        net.control.service_del(net.service)
        check.equal(heard.next(), ("service-del-ntf", changed), "the event of the deletion")
        check.equal(heard.pending(), [], "further events")


@test
def a_process_that_is_registered_changed_or_deleted_is_told_with_what_process_get_says(net):
    net.control.service_add(net.service)
    with events.Events(net.server) as heard:
        for process in (net.processes[0], net.processes[1]):  # one listens and one doesn't
            net.control.process_add(net.service, process, weight=3, cpus="0", owner="pid", pid=os.getpid())
            added = net.control.process(net.service, process)
            check.equal(added["weight"], 3, "its weight")
            check.equal(heard.next(), ("process-add-ntf", added), "the event of the registration")
            net.control.process_set(net.service, process, weight=0, cpus="")
            changed = net.control.process(net.service, process)
            check.equal((changed["weight"], "cpus" in changed), (0, False), "its weight, and whether it has CPUs")
            check.equal(heard.next(), ("process-set-ntf", changed), "the event of the change")
            net.control.process_del(net.service, process)
            check.equal(heard.next(), ("process-del-ntf", changed), "the event of the deletion")
        check.equal(heard.pending(), [], "further events")


@test
def each_change_of_a_process_state_is_told(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client, events.Events(net.server) as heard:
        client.who()
        for state in ("draining", "active", "down", "active"):
            net.control.process_set(net.service, net.processes[0], state=state)
            name, content = heard.next()
            check.equal((name, content["state"]), ("process-set-ntf", state), "the event")


@test
def the_processes_of_a_deleted_service_are_told_before_it(net):
    net.control.serve(net.service, net.processes[0], net.processes[1])
    with events.Events(net.server) as heard:
        net.control.service_del(net.service)
        told = [heard.next() for _ in range(3)]
    names = [(name, content.get("process-address")) for name, content in told]
    want = [("process-del-ntf", net.processes[0]), ("process-del-ntf", net.processes[1]), ("service-del-ntf", None)]
    check.equal(names, want, "events")


@test
def a_refused_connection_is_told_with_client_and_reason(net):
    net.control.service_add(net.service)
    limit = net.control.net()["max-connections"]
    with events.Events(net.server) as heard:
        refused(net.client, net.service, source=endpoint(net.client_address, 53000))
        want = {
            "service-address": net.service,
            "client-address": endpoint(net.client_address, 53000),
            "reason": "no-process",
            "count": 1,
        }
        check.equal(heard.next(), ("refused-ntf", want), "the event of one that nobody takes")
        net.control.service_add(net.other_service)
        net.control.process_add(net.other_service, net.processes[0])
        # Another service's event doesn't wait for the first one's second to be over.
        with Client(net.client, net.other_service) as client:
            client.who()
            try:
                net.control.limit(1)
                refused(net.client, net.other_service, source=endpoint(net.client_address, 53001))
            finally:
                net.control.limit(limit)
        told = heard.find("refused-ntf")
        check.equal(
            (told["reason"], told["client-address"]),
            ("connection-limit", endpoint(net.client_address, 53001)),
            "the other event",
        )


@test
def refused_connections_are_told_at_most_once_a_second_and_all_are_counted(net):
    net.control.service_add(net.service)
    with events.Events(net.server) as heard:
        begun, connections, told = time.monotonic(), 0, []
        while time.monotonic() < begun + 3:
            refused(net.client, net.service)
            connections += 1
        time.sleep(1.1)
        refused(net.client, net.service)  # it tells of those that the last event didn't
        ended = time.monotonic()
        told = [content for name, content in heard.pending() if name == "refused-ntf"]
    check.equal(sum(each["count"] for each in told), connections + 1, "connections that the events tell of")
    check.equal(net.control.drops("no-process", net.service), connections + 1, "connections that the service counted")
    check.true(connections > 4 * len(told), f"{len(told)} events of {connections} connections")
    # A second of the clock may have begun before and go on after; and in one this process may not run at all.
    check.true(2 <= len(told) <= ended - begun + 2, f"{len(told)} events in {ended - begun:.1f} s")


@test
def who_is_too_slow_for_the_events_is_told_that_some_are_lost(net):
    net.control.serve(net.service, net.processes[0])
    with events.Events(net.server, buffer=4096) as heard:
        for weight in range(200):
            net.control.process_set(net.service, net.processes[0], weight=weight)

        def hear_all():
            for _ in range(200):
                heard.next(0)

        check.raises(events.Lost, hear_all)
        # Afterwards it hears again.
        heard.drop()
        net.control.process_set(net.service, net.processes[0], weight=777)
        check.equal(heard.next()[1]["weight"], 777, "the weight in the event after the loss")


@test
def each_listener_hears_the_events_of_its_own_namespace_only(net):
    other = namespace.Namespace("other", net.version)
    with events.Events(net.server) as one, events.Events(net.server) as two, events.Events(other) as three:
        net.control.service_add(net.service)
        check.equal([each.next()[0] for each in (one, two)], ["service-add-ntf"] * 2, "events here")
        dispatch.Dispatch(other).service_add(net.other_service)
        check.equal(three.next()[1]["service-address"], net.other_service, "the first event of the other namespace")
        check.equal(one.pending(), [], "further events here")


@test
def an_unprivileged_user_may_listen(net):
    def child():
        net.server.enter()
        background.become(20001)
        with events.Events(None) as heard:
            os.write(tell, b"!")
            check.equal(heard.next()[0], "service-add-ntf", "the event")

    ready, tell = os.pipe()
    listener = background.fork(child, keep=[tell])
    os.close(tell)
    check.true(os.read(ready, 1), "the user could not listen")
    net.control.service_add(net.service)
    check.equal(listener.wait(), 0, "the listener's exit status")


@test
def requests_are_answered_beside_events_on_one_socket(net):
    with net.server:
        here = dispatch.Dispatch(None)
        here.socket().join(family.EVENTS_GROUP)
    here.service_add(net.service)
    for weight in range(5):
        process = net.process(weight + 1)
        asked = family.encode(family.PROCESS, service_address=net.service, process_address=process, weight=weight)
        # The event comes before the acknowledgement, and must not look like a part of the answer.
        check.equal(here.socket().request(family.PROCESS_ADD, asked), [], "what comes as an answer of the registration")
        check.equal(here.process(net.service, process)["weight"], weight, "the weight that was set")
    net.control.service_set(net.service)
    check.true(here.socket().pending(wait.DEADLINE), "no event comes on this socket")
    here.service_del(net.service)
    check.equal(here.services(), {}, "services")
