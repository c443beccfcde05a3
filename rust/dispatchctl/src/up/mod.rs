// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl up`.

mod steps;

pub use steps::Steps;

use crate::cli::UpSettings;
use crate::failure::{Context, Failure};
use crate::module;
use crate::plumbing::{Found, DEVICES};
use crate::rtnetlink::Rtnetlink;

use tcp_dispatch_netlink::{AddressFamily, Client, NetSettings, Prefix};

/// Sets up the network namespace and returns what there is to show.
pub fn run(settings: &UpSettings) -> Result<String, Failure> {
    let range = settings.range;
    let mut client = module::load()?;
    let mut route = Rtnetlink::open().doing(|| "open a routing socket".to_owned())?;
    let net = client
        .net()
        .doing(|| "read the namespace's settings".to_owned())?;
    let found = Found::find(&mut route, &DEVICES, Some(range))
        .doing(|| "look for devices, routes and rules".to_owned())?;
    check(settings, net.prefix(AddressFamily::Ipv4), &found)?;

    // The prefix comes first: from then on nothing from outside gets through
    // to a process address, which the routes would otherwise let in.
    let new_prefix = net.prefix(AddressFamily::Ipv4).is_none();
    set_net(&mut client, settings)?;
    let mut steps = Steps::new(&mut route, &DEVICES);
    if let Err(failure) = steps.all(range, settings.table, &found) {
        steps.undo();
        let mut before = NetSettings::default().max_connections(net.max_connections);
        if new_prefix {
            before = before.no_process_prefix(AddressFamily::Ipv4);
        }
        if let Err(error) = client.set_net(&before) {
            eprintln!("dispatchctl: cannot set the process prefix back: {error}");
        }
        return Err(failure);
    }
    Ok(if steps.made_nothing() && !new_prefix {
        format!("process addresses are taken from {range}: it was all there\n")
    } else {
        format!("process addresses are taken from {range}\n")
    })
}

/// Refuses to set up a second way beside one that is in use.
fn check(settings: &UpSettings, prefix: Option<Prefix>, found: &Found) -> Result<(), Failure> {
    let refuse = |cause: String| {
        let doing = format!("set up process addresses of {}", settings.range);
        let next = "take the old ones away first: `dispatchctl down`";
        Err(Failure::new(doing, cause).next(next))
    };
    if let Some(other) = prefix.filter(|prefix| *prefix != settings.range) {
        return refuse(format!(
            "the namespace takes process addresses from {other} already"
        ));
    }
    let differs = |rule: &&crate::rtnetlink::Rule| {
        rule.source != settings.range || rule.table != settings.table
    };
    match found.rules.iter().find(differs) {
        Some(rule) => refuse(format!(
            "a rule sends {} to table {} already",
            rule.source, rule.table
        )),
        None => Ok(()),
    }
}

fn set_net(client: &mut Client, settings: &UpSettings) -> Result<(), Failure> {
    let mut change = NetSettings::default().process_prefix(settings.range);
    if let Some(limit) = settings.max_connections {
        change = change.max_connections(limit);
    }
    client
        .set_net(&change)
        .doing(|| format!("set the process prefix {}", settings.range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plumbing::rule;

    fn settings() -> UpSettings {
        UpSettings {
            range: "10.77.0.0/16".parse().unwrap(),
            table: 77,
            max_connections: None,
        }
    }

    fn found(rules: Vec<crate::rtnetlink::Rule>) -> Found {
        Found {
            loopback: None,
            master: None,
            port: None,
            rules,
            routes: Vec::new(),
        }
    }

    #[test]
    fn a_second_range_is_refused_with_the_first() {
        let other = "10.78.0.0/16".parse().unwrap();
        let failure = check(&settings(), Some(other), &found(Vec::new())).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot set up process addresses of 10.77.0.0/16: \
             the namespace takes process addresses from 10.78.0.0/16 already\n\
             take the old ones away first: `dispatchctl down`"
        );
    }

    #[test]
    fn a_second_table_is_refused_with_the_first() {
        let rules = vec![rule(settings().range, 80)];
        let failure = check(&settings(), None, &found(rules)).unwrap_err();
        assert!(failure.to_string().contains("table 80"), "{failure}");
    }

    #[test]
    fn the_same_range_and_table_may_be_set_up_again() {
        let settings = settings();
        let rules = vec![rule(settings.range, settings.table)];
        check(&settings, Some(settings.range), &found(rules)).unwrap();
    }
}
