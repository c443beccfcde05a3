// SPDX-License-Identifier: GPL-2.0

//! What `dispatchctl up` is to make, of what was asked for and what there is.

use crate::cli::UpSettings;
use crate::failure::{Failure, USAGE};
use crate::plumbing::{list, Found, Way};
use crate::rtnetlink::Rule;
use tcp_dispatch_netlink::{AddressFamily, Prefix};

/// Refuses more than one range of a family.
pub fn check_families(ranges: &[Prefix]) -> Result<(), Failure> {
    for family in AddressFamily::ALL {
        let of_family = |range: &&Prefix| range.family() == family;
        if ranges.iter().filter(of_family).count() > 1 {
            let cause = format!("a namespace has one range of {family}");
            return Err(Failure::new(doing(ranges), cause).status(USAGE));
        }
    }
    Ok(())
}

/// The ways of the ranges that are asked for, and of those that the namespace
/// has set already: what is missing of them is mended, too. Refuses to set up
/// a second way beside one that is in use.
pub fn plan(settings: &UpSettings, set: &[Prefix], found: &Found) -> Result<Vec<Way>, Failure> {
    let refuse = |cause: String| {
        let next = "take the old ones away first: `dispatchctl down`";
        Err(Failure::new(doing(&settings.range), cause).next(next))
    };
    let mut ways = Vec::new();
    for family in AddressFamily::ALL {
        let of_family = |range: &&Prefix| range.family() == family;
        let asked = settings.range.iter().find(of_family);
        let there = set.iter().find(of_family);
        match (asked, there) {
            (Some(asked), Some(other)) if asked != other => {
                return refuse(format!(
                    "the namespace takes process addresses from {other} already"
                ));
            }
            (Some(range), _) => ways.push(Way {
                range: *range,
                table: settings.table,
                before_local: settings.before_local,
            }),
            (None, Some(range)) => ways.push(Way {
                range: *range,
                table: found.table(*range).unwrap_or(settings.table),
                before_local: settings.before_local,
            }),
            (None, None) => {}
        }
    }
    let is_of = |way: &Way, rule: &Rule| (rule.source, rule.table) == (Some(way.range), way.table);
    let differs = |rule: &&Rule| !ways.iter().any(|way| is_of(way, rule));
    match found.rules.iter().find(differs) {
        Some(rule) => refuse(format!("there is a rule `{rule}` already")),
        None => Ok(ways),
    }
}

fn doing(ranges: &[Prefix]) -> String {
    format!("set up process addresses of {}", list(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plumbing::rule;

    fn range(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn settings_of(ranges: &[&str]) -> UpSettings {
        UpSettings {
            range: ranges.iter().map(|text| range(text)).collect(),
            table: 77,
            max_connections: None,
            before_local: false,
        }
    }

    fn settings() -> UpSettings {
        settings_of(&["10.77.0.0/16"])
    }

    fn found(ways: &[Way]) -> Found {
        Found {
            loopback: None,
            master: None,
            port: None,
            rules: ways.iter().map(rule).collect(),
            local_rules: Vec::new(),
            other_rules: Vec::new(),
            routes: Vec::new(),
            nonlocal_bind: None,
        }
    }

    fn way(text: &str, table: u32) -> Way {
        Way {
            range: range(text),
            table,
            before_local: false,
        }
    }

    #[test]
    fn a_second_range_is_refused_with_the_first() {
        let other = range("10.78.0.0/16");
        let failure = plan(&settings(), &[other], &found(&[])).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot set up process addresses of 10.77.0.0/16: \
             the namespace takes process addresses from 10.78.0.0/16 already\n\
             take the old ones away first: `dispatchctl down`"
        );
        let both = settings_of(&["10.77.0.0/16", "fd77:6470::/64"]);
        let set = [range("10.77.0.0/16"), range("fd78::/64")];
        let failure = plan(&both, &set, &found(&[])).unwrap_err();
        assert!(failure.to_string().contains("from fd78::/64"), "{failure}");
    }

    #[test]
    fn a_second_table_is_refused_with_the_first() {
        let there = [way("10.77.0.0/16", 80)];
        let failure = plan(&settings(), &[], &found(&there)).unwrap_err();
        assert!(
            failure
                .to_string()
                .contains("there is a rule `from 10.77.0.0/16 lookup 80` already"),
            "{failure}"
        );
    }

    #[test]
    fn the_same_range_and_table_may_be_set_up_again() {
        let there = [way("10.77.0.0/16", 77)];
        let ways = plan(&settings(), &[there[0].range], &found(&there)).unwrap();
        assert_eq!(ways, there);
    }

    #[test]
    fn a_range_of_the_other_family_is_set_up_beside_the_one_that_is_there() {
        let ipv4 = way("10.77.0.0/16", 80);
        let settings = settings_of(&["fd77:6470::/64"]);
        let ways = plan(&settings, &[ipv4.range], &found(&[ipv4])).unwrap();
        assert_eq!(ways, [ipv4, way("fd77:6470::/64", 77)]);
    }

    #[test]
    fn a_range_that_is_not_asked_for_is_not_set_up() {
        let ways = plan(&settings(), &[], &found(&[])).unwrap();
        assert_eq!(ways, [way("10.77.0.0/16", 77)]);
    }

    #[test]
    fn a_rule_of_the_other_family_that_the_module_has_forgotten_is_in_the_way() {
        let there = [way("fd77:6470::/64", 77)];
        let failure = plan(&settings(), &[], &found(&there)).unwrap_err();
        assert!(
            failure.to_string().contains("`from fd77:6470::/64"),
            "{failure}"
        );
    }

    #[test]
    fn two_ranges_of_a_family_are_refused() {
        let both = settings_of(&["10.77.0.0/16", "fd77:6470::/64"]);
        assert!(check_families(&both.range).is_ok());
        let two = settings_of(&["fd77:6470::/64", "fd78::/64"]);
        let failure = check_families(&two.range).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot set up process addresses of fd77:6470::/64 and fd78::/64: \
             a namespace has one range of IPv6"
        );
    }
}
