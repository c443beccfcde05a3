// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl service`.

use crate::cli::{ServiceCommand, ServiceOptions};
use crate::failure::{Context, Failure, Refusal, USAGE};
use crate::output::{field, json, table, warn_interrupted, Column};
use crate::{process, traffic};
use nix::errno::Errno;
use tcp_dispatch_netlink::{Address, Client, Service, ServiceSettings};

/// Runs the command and returns what there is to show.
pub fn run(command: ServiceCommand) -> Result<String, Failure> {
    match command {
        ServiceCommand::Add { service, options } => {
            let doing = || format!("add service {service}");
            check(&options, service, doing)?;
            Client::connect()
                .and_then(|mut client| client.service_add(service, &options.settings()))
                .doing_or(doing, |refusal| {
                    (refusal.errno == Errno::EEXIST)
                        .then(|| format!("`dispatchctl service set {service}` changes it"))
                })?;
            Ok(String::new())
        }
        ServiceCommand::Set { service, options } => {
            let doing = || format!("change service {service}");
            check(&options, service, doing)?;
            let settings = options.settings();
            if settings == ServiceSettings::default() {
                return Err(Failure::new(doing(), "no setting is given")
                    .next("`dispatchctl service set --help` shows them")
                    .status(USAGE));
            }
            Client::connect()
                .and_then(|mut client| client.service_set(service, &settings))
                .doing_or(doing, lists_others)?;
            Ok(String::new())
        }
        ServiceCommand::Del { service } => {
            Client::connect()
                .and_then(|mut client| client.service_del(service))
                .doing_or(|| format!("delete service {service}"), lists_others)?;
            Ok(String::new())
        }
        ServiceCommand::Show {
            service,
            json: as_json,
        } => {
            let mut client = Client::connect().doing(|| format!("show service {service}"))?;
            let found = get(&mut client, service, || format!("show service {service}"))?;
            if as_json {
                return Ok(json(&found));
            }
            let processes = client
                .process_list(Some(service))
                .doing(|| format!("list the processes of service {service}"))?;
            warn_interrupted(processes.interrupted, "the processes");
            let shown = details(&found);
            Ok(format!("{shown}\n{}", process::show(&processes.items)))
        }
        ServiceCommand::List { json: as_json } => {
            let services = Client::connect()
                .and_then(|mut client| client.service_list())
                .doing(|| "list the services".to_owned())?;
            warn_interrupted(services.interrupted, "the services");
            Ok(if as_json {
                json(&services.items)
            } else {
                show(&services.items)
            })
        }
    }
}

/// Refuses options that can't be for the service.
fn check(
    options: &ServiceOptions,
    service: Address,
    doing: impl FnOnce() -> String,
) -> Result<(), Failure> {
    options
        .check(service)
        .map_err(|cause| Failure::new(doing(), cause).status(USAGE))
}

/// Gets a service. `doing` says what for.
pub fn get(
    client: &mut Client,
    service: Address,
    doing: impl FnOnce() -> String,
) -> Result<Service, Failure> {
    client.service_get(service).doing_or(doing, lists_others)
}

/// What to do if a service isn't there.
pub fn lists_others(refusal: &Refusal<'_>) -> Option<String> {
    refusal
        .lacks_service()
        .then(|| "`dispatchctl service list` shows those there are".to_owned())
}

/// A table of services, at most 100 characters wide.
pub fn show(services: &[Service]) -> String {
    let columns = [
        Column::Text("Service"),
        Column::Text("Scheduler"),
        Column::Text("Refusal"),
        Column::Text("Affinity"),
        Column::Number("Processes"),
    ];
    table(
        &[columns.as_slice(), &traffic::COLUMNS].concat(),
        services.iter().map(|service| {
            let cells = [
                service.service_address.to_string(),
                service.scheduler.to_string(),
                service.refusal.to_string(),
                affinity(service),
                service.processes.to_string(),
            ];
            [cells.as_slice(), &traffic::cells(&service.traffic)].concat()
        }),
    )
}

/// All that there is to know of a service, one line each.
fn details(service: &Service) -> String {
    let settings = [
        field("Service", &service.service_address.to_string()),
        field("Scheduler", &service.scheduler.to_string()),
        field("Refusal", &service.refusal.to_string()),
        field("Affinity", &affinity(service)),
        field("Registrants", &registrants(service)),
        field("Processes", &service.processes.to_string()),
    ];
    settings.concat() + &traffic::show(&service.traffic)
}

/// A client affinity, as it is given on the command line.
pub fn affinity(service: &Service) -> String {
    match service.affinity_timeout {
        0 => "-".to_owned(),
        seconds => format!("{seconds}/{}", service.affinity_prefix_len),
    }
}

/// Who may register processes, and where.
pub fn registrants(service: &Service) -> String {
    let user = service.registrant_uid.map(|uid| format!("user {uid}"));
    let group = service.registrant_gid.map(|gid| format!("group {gid}"));
    let who: Vec<_> = user.into_iter().chain(group).collect();
    match (who.as_slice(), service.registrant_range()) {
        ([], None) => "-".to_owned(),
        ([], Some(range)) => format!("nobody in {range}"),
        (who, Some(range)) => format!("{} in {range}", who.join(" and ")),
        (who, None) => format!("{}, but no range of addresses is theirs", who.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::{Refusal, Scheduler};

    const LONGEST: &str = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";

    fn service() -> Service {
        let mut service = Service::new("192.0.2.1:80".parse().unwrap());
        service.processes = 3;
        service.traffic.connections = 12;
        service.traffic.stats.connections = 300;
        service.traffic.stats.packets_in = 4000;
        service.traffic.drops.no_process = 2;
        service.scheduler = Scheduler::Wlc;
        service.affinity_timeout = 300;
        service.affinity_prefix_len = 24;
        service
    }

    #[test]
    fn a_service_is_shown_on_one_line_with_how_it_works() {
        let shown = show(&[service()]);
        let line = shown.lines().nth(1).unwrap();
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "192.0.2.1:80",
                "wlc",
                "tcp",
                "300/24",
                "3",
                "12",
                "300",
                "2"
            ]
        );
    }

    #[test]
    fn the_table_is_readable_on_100_columns() {
        let mut service = Service::new("203.0.113.100:65535".parse().unwrap());
        service.refusal = Refusal::Reset;
        service.affinity_timeout = 86_400;
        service.processes = 1024;
        service.traffic.connections = 1_000_000;
        service.traffic.stats.connections = 10_000_000_000;
        service.traffic.drops.no_process = 10_000_000;
        for line in show(&[service]).lines() {
            assert!(line.len() <= 100, "{} columns: {line}", line.len());
        }
    }

    #[test]
    fn registrants_are_shown_with_their_range() {
        let mut service = service();
        assert_eq!(registrants(&service), "-");
        service.registrant_uid = Some(33);
        assert!(registrants(&service).contains("no range"));
        service.registrant_gid = Some(44);
        service.registrant_prefix = Some([10, 77, 8, 0].into());
        service.registrant_prefix_len = 24;
        assert_eq!(
            registrants(&service),
            "user 33 and group 44 in 10.77.8.0/24"
        );
    }

    fn service_of_ipv6() -> Service {
        let mut service = Service::new("[2001:db8::1]:80".parse().unwrap());
        service.affinity_timeout = 300;
        service.registrant_uid = Some(33);
        service.registrant_prefix_ipv6 = Some("fd77:6470:8::".parse().unwrap());
        service.registrant_prefix_len = 64;
        service
    }

    #[test]
    fn a_service_of_ipv6_is_shown_as_one_of_ipv4_is() {
        let service = service_of_ipv6();
        assert_eq!(registrants(&service), "user 33 in fd77:6470:8::/64");
        assert_eq!(affinity(&service), "300/128");
        let shown = show(std::slice::from_ref(&service));
        let line = shown.lines().nth(1).unwrap();
        assert!(line.starts_with("[2001:db8::1]:80  rr "), "{shown}");
        let value: serde_json::Value = serde_json::from_str(&json(&service)).unwrap();
        assert_eq!(value["service-address"], "[2001:db8::1]:80");
        assert_eq!(value["registrant-prefix-ipv6"], "fd77:6470:8::");
        assert!(value["registrant-prefix"].is_null());
    }

    #[test]
    fn the_table_is_readable_on_100_columns_with_the_longest_address() {
        let mut service = Service::new(LONGEST.parse().unwrap());
        service.refusal = Refusal::Reset;
        service.affinity_timeout = 86_400;
        service.processes = 1024;
        service.traffic.connections = 1_000_000;
        service.traffic.stats.connections = 10_000_000_000;
        for line in show(&[service]).lines() {
            assert!(line.len() <= 100, "{} columns: {line}", line.len());
        }
    }

    #[test]
    fn the_details_have_what_the_table_has_no_column_for() {
        let shown = details(&service());
        assert!(shown.contains("Registrants        -\n"), "{shown}");
        assert!(shown.contains("4000 packets"), "{shown}");
    }

    #[test]
    fn json_uses_the_specifications_names() {
        let value: serde_json::Value = serde_json::from_str(&json(&[service()])).unwrap();
        assert_eq!(value[0]["service-address"], "192.0.2.1:80");
        assert_eq!(value[0]["connections"], 12);
        assert_eq!(value[0]["stats"]["packets-in"], 4000);
        assert_eq!(value[0]["drops"]["no-process"], 2);
        assert_eq!(value[0]["scheduler"], "wlc");
        assert_eq!(value[0]["affinity-prefix-len"], 24);
        assert!(value[0]["registrant-uid"].is_null());
    }
}
