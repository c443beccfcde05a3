// SPDX-License-Identifier: GPL-2.0

//! What the layer needs of a network namespace's devices, routes and rules.
//!
//! Process addresses are made local all at once, and what processes send is
//! routed to the port device, whose master is where the layer takes it:
//!
//! ```text
//! local RANGE dev lo                        any process address can be bound
//! from RANGE lookup TABLE                   behind the local table, so that
//! default dev tcp_dispatch1 table TABLE     local clients are answered by lo
//! unreachable default table TABLE           once the module and its devices are gone
//! tcp_dispatch1 master tcp_dispatch0
//! ```
//!
//! No setting below `/proc/sys/net` is needed: nothing ever comes in by the
//! port, so that its `rp_filter` has nothing to judge.

mod found;
#[cfg(test)]
mod tests;

pub use found::Found;

use crate::module;
use crate::rtnetlink::{Route, RouteKind, Rule, OURS, TABLE_LOCAL};
use netlink_packet_route::route::RouteProtocol;
use tcp_dispatch_netlink::Prefix;

/// Preference of the rule: behind the local table, before the main one.
pub const PREFERENCE: u32 = 32765;
/// Metric of the unreachable route: any other comes before it.
const LAST: u32 = u32::MAX;

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
        table: TABLE_LOCAL,
        destination: Some(range),
        kind: RouteKind::Local,
        device: loopback,
        metric: 0,
        protocol: OURS,
    }
}

/// The route that takes what processes send to the port.
pub fn port_route(table: u32, port: u32) -> Route {
    Route {
        table,
        destination: None,
        kind: RouteKind::Device,
        device: port,
        metric: 0,
        protocol: OURS,
    }
}

/// The route that is left when the port is gone, with the module. Without it,
/// what a process still sends would leave as it is, by the main table.
pub fn last_route(table: u32) -> Route {
    Route {
        table,
        destination: None,
        kind: RouteKind::Unreachable,
        device: 0,
        metric: LAST,
        protocol: OURS,
    }
}

/// The rule that chooses that route.
pub fn rule(range: Prefix, table: u32) -> Rule {
    Rule {
        priority: PREFERENCE,
        source: range,
        table,
        protocol: OURS,
    }
}

/// The same route, whoever made it.
pub fn same_route(a: &Route, b: &Route) -> bool {
    let anyone = |route: &Route| Route {
        protocol: RouteProtocol::Unspec,
        ..route.clone()
    };
    anyone(a) == anyone(b)
}
