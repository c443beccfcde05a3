// SPDX-License-Identifier: GPL-2.0

//! What there is of the plumbing, and what is wrong with it.

use super::{default_of, last_route, local_route, port_route, same_route, Device, Devices};
use crate::nonlocal_bind;
use crate::rtnetlink::{Link, Route, Rtnetlink, Rule, OURS, TABLE_LOCAL};
use netlink_packet_route::route::RouteProtocol;
use tcp_dispatch_netlink::{AddressFamily, Error, Prefix};

/// What there is in a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The loopback device.
    pub loopback: Option<Link>,
    /// The master device.
    pub master: Option<Link>,
    /// The port device.
    pub port: Option<Link>,
    /// The rules for the ranges, or made by the tool; in the kernel's order.
    pub rules: Vec<Rule>,
    /// The rules of the local tables.
    pub local_rules: Vec<Rule>,
    /// The rules that have nothing to do with the layer.
    pub other_rules: Vec<Rule>,
    /// The routes for the ranges or by the port, or made by the tool.
    pub routes: Vec<Route>,
    /// Whether IPv6 addresses that no device has can be bound; none if the
    /// kernel has no IPv6.
    pub nonlocal_bind: Option<bool>,
}

impl Found {
    /// Looks for the plumbing of the ranges, and for what else the tool made.
    pub fn find(
        route: &mut Rtnetlink,
        devices: &Devices,
        ranges: &[Prefix],
    ) -> Result<Self, Error> {
        let loopback = route.link("lo")?;
        let master = route.link(devices.master.name)?;
        let port = route.link(devices.port.name)?;
        let (mut rules, mut routes) = (Vec::new(), Vec::new());
        let (mut local_rules, mut other_rules) = (Vec::new(), Vec::new());
        for family in AddressFamily::ALL {
            let mut tables = vec![TABLE_LOCAL];
            for rule in route.rules(family)? {
                let of_range = rule.source.is_some_and(|range| ranges.contains(&range));
                if rule.asks_more {
                    other_rules.push(rule);
                } else if rule.source.is_none() && rule.table == TABLE_LOCAL {
                    local_rules.push(rule);
                } else if of_range || rule.protocol == OURS {
                    tables.push(rule.table);
                    rules.push(rule);
                } else {
                    other_rules.push(rule);
                }
            }

            routes.append(&mut route.routes(family, None, Some(OURS))?);
            for table in tables {
                let of_range = |found: &Route| {
                    found
                        .destination
                        .is_some_and(|range| ranges.contains(&range))
                        || same_route(found, &last_route(family, found.table))
                        // What the kernel makes for a device goes with it.
                        || port.as_ref().is_some_and(|port| found.device == port.index)
                            && found.protocol != RouteProtocol::Kernel
                };
                let more = route.routes(family, Some(table), None)?;
                for found in more.into_iter().filter(of_range) {
                    if !routes.contains(&found) {
                        routes.push(found);
                    }
                }
            }
        }
        Ok(Self {
            loopback,
            master,
            port,
            rules,
            local_rules,
            other_rules,
            routes,
            nonlocal_bind: nonlocal_bind::get(),
        })
    }

    /// The table that a range's traffic is sent to.
    pub fn table(&self, range: Prefix) -> Option<u32> {
        self.rule(range).map(|rule| rule.table)
    }

    /// The rule of a range.
    pub fn rule(&self, range: Prefix) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.source == Some(range))
    }

    /// Whether what a range sends to this computer itself leaves by the port,
    /// too: the rule comes before the local table.
    pub fn is_before_local(&self, range: Prefix) -> bool {
        let family = range.family();
        let mut local = self.local_rules.iter().filter(|rule| rule.family == family);
        self.rule(range)
            .is_some_and(|rule| local.all(|local| rule.priority < local.priority))
    }

    /// What may go wrong though nothing is missing, a sentence each: rules that
    /// come before those of the ranges.
    pub fn warnings(&self, ranges: &[Prefix]) -> Vec<String> {
        let rules = ranges.iter().filter_map(|range| self.rule(*range));
        let earlier = rules.flat_map(|ours| {
            let range = ours.source;
            let others = self.other_rules.iter().filter(move |other| {
                other.priority < ours.priority && range.is_some_and(|range| other.may_take(range))
            });
            others.map(move |other| {
                format!(
                    "the rule {}, `{other}`, comes before {}, `{ours}`: what it takes of what \
                     processes send leaves with their own addresses",
                    other.priority, ours.priority
                )
            })
        });
        earlier.collect()
    }

    /// Whether there is a route, whoever made it.
    pub fn has_route(&self, route: &Route) -> bool {
        self.routes.iter().any(|found| same_route(found, route))
    }

    /// What is missing or wrong, a sentence each.
    pub fn faults(&self, devices: &Devices, ranges: &[Prefix]) -> Vec<String> {
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
        if ranges.is_empty() {
            faults.push("no process prefix is set".to_owned());
        }
        for range in ranges {
            faults.append(&mut self.faults_of(*range, devices));
        }
        faults
    }

    /// What is missing or wrong of a range's way.
    fn faults_of(&self, range: Prefix, devices: &Devices) -> Vec<String> {
        let mut faults = Vec::new();
        let family = range.family();
        if let Some(lo) = &self.loopback {
            if !self.has_route(&local_route(range, lo.index)) {
                faults.push(format!("the route `local {range} dev lo` is missing"));
            }
        }
        if family == AddressFamily::Ipv6 && self.nonlocal_bind != Some(true) {
            faults.push(format!(
                "{} is not 1: addresses of {range} can't be bound",
                nonlocal_bind::NAME
            ));
        }
        let Some(table) = self.table(range) else {
            faults.push(format!("the rule `from {range} lookup TABLE` is missing"));
            return faults;
        };
        if let Some(port) = &self.port {
            if !self.has_route(&port_route(family, table, port.index)) {
                faults.push(format!(
                    "the route `{} dev {} table {table}` is missing",
                    default_of(family),
                    devices.port.name
                ));
            }
        }
        if !self.has_route(&last_route(family, table)) {
            faults.push(format!(
                "the route `unreachable {} table {table}` is missing",
                default_of(family)
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
    use crate::plumbing::{kernels_local_rule, rule, Way, DEVICES};
    use crate::rtnetlink::RouteKind;

    const IPV4: AddressFamily = AddressFamily::Ipv4;
    const IPV6: AddressFamily = AddressFamily::Ipv6;

    fn range() -> Prefix {
        "10.77.0.0/16".parse().unwrap()
    }

    fn range_ipv6() -> Prefix {
        "fd77:6470::/64".parse().unwrap()
    }

    fn way(range: Prefix) -> Way {
        Way {
            range,
            table: 77,
            before_local: false,
        }
    }

    /// The plumbing of an IPv4 range.
    fn whole() -> Found {
        let link = |index, kind: Option<&str>, master| {
            Some(Link {
                index,
                kind: kind.map(str::to_owned),
                master,
                up: true,
                generates_addresses: false,
            })
        };
        Found {
            loopback: link(1, None, None),
            master: link(2, Some("tcp_dispatch"), None),
            port: link(3, Some("tcp_dispatch"), Some(2)),
            rules: vec![rule(&way(range()))],
            local_rules: vec![kernels_local_rule(IPV4), kernels_local_rule(IPV6)],
            other_rules: Vec::new(),
            routes: vec![
                local_route(range(), 1),
                port_route(IPV4, 77, 3),
                last_route(IPV4, 77),
            ],
            nonlocal_bind: Some(false),
        }
    }

    /// The plumbing of a range of each family.
    fn whole_of_both() -> Found {
        let mut found = whole();
        found.rules.push(rule(&way(range_ipv6())));
        found.routes.extend([
            local_route(range_ipv6(), 1),
            port_route(IPV6, 77, 3),
            last_route(IPV6, 77),
        ]);
        found.nonlocal_bind = Some(true);
        found
    }

    fn faults(change: impl FnOnce(&mut Found)) -> Vec<String> {
        let mut found = whole();
        change(&mut found);
        found.faults(&DEVICES, &[range()])
    }

    #[test]
    fn whole_plumbing_has_no_fault() {
        assert!(faults(|_| ()).is_empty());
    }

    #[test]
    fn plumbing_that_someone_else_made_is_as_good() {
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

    /// What is wrong with the plumbing of both families.
    fn faults_of_both(change: impl FnOnce(&mut Found)) -> Vec<String> {
        let mut found = whole_of_both();
        change(&mut found);
        found.faults(&DEVICES, &[range(), range_ipv6()])
    }

    #[test]
    fn the_plumbing_of_one_family_is_none_of_the_other() {
        assert!(faults_of_both(|_| ()).is_empty());
        let ipv4_alone = |found: &mut Found| *found = whole();
        assert_eq!(
            faults_of_both(ipv4_alone),
            [
                "the route `local fd77:6470::/64 dev lo` is missing",
                "net.ipv6.ip_nonlocal_bind is not 1: addresses of fd77:6470::/64 can't be bound",
                "the rule `from fd77:6470::/64 lookup TABLE` is missing"
            ]
        );
    }

    #[test]
    fn each_missing_part_of_ipv6_is_named_by_its_family() {
        let without = |kind| {
            move |found: &mut Found| {
                found
                    .routes
                    .retain(|route| route.kind != kind || route.family == IPV4)
            }
        };
        assert_eq!(
            faults_of_both(without(RouteKind::Device)),
            ["the route `::/0 dev tcp_dispatch1 table 77` is missing"]
        );
        assert_eq!(
            faults_of_both(without(RouteKind::Unreachable)),
            ["the route `unreachable ::/0 table 77` is missing"]
        );
        assert_eq!(
            faults_of_both(|found| found.nonlocal_bind = Some(false)),
            ["net.ipv6.ip_nonlocal_bind is not 1: addresses of fd77:6470::/64 can't be bound"]
        );
    }

    #[test]
    fn a_computer_without_ipv6_has_no_fault_of_ipv6() {
        assert!(faults(|found| found.nonlocal_bind = None).is_empty());
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

    /// What is warned of where another rule is at `priority`.
    fn warnings(priority: u32, change: impl FnOnce(&mut Rule)) -> Vec<String> {
        let mut other = Rule {
            priority,
            table: 5,
            protocol: RouteProtocol::Static,
            ..kernels_local_rule(IPV4)
        };
        change(&mut other);
        let mut found = whole_of_both();
        found.other_rules.push(other);
        found.warnings(&[range(), range_ipv6()])
    }

    #[test]
    fn a_rule_that_comes_before_the_layers_is_warned_of() {
        let tail =
            "comes before 990, `from 10.77.0.0/16 lookup 77`: what it takes of what processes \
                    send leaves with their own addresses";
        assert_eq!(
            warnings(100, |_| ()),
            [format!("the rule 100, `from all lookup 5`, {tail}")]
        );
        assert_eq!(
            warnings(989, |other| {
                other.source = Some("10.77.8.0/24".parse().unwrap());
                other.asks_more = true;
            }),
            [format!(
                "the rule 989, `from 10.77.8.0/24 … lookup 5`, {tail}"
            )]
        );
    }

    #[test]
    fn rules_that_take_nothing_of_what_processes_send_are_not_warned_of() {
        let none: [&str; 0] = [];
        assert_eq!(warnings(991, |_| ()), none);
        let elsewhere = |other: &mut Rule| other.source = Some("10.78.0.0/16".parse().unwrap());
        assert_eq!(warnings(100, elsewhere), none);
        assert!(whole_of_both()
            .warnings(&[range(), range_ipv6()])
            .is_empty());
    }

    #[test]
    fn a_namespace_without_a_range_says_so() {
        let found = whole();
        assert_eq!(found.faults(&DEVICES, &[]), ["no process prefix is set"]);
    }
}
