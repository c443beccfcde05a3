// SPDX-License-Identifier: GPL-2.0

//! Setting up and taking away, against this computer's kernel: each test has a
//! network namespace of its own, and devices that every kernel has take the
//! place of the layer's.

use super::{local_route, rule, Device, Devices, Found, Way};
use crate::rtnetlink::{LinkChange, Route, RouteKind, Rtnetlink, Rule};
use crate::up::Steps;
use crate::{down, nonlocal_bind};
use netlink_packet_route::route::RouteProtocol;
use nix::sched::{unshare, CloneFlags};
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use tcp_dispatch_netlink::{AddressFamily, Prefix};

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

fn range_ipv6() -> Prefix {
    "fd77:6470::/64".parse().unwrap()
}

/// A range of each family; every test takes both.
fn ranges() -> [Prefix; 2] {
    [range(), range_ipv6()]
}

fn ways() -> [Way; 2] {
    ranges().map(|range| Way {
        range,
        table: TABLE,
        before_local: false,
    })
}

fn ways_before_local() -> [Way; 2] {
    ways().map(|way| Way {
        before_local: true,
        ..way
    })
}

fn find(route: &mut Rtnetlink) -> Found {
    Found::find(route, &DEVICES, &ranges()).unwrap()
}

/// Runs a test in a new network namespace, or says why it can't. The line goes
/// past the test harness, which shows nothing of a test that passes.
pub fn in_namespace(test: impl FnOnce(&mut Rtnetlink)) {
    let name = std::thread::current();
    let name = name.name().unwrap_or_default();
    let skip = |why: String| {
        writeln!(std::io::stderr(), "{name}: not run: {why}").unwrap();
    };
    // Only this thread moves, and it ends with the test.
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
        return skip(format!("a new network namespace needs root ({errno:?})"));
    }
    if nonlocal_bind::get().is_none() {
        return skip("this kernel has no IPv6".to_owned());
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
        steps.all(&ways(), &found).unwrap();
        assert!(!steps.made_nothing());

        let found = find(route);
        let none: [&str; 0] = [];
        assert_eq!(found.faults(&DEVICES, &ranges()), none);
        assert_eq!(found.table(range()), Some(TABLE));
        assert_eq!(found.table(range_ipv6()), Some(TABLE));
        let mut again = Steps::new(route, &DEVICES);
        again.all(&ways(), &found).unwrap();
        assert!(again.made_nothing());
        assert_eq!(find(route), found);
    });
}

#[test]
fn an_earlier_rule_for_process_addresses_is_warned_of() {
    in_namespace(|route| {
        let found = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &found).unwrap();
        let none: [&str; 0] = [];
        // The kernel's own rules, and the layer's.
        assert_eq!(find(route).warnings(&ranges()), none);
        let mut add = |priority, source: &str| {
            let source: Prefix = source.parse().unwrap();
            let other = Rule {
                family: source.family(),
                priority,
                source: Some(source),
                table: 5,
                protocol: RouteProtocol::Static,
                asks_more: false,
            };
            route.add_rule(&other).unwrap();
        };
        add(100, "10.78.0.0/16");
        add(991, "10.0.0.0/8");
        add(101, "fd77:6470:0:0:8::/80");
        let warnings = find(route).warnings(&ranges());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let begin = "the rule 101, `from fd77:6470:0:0:8::/80 lookup 5`, ";
        assert!(warnings[0].starts_with(begin), "{warnings:?}");
    });
}

#[test]
fn what_down_leaves_is_what_was_there_before() {
    in_namespace(|route| {
        let before = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &before).unwrap();
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
        Steps::new(route, &DEVICES).all(&ways(), &before).unwrap();
        let found = Found::find(route, &DEVICES, &[]).unwrap();
        down::remove(route, &DEVICES, &found).unwrap();
        let after = find(route);
        assert_eq!((after.rules, after.routes), (vec![], vec![]));
    });
}

#[test]
fn up_mends_what_was_taken_away_and_no_more() {
    in_namespace(|route| {
        let before = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &before).unwrap();
        let whole = find(route);
        route.del_rule(&whole.rules[0]).unwrap();
        let local = |found: &&Route| found.kind == RouteKind::Local;
        let local = whole.routes.iter().find(local).unwrap();
        route.del_route(local).unwrap();

        let broken = find(route);
        assert_eq!(broken.faults(&DEVICES, &ranges()).len(), 2);
        Steps::new(route, &DEVICES).all(&ways(), &broken).unwrap();
        assert!(find(route).faults(&DEVICES, &ranges()).is_empty());
    });
}

#[test]
fn before_local_changes_the_order_of_the_rules_and_down_changes_it_back() {
    in_namespace(|route| {
        let before = find(route);
        // As well where the layer is set up already, and no second time.
        for ways in [ways(), ways_before_local(), ways_before_local()] {
            let found = find(route);
            Steps::new(route, &DEVICES).all(&ways, &found).unwrap();
        }
        let found = find(route);
        assert_eq!(found.faults(&DEVICES, &ranges()), [""; 0]);
        assert!(ranges().iter().all(|range| found.is_before_local(*range)));
        assert_eq!((found.rules.len(), found.local_rules.len()), (2, 2));

        // What it was set up with, it keeps.
        let mut steps = Steps::new(route, &DEVICES);
        steps.all(&ways(), &found).unwrap();
        assert!(steps.made_nothing());

        down::remove(route, &DEVICES, &found).unwrap();
        let after = find(route);
        assert_eq!(
            (after.rules, after.local_rules),
            (vec![], before.local_rules)
        );
    });
}

#[test]
fn a_failure_puts_the_local_tables_back_to_the_front() {
    in_namespace(|route| {
        let before = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        steps.all(&ways_before_local(), &before).unwrap();
        steps.undo();
        let after = find(route);
        assert_eq!(
            (after.rules, after.local_rules),
            (vec![], before.local_rules)
        );
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
        let failure = steps.all(&ways(), &before).unwrap_err().to_string();
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
        let failure = steps.all(&ways(), &found).unwrap_err().to_string();
        assert!(failure.contains("of kind ifb, not bridge"), "{failure}");
        steps.undo();
        let found = find(route);
        down::remove(route, &DEVICES, &found).unwrap();
        assert!(find(route).master.is_some());
    });
}

#[test]
fn an_address_of_a_range_of_ipv6_can_be_bound_once_it_is_set_up() {
    in_namespace(|route| {
        let bind = || TcpListener::bind("[fd77:6470::5]:80").map(|_| ());
        let unbound = bind().unwrap_err();
        assert_eq!(unbound.kind(), io::ErrorKind::AddrNotAvailable);
        let found = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        steps.all(&ways(), &found).unwrap();
        assert!(steps.made_bindable());
        bind().unwrap();
    });
}

#[test]
fn down_leaves_the_sysctl_that_others_may_need_by_then() {
    in_namespace(|route| {
        let found = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &found).unwrap();
        let found = find(route);
        down::remove(route, &DEVICES, &found).unwrap();
        assert_eq!(nonlocal_bind::get(), Some(true));
    });
}

#[test]
fn a_range_of_ipv4_alone_changes_nothing_of_ipv6() {
    in_namespace(|route| {
        let found = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        steps.all(&ways()[..1], &found).unwrap();
        assert!(!steps.made_bindable());
        let found = find(route);
        let none: [&str; 0] = [];
        assert_eq!(found.faults(&DEVICES, &[range()]), none);
        assert_eq!(found.nonlocal_bind, Some(false));
        let rules = route.rules(AddressFamily::Ipv6).unwrap();
        assert!(rules.iter().all(|rule| rule.source.is_none()), "{rules:?}");
        let of_ipv6 = |route: &Route| route.family == AddressFamily::Ipv6;
        assert!(!found.routes.iter().any(of_ipv6));
    });
}

#[test]
fn a_range_of_ipv6_alone_is_whole() {
    in_namespace(|route| {
        let found = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        steps.all(&ways()[1..], &found).unwrap();
        let found = find(route);
        let none: [&str; 0] = [];
        assert_eq!(found.faults(&DEVICES, &[range_ipv6()]), none);
        let rules = route.rules(AddressFamily::Ipv4).unwrap();
        assert!(rules.iter().all(|rule| rule.source.is_none()), "{rules:?}");
    });
}

#[test]
fn up_mends_what_was_taken_away_of_ipv6() {
    in_namespace(|route| {
        let found = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &found).unwrap();
        let whole = find(route);
        let of_ipv6 = |route: &&Route| route.family == AddressFamily::Ipv6;
        for gone in whole.routes.iter().filter(of_ipv6) {
            route.del_route(gone).unwrap();
        }
        route.del_rule(&rule(&ways()[1])).unwrap();
        nonlocal_bind::set(false).unwrap();

        let broken = find(route);
        assert_eq!(broken.faults(&DEVICES, &ranges()).len(), 3);
        Steps::new(route, &DEVICES).all(&ways(), &broken).unwrap();
        assert_eq!(find(route).faults(&DEVICES, &ranges()), [""; 0]);
    });
}

#[test]
fn where_ipv6_is_disabled_on_a_device_up_says_so_and_undoes_the_sysctl_too() {
    in_namespace(|route| {
        fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1").unwrap();
        let before = find(route);
        let mut steps = Steps::new(route, &DEVICES);
        let failure = steps.all(&ways(), &before).unwrap_err().to_string();
        assert!(
            failure.contains("add the route `local fd77:6470::/64 dev lo`"),
            "{failure}"
        );
        assert!(
            failure.contains("`sysctl net.ipv6.conf.lo.disable_ipv6=0`"),
            "{failure}"
        );
        steps.undo();
        let after = find(route);
        assert_eq!((after.master, after.port), (None, None));
        assert_eq!((after.rules, after.routes), (vec![], vec![]));
        assert_eq!(after.nonlocal_bind, Some(false));
    });
}

#[test]
fn the_devices_have_no_addresses_of_ipv6_and_keep_ipv6() {
    in_namespace(|route| {
        // One that was there before is changed as well.
        let Device { name, kind } = DEVICES.master;
        route.add_link(name, kind, LinkChange::default()).unwrap();
        assert!(find(route).master.unwrap().generates_addresses);
        let found = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &found).unwrap();
        let found = find(route);
        assert!(!found.master.unwrap().generates_addresses);
        assert!(!found.port.unwrap().generates_addresses);
        for device in [DEVICES.master, DEVICES.port] {
            let setting = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", device.name);
            assert_eq!(fs::read_to_string(setting).unwrap().trim(), "0");
        }
        let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
        assert!(addresses.contains(" lo"), "{addresses}");
        assert!(!addresses.contains("tcp_dispatch"), "{addresses}");
    });
}

#[test]
fn a_route_that_was_made_by_hand_is_as_good_in_either_family() {
    in_namespace(|route| {
        let found = find(route);
        Steps::new(route, &DEVICES).all(&ways(), &found).unwrap();
        let lo = find(route).loopback.unwrap().index;
        for range in ranges() {
            let made = local_route(range, lo);
            route.del_route(&made).unwrap();
            let by_hand = Route {
                metric: 0,
                protocol: RouteProtocol::Boot,
                ..made
            };
            route.add_route(&by_hand).unwrap();
        }
        assert_eq!(find(route).faults(&DEVICES, &ranges()), [""; 0]);
    });
}
