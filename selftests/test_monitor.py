# SPDX-License-Identifier: GPL-2.0
"""`dispatchctl monitor`: what happens, as people and programs read it.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80   service
                                 10.77.0.1:80   a daemon
                                 dispatchctl monitor, dispatchctl monitor --json
"""

import json
import re
import signal
import subprocess

from lib import check, daemon, family, topology, wait
from lib.client import Client, refused
from lib.runner import test
from lib.tool import Tool
from lib.topology import CLIENT, HOST, PROCESSES, SERVICE

_PROCESS = PROCESSES[0]
_NAME = f"process {_PROCESS} of service {SERVICE}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
# A service whose events are no more than a sign that somebody listens.
_SIGN = f"{HOST}:9"


def setup():
    pair = topology.pair()
    daemon.start(_PROCESS, namespace=pair.server)
    return pair


class Monitor:
    """A monitor that hears events by now."""

    def __init__(self, net, *arguments, **options):
        self.tool = Tool(net.server, "dispatchctl", "monitor", *arguments, **options)
        net.control.service_add(_SIGN)
        wait.until(lambda: self._hears(net), "the monitor hears an event")
        net.control.service_del(_SIGN)

    def _hears(self, net):
        check.true(not self.tool.has_ended(), f"the monitor ended: {self.tool.stderr}")
        net.control.service_set(_SIGN)
        return self.tool.stdout

    def lines(self):
        """What it has printed of other events than the sign's."""
        whole = self.tool.stdout.rpartition("\n")[0]
        return [line for line in whole.splitlines() if _SIGN not in line]

    def next(self, number):
        """The line of the event of this number, from 0 on."""
        return wait.until(lambda: self.lines()[number : number + 1], f"line {number}; there are {self.lines()}")[0]


def _steps(net):
    """Does one thing after another; yields what a line must say of each, the event's name and what it must have."""
    control = net.control
    control.service_add(SERVICE, scheduler="wlc", affinity_timeout=300, affinity_prefix_len=24)
    line = f"service {SERVICE} added: scheduler wlc, refusal tcp, affinity 300/24, registrants -"
    yield line, "service-add-ntf", {"service-address": SERVICE, "scheduler": "wlc", "affinity-timeout": 300}

    permitted = {"registrant_uid": 33, "registrant_prefix": "10.77.8.0", "registrant_prefix_len": 24}
    control.service_set(SERVICE, refusal="reset", affinity_timeout=0, **permitted)
    line = f"service {SERVICE} changed: scheduler wlc, refusal reset, affinity -, registrants user 33 in 10.77.8.0/24"
    yield line, "service-set-ntf", {"refusal": "reset", "registrant-uid": 33, "registrant-prefix": "10.77.8.0"}

    refused(net.client, SERVICE)
    line = rf"service {SERVICE} refused 1 new connection, the last of {CLIENT}:\d+: no-process"
    yield line, "refused-ntf", {"service-address": SERVICE, "reason": "no-process", "count": 1}

    control.process_add(SERVICE, _PROCESS, weight=7, cpus="0-1")
    line = f"{_NAME} added: active, weight 7, owner -, CPUs 0-1"
    yield line, "process-add-ntf", {"process-address": _PROCESS, "weight": 7, "cpus": "0-1", "state": "active"}

    with Client(net.client, SERVICE) as open_connection:
        open_connection.who()
        control.process_set(SERVICE, _PROCESS, weight=65535, state="draining", cpus="")
        line = f"{_NAME} changed: draining, weight 65535, owner -"
        yield line, "process-set-ntf", {"weight": 65535, "state": "draining", "connections": 1}
    yield f"{_NAME} drained", "process-drained-ntf", {"process-address": _PROCESS, "state": "down", "connections": 0}

    control.process_set(SERVICE, _PROCESS, state="active")
    yield f"{_NAME} changed: active, .*", "process-set-ntf", {"state": "active", "drain-timeout": None}
    with Client(net.client, SERVICE) as open_connection:
        open_connection.who()
        control.process_del(SERVICE, _PROCESS)
        yield f"{_NAME} deleted: 1 connection goes on", "process-del-ntf", {"connections": 1}
        control.service_del(SERVICE)
        line = f"service {SERVICE} deleted: 1 connection goes on"
        yield line, "service-del-ntf", {"service-address": SERVICE, "connections": 1}


@test
def each_event_is_a_line_with_its_time_and_its_objects(net):
    monitor = Monitor(net)
    for number, (line, _, _) in enumerate(_steps(net)):
        shown = monitor.next(number)
        check.true(re.fullmatch(f"{_TIME}  {line}", shown), f"line {number}: got {shown!r}, want {line!r}")


@test
def each_event_is_an_object_with_the_specifications_names(net):
    monitor = Monitor(net, "--json")
    names = set()
    for number, (_, name, content) in enumerate(_steps(net)):
        shown = json.loads(monitor.next(number))
        check.equal(set(shown), {"time", "name", "msg"}, f"the names of object {number}")
        check.true(re.fullmatch(_TIME, shown["time"]), f"not a time: {shown['time']}")
        check.equal(shown["name"], name, f"the event's name; its content is {shown['msg']}")
        check.equal({key: shown["msg"][key] for key in content}, content, f"what {name} must have")
        unknown = set(shown["msg"]) - {key for key, _ in family.content_of(name)}
        check.equal(unknown, set(), "names that the specification doesn't have")
        names.add(name)
    check.equal(names, set(family.EVENTS.values()), "events that were seen")


@test
def lost_events_are_told_and_it_goes_on(net):
    line, objects = Monitor(net), Monitor(net, "--json")
    net.control.serve(SERVICE, _PROCESS)
    for each in (line, objects):
        each.tool.signal(signal.SIGSTOP)
    for number in range(3000):
        net.control.process_set(SERVICE, _PROCESS, weight=number)
    for each in (line, objects):
        each.tool.signal(signal.SIGCONT)
    wait.until(lambda: "events were lost here" in line.tool.stdout, "a line tells that events were lost")
    lost = lambda: [each for each in objects.lines() if '"lost"' in each]
    wait.until(lost, "an object tells that events were lost")
    check.equal({json.loads(each)["name"] for each in lost()}, {"lost"}, "what it is")
    net.control.service_del(SERVICE)
    for each, words in ((line, f"service {SERVICE} deleted"), (objects, '"service-del-ntf"')):
        wait.until(lambda: any(words in one for one in each.lines()[-2:]), "the events afterwards come")
    check.true(len(line.lines()) < 3000, "all events came: nothing was lost")


@test
def it_ends_by_itself_when_nobody_reads_it_any_more(net):
    tool = Tool(net.server, "dispatchctl", "monitor", stdout=subprocess.PIPE)
    tool.close_reader()
    net.control.service_add(SERVICE)

    def ended():
        net.control.service_set(SERVICE)
        return tool.has_ended()

    wait.until(ended, "it ends")
    check.equal((tool.status(), tool.stderr), (0, ""), "its exit status, and what it said")


@test
def an_unprivileged_user_may_watch(net):
    monitor = Monitor(net, user=4711, group=4711, extra_groups=[])
    net.control.service_add(SERVICE)
    check.true(SERVICE in monitor.next(0), "the service isn't named")
