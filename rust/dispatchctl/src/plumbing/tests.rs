// SPDX-License-Identifier: GPL-2.0

//! Setting up and taking away, against this computer's kernel: each test has a
//! network namespace of its own, and devices that every kernel has take the
//! place of the layer's.

use super::{Device, Devices, Found};
use crate::down;
use crate::rtnetlink::{LinkChange, Route, RouteKind, Rtnetlink};
use crate::up::Steps;
use nix::sched::{unshare, CloneFlags};
use std::io::Write;
use tcp_dispatch_netlink::Prefix;

const DEVICES: Devices = Devices {
    master: Device {
        name: "tcp_dispatch0",
        kind: "bridge",
    },
    port: Device {
        name: "tcp_dispatch1",
        kind: "ifb",
    },
};
const TABLE: u32 = 770;

fn range() -> Prefix {
    "10.77.0.0/16".parse().unwrap()
}

fn find(route: &mut Rtnetlink) -> Found {
    Found::find(route, &DEVICES, Some(range())).unwrap()
}

/// Runs a test in a new network namespace, or says why it can't. The line goes
/// past the test harness, which shows nothing of a test that passes.
fn in_namespace(test: impl FnOnce(&mut Rtnetlink)) {
    let name = std::thread::current();
    let name = name.name().unwrap_or_default();
    let skip = |why: String| {
        writeln!(std::io::stderr(), "{name}: not run: {why}").unwrap();
    };
    // Only this thread moves, and it ends with the test.
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
        return skip(format!("a new network namespace needs root ({errno:?})"));
    }
    let mut route = Rtnetlink::open().unwrap();
    for kind in [DEVICES.master.kind, DEVICES.port.kind] {
        if let Err(error) = route.add_link("trial", kind, LinkChange::default()) {
            return skip(format!("this kernel has no device of kind {kind}: {error}"));
        }
        let trial = route.link("trial").unwrap().unwrap();
        route.del_link(trial.index).unwrap();
    }
    test(&mut route);
}

#[test]
fn what_up_makes_is_whole_and_making_it_again_changes_nothing() {
    in_namespace(|route| {
        let found = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        steps.all(range(), TABLE, &found).unwrap();
        assert!(!steps.made_nothing());

        let found = find(route);
        let none: [&str; 0] = [];
        assert_eq!(found.faults(&DEVICES, Some(range())), none);
        assert_eq!(found.table(range()), Some(TABLE));
        let mut again = Steps::new(route, &DEVICES);
        again.all(range(), TABLE, &found).unwrap();
        assert!(again.made_nothing());
        assert_eq!(find(route), found);
    });
}

#[test]
fn what_down_leaves_is_what_was_there_before() {
    in_namespace(|route| {
        let before = find(route);
        Steps::new(route, &DEVICES)
            .all(range(), TABLE, &before)
            .unwrap();
        let found = find(route);
        down::remove(route, &DEVICES, &found).unwrap();
        let after = find(route);
        assert_eq!((after.master, after.port), (None, None));
        assert_eq!((after.rules, after.routes), (vec![], vec![]));
    });
}

#[test]
fn down_finds_what_up_made_even_if_the_range_is_forgotten() {
    in_namespace(|route| {
        let before = find(route);
        Steps::new(route, &DEVICES)
            .all(range(), TABLE, &before)
            .unwrap();
        let found = Found::find(route, &DEVICES, None).unwrap();
        down::remove(route, &DEVICES, &found).unwrap();
        let after = find(route);
        assert_eq!((after.rules, after.routes), (vec![], vec![]));
    });
}

#[test]
fn up_mends_what_was_taken_away_and_no_more() {
    in_namespace(|route| {
        let before = find(route);
        Steps::new(route, &DEVICES)
            .all(range(), TABLE, &before)
            .unwrap();
        let whole = find(route);
        route.del_rule(&whole.rules[0]).unwrap();
        let local = |found: &&Route| found.kind == RouteKind::Local;
        let local = whole.routes.iter().find(local).unwrap();
        route.del_route(local).unwrap();

        let broken = find(route);
        assert_eq!(broken.faults(&DEVICES, Some(range())).len(), 2);
        Steps::new(route, &DEVICES)
            .all(range(), TABLE, &broken)
            .unwrap();
        assert!(find(route).faults(&DEVICES, Some(range())).is_empty());
    });
}

#[test]
fn a_step_that_fails_says_why_and_those_before_it_are_undone() {
    in_namespace(|route| {
        let unknown = Devices {
            port: Device {
                kind: "no_such_kind",
                ..DEVICES.port
            },
            ..DEVICES
        };
        let before = find(route);
        let mut steps = Steps::new(route, &unknown);
        let failure = steps.all(range(), TABLE, &before).unwrap_err().to_string();
        assert!(failure.contains("Unknown device type"), "{failure}");
        assert!(failure.contains("tcp_dispatch1"), "{failure}");
        steps.undo();
        assert_eq!(find(route).master, None);
    });
}

#[test]
fn a_device_of_another_kind_is_left_alone() {
    in_namespace(|route| {
        let change = LinkChange::default();
        route.add_link(DEVICES.master.name, "ifb", change).unwrap();
        let found = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        let failure = steps.all(range(), TABLE, &found).unwrap_err().to_string();
        assert!(failure.contains("of kind ifb, not bridge"), "{failure}");
        steps.undo();
        let found = find(route);
        down::remove(route, &DEVICES, &found).unwrap();
        assert!(find(route).master.is_some());
    });
}
