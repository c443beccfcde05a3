// SPDX-License-Identifier: GPL-2.0

//! The steps of `dispatchctl up`, each of which can be undone.

use crate::failure::{Context, Failure};
use crate::nonlocal_bind;
use crate::plumbing::{
    default_of, last_route, local_route, local_rule, port_route, rule, Device, Devices, Found, Way,
};
use crate::rtnetlink::{Link, LinkChange, Route, Rtnetlink, Rule};
use nix::errno::Errno;
use std::io;
use tcp_dispatch_netlink::AddressFamily;

/// Something that was made, and is taken away if a later step fails.
enum Made {
    Link(&'static str, u32),
    Route(Route),
    Rule(Rule),
    NoRule(Rule),
    NonlocalBind,
}

/// Steps under way.
pub struct Steps<'a> {
    route: &'a mut Rtnetlink,
    devices: &'a Devices,
    made: Vec<Made>,
}

impl<'a> Steps<'a> {
    /// No step yet.
    pub fn new(route: &'a mut Rtnetlink, devices: &'a Devices) -> Self {
        Self {
            route,
            devices,
            made: Vec::new(),
        }
    }

    /// Whether everything was there already.
    pub fn made_nothing(&self) -> bool {
        self.made.is_empty()
    }

    /// Whether IPv6 addresses can be bound that no device has, and couldn't before.
    pub fn made_bindable(&self) -> bool {
        let made = |made: &Made| matches!(made, Made::NonlocalBind);
        self.made.iter().any(made)
    }

    /// Makes what is missing.
    pub fn all(&mut self, ways: &[Way], found: &Found) -> Result<(), Failure> {
        let loopback = self.loopback(found)?;
        let Devices { master, port } = *self.devices;
        let master = self.device(&master, found.master.as_ref(), LinkChange::default())?;
        let change = LinkChange {
            master: Some(master),
            ..LinkChange::default()
        };
        let port_index = self.device(&port, found.port.as_ref(), change)?;

        for way in ways {
            self.way(*way, loopback, port_index, found)?;
        }
        Ok(())
    }

    /// Makes what is missing of a range's way.
    fn way(
        &mut self,
        way: Way,
        loopback: u32,
        port_index: u32,
        found: &Found,
    ) -> Result<(), Failure> {
        let Way { range, table, .. } = way;
        let family = range.family();
        let (to, port) = (default_of(family), self.devices.port.name);
        if family == AddressFamily::Ipv6 && found.nonlocal_bind != Some(true) {
            self.make_bindable()?;
        }
        self.add_route(local_route(range, loopback), "lo", found, || {
            format!("add the route `local {range} dev lo`")
        })?;
        self.add_route(port_route(family, table, port_index), port, found, || {
            format!("add the route `{to} dev {port} table {table}`")
        })?;
        self.add_route(last_route(family, table), "lo", found, || {
            format!("add the route `unreachable {to} table {table}`")
        })?;
        let move_rule = way.before_local && !found.is_before_local(range);
        if move_rule {
            self.move_local_table(family, found)?;
        }
        if move_rule || found.table(range).is_none() {
            self.add_rule(rule(&way))?;
        }
        if let Some(rule) = found.rule(range).filter(|_| move_rule) {
            self.del_rule(rule)?;
        }
        Ok(())
    }

    /// Makes room for a rule before the local table.
    fn move_local_table(&mut self, family: AddressFamily, found: &Found) -> Result<(), Failure> {
        let behind = local_rule(family);
        let of_family = || {
            let rules = found.local_rules.iter();
            rules.filter(|rule| rule.family == family)
        };
        // The new one first: nothing may be without its local table in between.
        if !of_family().any(|rule| rule.priority >= behind.priority) {
            self.add_rule(behind.clone())?;
        }
        for rule in of_family().filter(|rule| rule.priority < behind.priority) {
            self.del_rule(rule)?;
        }
        Ok(())
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), Failure> {
        self.route
            .add_rule(&rule)
            .doing(|| format!("add the rule `{rule}`"))?;
        self.made.push(Made::Rule(rule));
        Ok(())
    }

    fn del_rule(&mut self, rule: &Rule) -> Result<(), Failure> {
        self.route
            .del_rule(rule)
            .doing(|| format!("delete the rule `{rule}`"))?;
        self.made.push(Made::NoRule(rule.clone()));
        Ok(())
    }

    /// Lets IPv6 addresses be bound that no device has.
    fn make_bindable(&mut self) -> Result<(), Failure> {
        nonlocal_bind::set(true).map_err(|error| {
            let doing = format!("set {} to 1", nonlocal_bind::NAME);
            match error.kind() {
                io::ErrorKind::NotFound => Failure::new(doing, "this kernel has no IPv6")
                    .next("leave the range of IPv6 out, or start the kernel without ipv6.disable"),
                _ => Failure::new(doing, error)
                    .next("set it where /proc/sys can be written to, and run this again"),
            }
        })?;
        self.made.push(Made::NonlocalBind);
        Ok(())
    }

    /// Sets the loopback device up: neither process addresses nor clients on
    /// the same computer work without. It stays up: others use it, too.
    fn loopback(&mut self, found: &Found) -> Result<u32, Failure> {
        let Some(lo) = &found.loopback else {
            return Err(Failure::new(
                "set device lo up",
                "the namespace has no such device",
            ));
        };
        if !lo.up {
            self.set_up("lo", lo.index)?;
        }
        Ok(lo.index)
    }

    /// Makes a device, or mends the one that is there.
    fn device(
        &mut self,
        device: &Device,
        found: Option<&Link>,
        change: LinkChange,
    ) -> Result<u32, Failure> {
        let Device { name, kind } = *device;
        if let Some(link) = found {
            if link.kind.as_deref() != Some(kind) {
                return Err(Failure::new(
                    format!("use device {name}"),
                    format!(
                        "it is of kind {}, not {kind}",
                        link.kind.as_deref().unwrap_or("none")
                    ),
                )
                .next(format!("give it another name: `ip link set {name} name …`")));
            }
            if change.master.is_some() && link.master != change.master {
                self.route
                    .set_link(link.index, change)
                    .doing(|| format!("change device {name}"))?;
            }
            self.generate_no_addresses(name, link)?;
            if !link.up {
                self.set_up(name, link.index)?;
            }
            return Ok(link.index);
        }
        self.route.add_link(name, kind, change).doing_or(
            || format!("create device {name} of kind {kind}"),
            |refusal| {
                (refusal.errno == Errno::EOPNOTSUPP)
                    .then(|| format!("the module {kind} is not loaded: `modprobe {kind}`"))
            },
        )?;
        let link = self
            .route
            .link(name)
            .doing(|| format!("find device {name}"))?
            .ok_or_else(|| Failure::new(format!("find device {name}"), "it was just created"))?;
        self.made.push(Made::Link(name, link.index));
        if change.master.is_some() && link.master != change.master {
            return Err(Failure::new(
                format!("enslave device {name}"),
                "the kernel created it without its master",
            ));
        }
        self.generate_no_addresses(name, &link)?;
        // Set up only now: a port is not to be used before it has its master.
        self.set_up(name, link.index)?;
        Ok(link.index)
    }

    /// Keeps IPv6 from giving a device an address of its own, and from asking
    /// for routers by it: there are none behind it.
    fn generate_no_addresses(&mut self, name: &str, link: &Link) -> Result<(), Failure> {
        if !link.generates_addresses {
            return Ok(());
        }
        let change = LinkChange {
            generate_no_addresses: true,
            ..LinkChange::default()
        };
        self.route
            .set_link(link.index, change)
            .doing(|| format!("set the address generation mode of device {name} to none"))
    }

    fn set_up(&mut self, name: &str, index: u32) -> Result<(), Failure> {
        let change = LinkChange {
            up: true,
            ..LinkChange::default()
        };
        self.route
            .set_link(index, change)
            .doing(|| format!("set device {name} up"))
    }

    fn add_route(
        &mut self,
        route: Route,
        device: &str,
        found: &Found,
        doing: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if !found.has_route(&route) {
            self.route.add_route(&route).doing_or(doing, |refusal| {
                let disabled =
                    route.family == AddressFamily::Ipv6 && refusal.errno == Errno::EACCES;
                disabled.then(|| {
                    format!(
                        "IPv6 must not be disabled: `sysctl net.ipv6.conf.{device}.disable_ipv6=0`"
                    )
                })
            })?;
            self.made.push(Made::Route(route));
        }
        Ok(())
    }

    /// Takes away what was made, the latest first.
    pub fn undo(&mut self) {
        while let Some(made) = self.made.pop() {
            let (what, done) = match &made {
                Made::Link(name, index) => (format!("device {name}"), self.route.del_link(*index)),
                Made::Route(route) => (
                    format!("a route of table {}", route.table),
                    self.route.del_route(route),
                ),
                Made::Rule(rule) => (format!("the rule `{rule}`"), self.route.del_rule(rule)),
                Made::NoRule(rule) => {
                    if let Err(error) = self.route.add_rule(rule) {
                        eprintln!("dispatchctl: cannot add the rule `{rule}` again: {error}");
                    }
                    continue;
                }
                Made::NonlocalBind => {
                    if let Err(error) = nonlocal_bind::set(false) {
                        let name = nonlocal_bind::NAME;
                        eprintln!("dispatchctl: cannot set {name} back to 0: {error}");
                    }
                    continue;
                }
            };
            if let Err(error) = done {
                eprintln!("dispatchctl: cannot take {what} away again: {error}");
            }
        }
    }
}
