// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl status`.

use crate::failure::{Context, Failure};
use crate::output::{field, json, table, warn_interrupted, Column};
use crate::plumbing::{list, Found, DEVICES};
use crate::rtnetlink::Rtnetlink;
use crate::service;
use serde::Serialize;
use tcp_dispatch_netlink::{AddressFamily, Client, Drops, Error, Net, Prefix, Service};

/// What the layer is and does in a network namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    module_loaded: bool,
    net: Option<Net>,
    services: Vec<Service>,
    plumbing: Plumbing,
}

/// Whether devices, routes and rule are as they must be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Plumbing {
    whole: bool,
    table: Option<u32>,
    table_ipv6: Option<u32>,
    faults: Vec<String>,
    warnings: Vec<String>,
}

/// Looks, and returns what there is to show.
pub fn run(as_json: bool) -> Result<String, Failure> {
    let status = look()?;
    Ok(if as_json {
        json(&status)
    } else {
        show(&status)
    })
}

fn look() -> Result<Status, Failure> {
    let mut client = match Client::connect() {
        Err(Error::NotLoaded) => None,
        other => Some(other.doing(|| "reach the module tcp_dispatch".to_owned())?),
    };
    let mut net = None;
    let mut services = Vec::new();
    if let Some(client) = &mut client {
        net = Some(
            client
                .net()
                .doing(|| "read the namespace's settings".to_owned())?,
        );
        let list = client
            .service_list()
            .doing(|| "list the services".to_owned())?;
        warn_interrupted(list.interrupted, "the services");
        services = list.items;
    }
    let ranges: Vec<_> = net.iter().flat_map(Net::prefixes).collect();
    let found = Rtnetlink::open()
        .and_then(|mut route| Found::find(&mut route, &DEVICES, &ranges))
        .doing(|| "look for devices, routes and rules".to_owned())?;
    let faults = match &net {
        Some(_) => found.faults(&DEVICES, &ranges),
        None => vec!["the module is not loaded".to_owned()],
    };
    let table = |family| {
        let of_family = |range: &&Prefix| range.family() == family;
        found.table(*ranges.iter().find(of_family)?)
    };
    Ok(Status {
        module_loaded: net.is_some(),
        net,
        services,
        plumbing: Plumbing {
            whole: faults.is_empty(),
            table: table(AddressFamily::Ipv4),
            table_ipv6: table(AddressFamily::Ipv6),
            faults,
            warnings: found.warnings(&ranges),
        },
    })
}

fn show(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&field(name, value));
    };
    let Some(net) = &status.net else {
        line("Module", "not loaded: `modprobe tcp_dispatch` loads it");
        return text;
    };
    line("Module", "loaded");
    let ranges: Vec<_> = net.prefixes().collect();
    match ranges.as_slice() {
        [] => line("Process addresses", "none: `dispatchctl up` sets it"),
        ranges => line("Process addresses", &list(ranges)),
    }
    let fill = u128::from(net.connections) * 100 / u128::from(net.max_connections.max(1));
    line(
        "Connections",
        &format!("{} of {} ({fill} %)", net.connections, net.max_connections),
    );
    line("Services", &net.services.to_string());
    match status.plumbing.faults.as_slice() {
        [] => line("Plumbing", "whole"),
        faults => {
            for (index, fault) in faults.iter().enumerate() {
                line(if index == 0 { "Plumbing" } else { "" }, fault);
            }
            let options: String = ranges
                .iter()
                .map(|range| format!(" --range {range}"))
                .collect();
            line("", &format!("`dispatchctl up{options}` mends it"));
        }
    }
    for warning in &status.plumbing.warnings {
        line("Warning", warning);
    }
    if !status.services.is_empty() {
        text.push('\n');
        text.push_str(&service::show(&status.services));
    }
    text.push('\n');
    text.push_str(&show_drops(net, &status.services));
    text
}

/// A table of drops: whose, and for which reason.
fn show_drops(net: &Net, services: &[Service]) -> String {
    let row = |name: String, drops: &Drops| {
        vec![
            name,
            drops.no_process.to_string(),
            drops.connection_limit.to_string(),
            drops.conflict.to_string(),
            drops.no_memory.to_string(),
            drops.outside.to_string(),
            drops.no_connection.to_string(),
            drops.signed.to_string(),
        ]
    };
    let of_services = services
        .iter()
        .map(|service| row(service.service_address.to_string(), &service.traffic.drops));
    table(
        &[
            Column::Text("Dropped"),
            Column::Number("No process"),
            Column::Number("Limit"),
            Column::Number("Conflict"),
            Column::Number("No memory"),
            Column::Number("Outside"),
            Column::Number("No connection"),
            Column::Number("Signed"),
        ],
        of_services.chain([row("of no service".to_owned(), &net.drops)]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(faults: Vec<String>) -> Status {
        Status {
            module_loaded: true,
            net: Some(Net {
                process_prefix: Some([10, 77, 0, 0].into()),
                process_prefix_len: 16,
                process_prefix_ipv6: None,
                process_prefix_ipv6_len: 0,
                max_connections: 1000,
                services: 1,
                connections: 250,
                drops: Drops {
                    outside: 7,
                    ..Drops::default()
                },
            }),
            services: vec![Service::new("192.0.2.1:80".parse().unwrap())],
            plumbing: Plumbing {
                whole: faults.is_empty(),
                table: Some(77),
                table_ipv6: None,
                faults,
                warnings: Vec::new(),
            },
        }
    }

    #[test]
    fn a_status_shows_the_range_the_fill_and_every_reason_for_a_drop() {
        let shown = show(&status(Vec::new()));
        assert!(
            shown.contains("Process addresses  10.77.0.0/16\n"),
            "{shown}"
        );
        assert!(
            shown.contains("Connections        250 of 1000 (25 %)\n"),
            "{shown}"
        );
        assert!(shown.contains("Plumbing           whole\n"), "{shown}");
        let last: Vec<_> = shown.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(
            last,
            ["of", "no", "service", "0", "0", "0", "0", "7", "0", "0"]
        );
    }

    #[test]
    fn a_fault_is_shown_with_what_mends_it() {
        let shown = show(&status(vec!["device tcp_dispatch1 is down".to_owned()]));
        assert!(shown.contains("device tcp_dispatch1 is down"), "{shown}");
        assert!(
            shown.contains("`dispatchctl up --range 10.77.0.0/16` mends it"),
            "{shown}"
        );
    }

    #[test]
    fn a_warning_is_shown_beside_whole_plumbing() {
        let mut status = status(Vec::new());
        status
            .plumbing
            .warnings
            .push("a rule comes before".to_owned());
        let shown = show(&status);
        assert!(
            shown.contains("Plumbing           whole\nWarning            a rule comes before\n"),
            "{shown}"
        );
    }

    /// The same, with a range of IPv6 as well.
    fn status_of_both(faults: Vec<String>) -> Status {
        let mut status = status(faults);
        let net = status.net.as_mut().unwrap();
        net.process_prefix_ipv6 = Some("fd77:6470::".parse().unwrap());
        net.process_prefix_ipv6_len = 64;
        status.plumbing.table_ipv6 = Some(77);
        status
    }

    #[test]
    fn a_status_shows_the_ranges_of_both_families() {
        let shown = show(&status_of_both(Vec::new()));
        assert!(
            shown.contains("Process addresses  10.77.0.0/16 and fd77:6470::/64\n"),
            "{shown}"
        );
        let shown = show(&status_of_both(vec!["device lo is down".to_owned()]));
        assert!(
            shown.contains("`dispatchctl up --range 10.77.0.0/16 --range fd77:6470::/64` mends it"),
            "{shown}"
        );
    }

    #[test]
    fn json_says_the_same_of_both_families() {
        let status = json(&status_of_both(Vec::new()));
        let value: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(value["net"]["process-prefix-ipv6"], "fd77:6470::");
        assert_eq!(value["net"]["process-prefix-ipv6-len"], 64);
        assert_eq!(value["plumbing"]["table-ipv6"], 77);
    }

    #[test]
    fn json_says_the_same_by_the_specifications_names() {
        let value: serde_json::Value = serde_json::from_str(&json(&status(Vec::new()))).unwrap();
        assert_eq!(value["module-loaded"], true);
        assert_eq!(value["net"]["process-prefix"], "10.77.0.0");
        assert_eq!(value["net"]["process-prefix-len"], 16);
        assert_eq!(value["net"]["drops"]["outside"], 7);
        assert_eq!(value["services"][0]["service-address"], "192.0.2.1:80");
        assert_eq!(value["plumbing"]["whole"], true);
    }
}
