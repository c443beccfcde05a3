// SPDX-License-Identifier: GPL-2.0

//! What there is of the plumbing, and what is wrong with it.

use super::{last_route, local_route, port_route, same_route, Device, Devices};
use crate::rtnetlink::{Link, Route, Rtnetlink, Rule, OURS, TABLE_LOCAL};
use tcp_dispatch_netlink::{Error, Prefix};

/// What there is in a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The loopback device.
    pub loopback: Option<Link>,
    /// The master device.
    pub master: Option<Link>,
    /// The port device.
    pub port: Option<Link>,
    /// The rules for the range, or made by the tool; in the kernel's order.
    pub rules: Vec<Rule>,
    /// The routes for the range or by the port, or made by the tool.
    pub routes: Vec<Route>,
}

impl Found {
    /// Looks for the plumbing of a range, or if that is not known for what the
    /// tool made.
    pub fn find(
        route: &mut Rtnetlink,
        devices: &Devices,
        range: Option<Prefix>,
    ) -> Result<Self, Error> {
        let loopback = route.link("lo")?;
        let master = route.link(devices.master.name)?;
        let port = route.link(devices.port.name)?;
        let mut rules = route.rules()?;
        rules.retain(|rule| Some(rule.source) == range || rule.protocol == OURS);

        let mut routes = route.routes(None, Some(OURS))?;
        let mut tables = vec![TABLE_LOCAL];
        tables.extend(rules.iter().map(|rule| rule.table));
        for table in tables {
            let of_range = |found: &Route| {
                found.destination.is_some() && found.destination == range
                    || same_route(found, &last_route(found.table))
                    || port.as_ref().is_some_and(|port| found.device == port.index)
            };
            let more = route.routes(Some(table), None)?;
            for found in more.into_iter().filter(of_range) {
                if !routes.contains(&found) {
                    routes.push(found);
                }
            }
        }
        Ok(Self {
            loopback,
            master,
            port,
            rules,
            routes,
        })
    }

    /// The table that the range's traffic is sent to.
    pub fn table(&self, range: Prefix) -> Option<u32> {
        let rule = self.rules.iter().find(|rule| rule.source == range)?;
        Some(rule.table)
    }

    /// Whether there is a route, whoever made it.
    pub fn has_route(&self, route: &Route) -> bool {
        self.routes.iter().any(|found| same_route(found, route))
    }

    /// What is missing or wrong, a sentence each.
    pub fn faults(&self, devices: &Devices, range: Option<Prefix>) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.loopback.as_ref().is_some_and(|lo| lo.up) {
            faults.push("device lo is down".to_owned());
        }
        faults.extend(device_faults(&devices.master, self.master.as_ref()));
        faults.extend(device_faults(&devices.port, self.port.as_ref()));
        if let Some(port) = &self.port {
            let master = self.master.as_ref().map(|master| master.index);
            let (port_name, master_name) = (devices.port.name, devices.master.name);
            if port.master.is_none() || port.master != master {
                faults.push(format!(
                    "device {port_name} is not enslaved to {master_name}"
                ));
            }
        }
        let Some(range) = range else {
            faults.push("no process prefix is set".to_owned());
            return faults;
        };
        if let Some(lo) = &self.loopback {
            if !self.has_route(&local_route(range, lo.index)) {
                faults.push(format!("the route `local {range} dev lo` is missing"));
            }
        }
        let Some(table) = self.table(range) else {
            faults.push(format!("the rule `from {range} lookup TABLE` is missing"));
            return faults;
        };
        if let Some(port) = &self.port {
            if !self.has_route(&port_route(table, port.index)) {
                faults.push(format!(
                    "the route `default dev {} table {table}` is missing",
                    devices.port.name
                ));
            }
        }
        if !self.has_route(&last_route(table)) {
            faults.push(format!(
                "the route `unreachable default table {table}` is missing"
            ));
        }
        faults
    }
}

fn device_faults(device: &Device, found: Option<&Link>) -> Option<String> {
    let Some(link) = found else {
        return Some(format!("device {} is missing", device.name));
    };
    if link.kind.as_deref() != Some(device.kind) {
        return Some(format!(
            "device {} is of kind {}, not {}",
            device.name,
            link.kind.as_deref().unwrap_or("none"),
            device.kind
        ));
    }
    (!link.up).then(|| format!("device {} is down", device.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plumbing::{rule, DEVICES};
    use crate::rtnetlink::RouteKind;

    fn range() -> Prefix {
        "10.77.0.0/16".parse().unwrap()
    }

    fn whole() -> Found {
        let link = |index, kind: Option<&str>, master| {
            Some(Link {
                index,
                kind: kind.map(str::to_owned),
                master,
                up: true,
            })
        };
        Found {
            loopback: link(1, None, None),
            master: link(2, Some("tcp_dispatch"), None),
            port: link(3, Some("tcp_dispatch"), Some(2)),
            rules: vec![rule(range(), 77)],
            routes: vec![local_route(range(), 1), port_route(77, 3), last_route(77)],
        }
    }

    fn faults(change: impl FnOnce(&mut Found)) -> Vec<String> {
        let mut found = whole();
        change(&mut found);
        found.faults(&DEVICES, Some(range()))
    }

    #[test]
    fn whole_plumbing_has_no_fault() {
        assert!(faults(|_| ()).is_empty());
    }

    #[test]
    fn plumbing_that_someone_else_made_is_as_good() {
        use netlink_packet_route::route::RouteProtocol;
        let other = |found: &mut Found| {
            for route in &mut found.routes {
                route.protocol = RouteProtocol::Boot;
            }
            found.rules[0].protocol = RouteProtocol::Boot;
        };
        assert!(faults(other).is_empty());
    }

    #[test]
    fn each_missing_part_is_named() {
        assert_eq!(
            faults(|found| found.master = None),
            [
                "device tcp_dispatch0 is missing",
                "device tcp_dispatch1 is not enslaved to tcp_dispatch0"
            ]
        );
        assert_eq!(
            faults(|found| found.rules.clear()),
            ["the rule `from 10.77.0.0/16 lookup TABLE` is missing"]
        );
        assert_eq!(
            faults(|found| found.routes.retain(|route| route.kind != RouteKind::Local)),
            ["the route `local 10.77.0.0/16 dev lo` is missing"]
        );
        assert_eq!(
            faults(|found| found.routes.retain(|route| route.kind != RouteKind::Device)),
            ["the route `default dev tcp_dispatch1 table 77` is missing"]
        );
        assert_eq!(
            faults(|found| found
                .routes
                .retain(|route| route.kind != RouteKind::Unreachable)),
            ["the route `unreachable default table 77` is missing"]
        );
    }

    #[test]
    fn a_port_that_is_set_wrong_is_described() {
        let wrong = |found: &mut Found| {
            let port = found.port.as_mut().unwrap();
            port.master = Some(9);
            port.up = false;
        };
        assert_eq!(
            faults(wrong),
            [
                "device tcp_dispatch1 is down",
                "device tcp_dispatch1 is not enslaved to tcp_dispatch0"
            ]
        );
    }

    #[test]
    fn a_namespace_without_a_range_says_so() {
        let found = whole();
        assert_eq!(found.faults(&DEVICES, None), ["no process prefix is set"]);
    }
}
