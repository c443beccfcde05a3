// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl service`.

use crate::cli::ServiceCommand;
use crate::failure::{Context, Failure};
use crate::output::{json, table, warn_interrupted, Column};
use nix::errno::Errno;
use tcp_dispatch_netlink::{Client, Service};

/// Runs the command and returns what there is to show.
pub fn run(command: ServiceCommand) -> Result<String, Failure> {
    match command {
        ServiceCommand::Add { service } => {
            Client::connect()
                .and_then(|mut client| client.service_add(service))
                .doing(|| format!("add service {service}"))?;
            Ok(String::new())
        }
        ServiceCommand::Del { service } => {
            Client::connect()
                .and_then(|mut client| client.service_del(service))
                .doing_or(
                    || format!("delete service {service}"),
                    |errno| {
                        (errno == Errno::ENOENT)
                            .then(|| "`dispatchctl service list` shows those there are".to_owned())
                    },
                )?;
            Ok(String::new())
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

/// A table of services.
pub fn show(services: &[Service]) -> String {
    table(
        &[
            Column::Text("Service"),
            Column::Number("Processes"),
            Column::Number("Connections"),
            Column::Number("Assigned"),
            Column::Number("Packets in"),
            Column::Number("Bytes in"),
            Column::Number("Packets out"),
            Column::Number("Bytes out"),
            Column::Number("Dropped"),
        ],
        services.iter().map(|service| {
            vec![
                service.service_address.to_string(),
                service.processes.to_string(),
                service.connections.to_string(),
                service.stats.connections.to_string(),
                service.stats.packets_in.to_string(),
                service.stats.bytes_in.to_string(),
                service.stats.packets_out.to_string(),
                service.stats.bytes_out.to_string(),
                service.drops.total().to_string(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::{Drops, Stats};

    fn service() -> Service {
        Service {
            service_address: "192.0.2.1:80".parse().unwrap(),
            processes: 3,
            connections: 12,
            stats: Stats {
                connections: 300,
                packets_in: 4000,
                ..Stats::default()
            },
            drops: Drops {
                no_process: 2,
                conflict: 1,
                ..Drops::default()
            },
        }
    }

    #[test]
    fn a_service_is_shown_on_one_line_with_the_sum_of_its_drops() {
        let shown = show(&[service()]);
        let line = shown.lines().nth(1).unwrap();
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            cells,
            ["192.0.2.1:80", "3", "12", "300", "4000", "0", "0", "0", "3"]
        );
    }

    #[test]
    fn json_uses_the_specifications_names() {
        let value: serde_json::Value = serde_json::from_str(&json(&[service()])).unwrap();
        assert_eq!(value[0]["service-address"], "192.0.2.1:80");
        assert_eq!(value[0]["stats"]["packets-in"], 4000);
        assert_eq!(value[0]["drops"]["no-process"], 2);
    }
}
