// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl process`.

use crate::cli::ProcessCommand;
use crate::failure::{Context, Failure};
use crate::output::{json, table, warn_interrupted, Column};
use nix::errno::Errno;
use tcp_dispatch_netlink::{Address, Client, Process};

/// Runs the command and returns what there is to show.
pub fn run(command: ProcessCommand) -> Result<String, Failure> {
    match command {
        ProcessCommand::Add { service, process } => {
            let doing = || format!("add process {process} to service {service}");
            let mut client = Client::connect().doing(doing)?;
            client
                .process_add(service, process)
                .doing_or(doing, |errno| next(&mut client, errno, service))?;
            Ok(String::new())
        }
        ProcessCommand::Del { service, process } => {
            Client::connect()
                .and_then(|mut client| client.process_del(service, process))
                .doing_or(
                    || format!("delete process {process} of service {service}"),
                    |errno| {
                        (errno == Errno::ENOENT)
                            .then(|| "`dispatchctl process list` shows those there are".to_owned())
                    },
                )?;
            Ok(String::new())
        }
        ProcessCommand::List {
            service,
            json: as_json,
        } => {
            let processes = Client::connect()
                .and_then(|mut client| client.process_list(service))
                .doing(|| match service {
                    Some(service) => format!("list the processes of service {service}"),
                    None => "list the processes".to_owned(),
                })?;
            warn_interrupted(processes.interrupted, "the processes");
            Ok(if as_json {
                json(&processes.items)
            } else {
                show(&processes.items)
            })
        }
    }
}

/// What to do if a process could not be added.
fn next(client: &mut Client, errno: Errno, service: Address) -> Option<String> {
    if errno == Errno::EPERM {
        return None;
    }
    if client.service_get(service).ok().is_none() {
        return Some(format!(
            "add the service first: `dispatchctl service add {service}`"
        ));
    }
    match (errno, client.net().ok()?.prefix()) {
        (_, None) => Some("set a range of process addresses first: `dispatchctl up`".to_owned()),
        (Errno::EADDRNOTAVAIL, Some(prefix)) => {
            Some(format!("process addresses are taken from {prefix}"))
        }
        _ => None,
    }
}

/// A table of processes.
pub fn show(processes: &[Process]) -> String {
    table(
        &[
            Column::Text("Service"),
            Column::Text("Process"),
            Column::Number("Connections"),
            Column::Number("Assigned"),
            Column::Number("Packets in"),
            Column::Number("Bytes in"),
            Column::Number("Packets out"),
            Column::Number("Bytes out"),
            Column::Number("Dropped"),
        ],
        processes.iter().map(|process| {
            vec![
                process.service_address.to_string(),
                process.process_address.to_string(),
                process.connections.to_string(),
                process.stats.connections.to_string(),
                process.stats.packets_in.to_string(),
                process.stats.bytes_in.to_string(),
                process.stats.packets_out.to_string(),
                process.stats.bytes_out.to_string(),
                process.drops.total().to_string(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::{Drops, Stats};

    #[test]
    fn a_process_is_shown_with_its_service_and_its_counters() {
        let process = Process {
            service_address: "192.0.2.1:80".parse().unwrap(),
            process_address: "10.77.0.1:80".parse().unwrap(),
            connections: 1,
            stats: Stats {
                connections: 2,
                packets_in: 3,
                bytes_in: 4,
                packets_out: 5,
                bytes_out: u64::MAX,
            },
            drops: Drops {
                conflict: 6,
                no_memory: 7,
                ..Drops::default()
            },
        };
        let shown = show(std::slice::from_ref(&process));
        let cells: Vec<_> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "192.0.2.1:80",
                "10.77.0.1:80",
                "1",
                "2",
                "3",
                "4",
                "5",
                "18446744073709551615",
                "13"
            ]
        );
        let value: serde_json::Value = serde_json::from_str(&json(&[process])).unwrap();
        assert_eq!(value[0]["process-address"], "10.77.0.1:80");
        assert_eq!(value[0]["stats"]["bytes-out"], u64::MAX);
    }
}
