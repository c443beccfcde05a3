// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl up`.

mod plan;
mod steps;

pub use steps::Steps;

use crate::cli::{UpSettings, RANGE_IPV6};
use crate::failure::{Context, Failure};
use crate::module;
use crate::nonlocal_bind;
use crate::plumbing::{list, Found, Way, DEVICES};
use crate::rtnetlink::Rtnetlink;
use tcp_dispatch_netlink::{AddressFamily, Client, Net, NetSettings, Prefix};

/// The command that sets a range of a family, as it is written in a sentence.
pub fn command(family: AddressFamily) -> String {
    match family {
        AddressFamily::Ipv4 => "`dispatchctl up`".to_owned(),
        AddressFamily::Ipv6 => format!("`dispatchctl up --range {RANGE_IPV6}`"),
    }
}

/// Sets up the network namespace and returns what there is to show.
pub fn run(settings: &UpSettings) -> Result<String, Failure> {
    plan::check_families(&settings.range)?;
    let mut client = module::load()?;
    let mut route = Rtnetlink::open().doing(|| "open a routing socket".to_owned())?;
    let net = client
        .net()
        .doing(|| "read the namespace's settings".to_owned())?;
    let set: Vec<_> = net.prefixes().collect();
    let ranges = [settings.range.as_slice(), &set].concat();
    let found = Found::find(&mut route, &DEVICES, &ranges)
        .doing(|| "look for devices, routes and rules".to_owned())?;
    let ways = plan::plan(settings, &set, &found)?;
    let ranges: Vec<_> = ways.iter().map(|way| way.range).collect();

    // The prefixes come first: from then on nothing from outside gets through
    // to a process address, which the routes would otherwise let in.
    set_net(&mut client, settings, &ranges)?;
    let mut steps = Steps::new(&mut route, &DEVICES);
    if let Err(failure) = steps.all(&ways, &found) {
        steps.undo();
        if let Err(error) = client.set_net(&before(&net, &ways)) {
            eprintln!("dispatchctl: cannot set the process prefix back: {error}");
        }
        return Err(failure);
    }
    let made_bindable = steps.made_bindable();
    let there = steps.made_nothing() && ranges.iter().all(|range| set.contains(range));
    let mut text = format!(
        "process addresses are taken from {}{}\n",
        list(&ranges),
        if there { ": it was all there" } else { "" }
    );
    if made_bindable {
        text += &format!(
            "{} is 1 now: IPv6 addresses can be bound that no device has\n",
            nonlocal_bind::NAME
        );
    }
    let found =
        Found::find(&mut route, &DEVICES, &ranges).doing(|| "look for other rules".to_owned())?;
    for warning in found.warnings(&ranges) {
        eprintln!("dispatchctl: warning: {warning}");
    }
    Ok(text)
}

fn set_net(client: &mut Client, settings: &UpSettings, ranges: &[Prefix]) -> Result<(), Failure> {
    let mut change = NetSettings::default();
    for range in ranges {
        change = change.process_prefix(*range);
    }
    if let Some(limit) = settings.max_connections {
        change = change.max_connections(limit);
    }
    client
        .set_net(&change)
        .doing(|| format!("set the process prefix {}", list(ranges)))
}

/// What sets back what [`set_net`] changed.
fn before(net: &Net, ways: &[Way]) -> NetSettings {
    let mut before = NetSettings::default().max_connections(net.max_connections);
    for family in ways.iter().map(|way| way.range.family()) {
        if net.prefix(family).is_none() {
            before = before.no_process_prefix(family);
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_ends_the_use_of_the_ranges_that_were_not_there_before() {
        let ways: Vec<_> = ["10.77.0.0/16", RANGE_IPV6]
            .map(|range| Way {
                range: range.parse().unwrap(),
                table: 77,
                before_local: false,
            })
            .into();
        let mut net = Net::default();
        let neither = NetSettings::default()
            .max_connections(0)
            .no_process_prefix(AddressFamily::Ipv4)
            .no_process_prefix(AddressFamily::Ipv6);
        assert_eq!(before(&net, &ways), neither);
        net.process_prefix = Some([10, 77, 0, 0].into());
        net.process_prefix_len = 16;
        let ipv4 = NetSettings::default()
            .max_connections(0)
            .no_process_prefix(AddressFamily::Ipv6);
        assert_eq!(before(&net, &ways), ipv4);
    }
}
