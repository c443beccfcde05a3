// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl connection`.

use crate::cli::ConnectionCommand;
use crate::failure::{Context, Failure};
use crate::output::{json, table, warn_interrupted, Column};
use crate::process::lists_others;
use nix::errno::Errno;
use tcp_dispatch_netlink::{Client, Connection};

/// Runs the command and returns what there is to show.
pub fn run(command: ConnectionCommand) -> Result<String, Failure> {
    match command {
        ConnectionCommand::Add {
            client,
            service,
            process,
        } => {
            Client::connect()
                .and_then(|mut layer| layer.connection_add(client, service, process))
                .doing_or(
                    || format!("assign connection {client} of service {service} to {process}"),
                    |refusal| match refusal.errno {
                        Errno::EAFNOSUPPORT => Some(
                            "client, service and process have addresses of one family".to_owned(),
                        ),
                        _ => lists_others(refusal, service),
                    },
                )?;
            Ok(String::new())
        }
        ConnectionCommand::Del { client, service } => {
            Client::connect()
                .and_then(|mut layer| layer.connection_del(client, service))
                .doing_or(
                    || format!("delete connection {client} of service {service}"),
                    |refusal| {
                        (refusal.errno == Errno::ENOENT).then(|| {
                            "`dispatchctl connection list` shows those there are".to_owned()
                        })
                    },
                )?;
            Ok(String::new())
        }
        ConnectionCommand::List {
            filter,
            json: as_json,
        } => {
            let connections = Client::connect()
                .and_then(|mut layer| layer.connection_list(filter.filter()))
                .doing(|| "list the connections".to_owned())?;
            warn_interrupted(connections.interrupted, "the connections");
            Ok(if as_json {
                json(&connections.items)
            } else {
                show(&connections.items)
            })
        }
    }
}

/// A table of connections.
fn show(connections: &[Connection]) -> String {
    table(
        &[
            Column::Text("Client"),
            Column::Text("Service"),
            Column::Text("Process"),
            Column::Text("State"),
            Column::Number("Age"),
        ],
        connections.iter().map(|connection| {
            vec![
                connection.client_address.to_string(),
                connection.service_address.to_string(),
                connection.process_address.to_string(),
                connection.state.to_string(),
                age(connection.age),
            ]
        }),
    )
}

/// A time that people can read at a glance.
fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::TcpState;

    #[test]
    fn a_connection_is_shown_with_its_three_addresses_state_and_age() {
        let connection = Connection {
            client_address: "198.51.100.7:40000".parse().unwrap(),
            service_address: "192.0.2.1:80".parse().unwrap(),
            process_address: "10.77.0.1:80".parse().unwrap(),
            state: TcpState::FinWait1,
            age: 1234,
        };
        let shown = show(std::slice::from_ref(&connection));
        let cells: Vec<_> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "198.51.100.7:40000",
                "192.0.2.1:80",
                "10.77.0.1:80",
                "fin-wait1",
                "1.2s"
            ]
        );
        let value: serde_json::Value = serde_json::from_str(&json(&[connection])).unwrap();
        assert_eq!(value[0]["state"], "fin-wait1");
        assert_eq!(value[0]["age"], 1234);
    }

    #[test]
    fn connections_of_ipv6_are_shown_on_100_columns() {
        let connection = |client: &str| Connection {
            client_address: client.parse().unwrap(),
            service_address: "[2001:db8::1]:443".parse().unwrap(),
            process_address: "[fd77:6470::1]:443".parse().unwrap(),
            state: TcpState::Established,
            age: 90_000_000,
        };
        let short = [connection("[2001:db8:1::7]:40000")];
        assert_eq!(show(&short).lines().count(), 2);
        let long = [connection("[2001:db8:1111:2222:3333:4444:5555:6666]:40000")];
        let shown = show(&long);
        for line in shown.lines() {
            assert!(line.len() <= 100, "{} columns: {line}", line.len());
        }
        assert!(shown.contains("\n  [2001:db8::1]:443 "), "{shown}");
    }

    #[test]
    fn an_age_is_shown_in_the_two_units_that_matter() {
        assert_eq!(age(0), "0.0s");
        assert_eq!(age(59_999), "59.9s");
        assert_eq!(age(61_000), "1m 01s");
        assert_eq!(age(3_600_000), "1h 00m");
        assert_eq!(age(90_000_000), "1d 01h");
    }
}
