// SPDX-License-Identifier: GPL-2.0

//! What the layer needs of a network namespace's devices, routes and rules.
//!
//! Process addresses are made local all at once, and what processes send is
//! routed to the port device, whose master is where the layer takes it:
//!
//! ```text
//! local RANGE dev lo                        any process address is local
//! from RANGE lookup TABLE                   behind the local table, so that
//! default dev tcp_dispatch1 table TABLE     local clients are answered by lo
//! unreachable default table TABLE           once the module and its devices are gone
//! tcp_dispatch1 master tcp_dispatch0
//! ```
//!
//! `--before-local` puts the rule before the local table, whose own rule moves
//! behind it: then clients on the computer are answered by the port as well.
//!
//! IPv6 has the same, beside it. So that local addresses can be bound, it needs
//! [`nonlocal_bind`](crate::nonlocal_bind) besides; IPv4 needs no setting below
//! `/proc/sys/net`: nothing ever comes in by the port, so that its `rp_filter`
//! has nothing to judge. The devices have no addresses of their own, and don't
//! ask for routers.

mod found;
#[cfg(test)]
pub mod tests;

pub use found::Found;

use crate::module;
use crate::rtnetlink::{Route, RouteKind, Rule, OURS, TABLE_LOCAL};
use netlink_packet_route::route::RouteProtocol;
use tcp_dispatch_netlink::{AddressFamily, Prefix};

/// Preference of the rule: behind the local table, before that of VRFs (1000),
/// by which what processes send to a VRF's clients would leave as it is.
pub const PREFERENCE: u32 = 990;
/// Preference of the rule where it comes before the local table.
const BEFORE_LOCAL: u32 = 1;
/// Preference that the local table's rule has then; nothing comes before 0,
/// where the kernel puts it.
const LOCAL: u32 = 2;
/// Metric of the unreachable route: any other comes before it.
const LAST: u32 = u32::MAX;

/// The way of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The range that process addresses are taken from.
    pub range: Prefix,
    /// The routing table of what they send.
    pub table: u32,
    /// Whether the rule is to come before the local table, so that clients on
    /// the computer are answered by the port, too.
    pub before_local: bool,
}

/// The metric of a route that isn't given one.
fn usual_metric(family: AddressFamily) -> u32 {
    match family {
        AddressFamily::Ipv4 => 0,
        AddressFamily::Ipv6 => 1024,
    }
}

/// A device that the plumbing needs.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: &'static str,
}

/// The two devices.
#[derive(Clone, Copy, Debug)]
pub struct Devices {
    /// The one whose operations the layer owns.
    pub master: Device,
    /// The one that process addresses send by.
    pub port: Device,
}

/// The layer's own devices.
pub const DEVICES: Devices = Devices {
    master: Device {
        name: "tcp_dispatch0",
        kind: module::NAME,
    },
    port: Device {
        name: "tcp_dispatch1",
        kind: module::NAME,
    },
};

/// The route that makes process addresses local.
pub fn local_route(range: Prefix, loopback: u32) -> Route {
    Route {
        family: range.family(),
        table: TABLE_LOCAL,
        destination: Some(range),
        kind: RouteKind::Local,
        device: loopback,
        metric: usual_metric(range.family()),
        protocol: OURS,
    }
}

/// The route that takes what processes send to the port.
pub fn port_route(family: AddressFamily, table: u32, port: u32) -> Route {
    Route {
        family,
        table,
        destination: None,
        kind: RouteKind::Device,
        device: port,
        metric: usual_metric(family),
        protocol: OURS,
    }
}

/// The route that is left when the port is gone, with the module. Without it,
/// what a process still sends would leave as it is, by the main table.
pub fn last_route(family: AddressFamily, table: u32) -> Route {
    Route {
        family,
        table,
        destination: None,
        kind: RouteKind::Unreachable,
        device: 0,
        metric: LAST,
        protocol: OURS,
    }
}

/// The rule that chooses that route.
pub fn rule(way: &Way) -> Rule {
    Rule {
        family: way.range.family(),
        priority: if way.before_local {
            BEFORE_LOCAL
        } else {
            PREFERENCE
        },
        source: Some(way.range),
        table: way.table,
        protocol: OURS,
        asks_more: false,
    }
}

/// The local table's rule where a way's comes before it.
pub fn local_rule(family: AddressFamily) -> Rule {
    Rule {
        family,
        priority: LOCAL,
        source: None,
        table: TABLE_LOCAL,
        protocol: OURS,
        asks_more: false,
    }
}

/// The local table's rule as the kernel makes it.
pub fn kernels_local_rule(family: AddressFamily) -> Rule {
    Rule {
        priority: 0,
        protocol: RouteProtocol::Kernel,
        ..local_rule(family)
    }
}

/// Where a route leads whose destination doesn't tell its family, as it is
/// written.
pub fn default_of(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "default",
        AddressFamily::Ipv6 => "::/0",
    }
}

/// Ranges, as they are written in a sentence.
pub fn list(ranges: &[Prefix]) -> String {
    let ranges: Vec<_> = ranges.iter().map(Prefix::to_string).collect();
    ranges.join(" and ")
}

/// The same route, whoever made it.
pub fn same_route(a: &Route, b: &Route) -> bool {
    let anyone = |route: &Route| Route {
        protocol: RouteProtocol::Unspec,
        ..route.clone()
    };
    anyone(a) == anyone(b)
}
