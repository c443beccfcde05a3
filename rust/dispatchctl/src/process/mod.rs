// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl process`.

mod next;

use crate::cli::{ProcessCommand, ProcessName};
use crate::drain;
use crate::failure::{Context, Failure, Refusal, USAGE};
use crate::output::{field, json, table, warn_interrupted, Column};
use crate::{service, traffic};
use nix::errno::Errno;
use tcp_dispatch_netlink::{
    Address, Client, OwnedBy, Owner, Process, ProcessSettings, ProcessState,
};

/// Runs the command and returns what there is to show.
pub fn run(command: ProcessCommand) -> Result<String, Failure> {
    match command {
        ProcessCommand::Add { name, options, pid } => {
            let owner = pid.map_or(OwnedBy::Nobody, OwnedBy::Pid);
            let mut client = Client::connect().doing(|| adding(name))?;
            add(&mut client, name, owner, &options.settings())?;
            Ok(String::new())
        }
        ProcessCommand::Set {
            name,
            options,
            state,
        } => {
            let mut settings = options.settings();
            if let Some(state) = state {
                settings = settings.state(state);
            }
            let ProcessName { service, process } = name;
            let doing = || format!("change process {process} of service {service}");
            if settings == ProcessSettings::default() {
                return Err(Failure::new(doing(), "no setting is given")
                    .next("`dispatchctl process set --help` shows them")
                    .status(USAGE));
            }
            Client::connect()
                .and_then(|mut client| client.process_set(service, process, &settings))
                .doing_or(doing, |refusal| lists_others(refusal, service))?;
            Ok(String::new())
        }
        ProcessCommand::Drain {
            name,
            timeout,
            wait,
        } => {
            let mut client = Client::connect().doing(|| drain::doing(name))?;
            let mut drain = drain::start(&mut client, name, timeout)?;
            if wait {
                drain::wait(&mut client, &mut drain, name)?;
            }
            Ok(String::new())
        }
        ProcessCommand::Del { name } => {
            let ProcessName { service, process } = name;
            Client::connect()
                .and_then(|mut client| client.process_del(service, process))
                .doing_or(
                    || format!("delete process {process} of service {service}"),
                    |refusal| lists_others(refusal, service),
                )?;
            Ok(String::new())
        }
        ProcessCommand::Show {
            name,
            json: as_json,
        } => {
            let doing = || format!("show process {} of service {}", name.process, name.service);
            let mut client = Client::connect().doing(doing)?;
            let process = get(&mut client, name, doing)?;
            Ok(if as_json {
                json(&process)
            } else {
                details(&process)
            })
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

/// Gets a process. `doing` says what for.
pub fn get(
    client: &mut Client,
    name: ProcessName,
    doing: impl FnOnce() -> String,
) -> Result<Process, Failure> {
    client
        .process_get(name.service, name.process)
        .doing_or(doing, |refusal| lists_others(refusal, name.service))
}

/// Registers a process.
pub fn add(
    client: &mut Client,
    name: ProcessName,
    owner: OwnedBy<'_>,
    settings: &ProcessSettings,
) -> Result<(), Failure> {
    let ProcessName { service, process } = name;
    client
        .process_add(service, process, owner, settings)
        .doing_or(|| adding(name), |refusal| next::next(client, refusal, name))
}

fn adding(name: ProcessName) -> String {
    format!("add process {} to service {}", name.process, name.service)
}

/// What to do if a process, or its service, isn't there.
pub fn lists_others(refusal: &Refusal<'_>, service: Address) -> Option<String> {
    service::lists_others(refusal).or_else(|| {
        (refusal.errno == Errno::ENOENT)
            .then(|| format!("`dispatchctl process list {service}` shows those there are"))
    })
}

/// A table of processes.
pub fn show(processes: &[Process]) -> String {
    let columns = [
        Column::Text("Service"),
        Column::Text("Process"),
        Column::Text("State"),
        Column::Number("Weight"),
        Column::Number("Queue"),
        Column::Text("Owner"),
    ];
    table(
        &[columns.as_slice(), &traffic::COLUMNS].concat(),
        processes.iter().map(|process| {
            let cells = [
                process.service_address.to_string(),
                process.process_address.to_string(),
                process.state.to_string(),
                process.weight.to_string(),
                queue(process).unwrap_or_else(|| "-".to_owned()),
                owner(process),
            ];
            [cells.as_slice(), &traffic::cells(&process.traffic)].concat()
        }),
    )
}

/// All that there is to know of a process, one line each.
fn details(process: &Process) -> String {
    let dash_if_empty = |text: &str| match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    };
    let registrant = process.uid.map(|uid| format!("user {uid}"));
    let settings = [
        field("Service", &process.service_address.to_string()),
        field("Process", &process.process_address.to_string()),
        field("State", &state(process)),
        field("Weight", &process.weight.to_string()),
        field("CPUs", &dash_if_empty(&process.cpus)),
        field("Owner", &owner(process)),
        field(
            "Registrant",
            &dash_if_empty(&registrant.unwrap_or_default()),
        ),
        field(
            "Accept queue",
            &queue(process).unwrap_or_else(|| "nobody listens".to_owned()),
        ),
    ];
    settings.concat() + &traffic::show(&process.traffic)
}

/// The state, with the time until what is left is reset.
fn state(process: &Process) -> String {
    match (process.state, process.drain_timeout) {
        (ProcessState::Draining, Some(left)) => {
            format!(
                "draining, what is left is reset in {}.{} s",
                left / 1000,
                left % 1000 / 100
            )
        }
        (state, _) => state.to_string(),
    }
}

/// How full the accept queue is, if anybody listens.
pub fn queue(process: &Process) -> Option<String> {
    let max = process.accept_queue_max?;
    Some(format!("{}/{max}", process.accept_queue.unwrap_or(0)))
}

/// Whom the registration belongs to.
pub fn owner(process: &Process) -> String {
    match (process.owner, process.pid) {
        (Owner::None, _) => "-".to_owned(),
        // Of a PID namespace that this one doesn't see.
        (Owner::Pid, None | Some(0)) => "pid ?".to_owned(),
        (Owner::Pid, Some(pid)) => format!("pid {pid}"),
        (owner, _) => owner.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        let mut process = Process::new(
            "192.0.2.1:80".parse().unwrap(),
            "10.77.0.1:80".parse().unwrap(),
        );
        process.traffic.connections = 1;
        process.traffic.stats.connections = 2;
        process.traffic.stats.bytes_out = u64::MAX;
        process.traffic.drops.conflict = 6;
        process.traffic.drops.no_memory = 7;
        process.accept_queue = Some(3);
        process.accept_queue_max = Some(511);
        process
    }

    fn cells(process: &Process) -> Vec<String> {
        let shown = show(std::slice::from_ref(process));
        let line = shown.lines().nth(1).unwrap();
        line.split("  ")
            .map(|cell| cell.trim().to_owned())
            .filter(|cell| !cell.is_empty())
            .collect()
    }

    #[test]
    fn a_process_is_shown_with_its_state_queue_and_owner() {
        let mut process = process();
        let expected = [
            "192.0.2.1:80",
            "10.77.0.1:80",
            "active",
            "1",
            "3/511",
            "-",
            "1",
            "2",
            "13",
        ];
        assert_eq!(cells(&process), expected);
        process.owner = Owner::Pid;
        process.pid = Some(4711);
        assert_eq!(cells(&process)[5], "pid 4711");
        process.pid = Some(0);
        assert_eq!(cells(&process)[5], "pid ?");
        process.owner = Owner::Socket;
        assert_eq!(cells(&process)[5], "socket");
    }

    #[test]
    fn a_process_that_nobody_listens_for_has_no_queue() {
        let mut process = process();
        process.accept_queue = None;
        process.accept_queue_max = None;
        assert_eq!(cells(&process)[4], "-");
        assert!(details(&process).contains("nobody listens"));
    }

    #[test]
    fn the_table_is_readable_on_100_columns() {
        let mut process = process();
        process.owner = Owner::Pid;
        process.pid = Some(123_456);
        process.state = ProcessState::Draining;
        process.accept_queue_max = Some(4096);
        process.traffic.stats.connections = 1_000_000_000;
        for line in show(&[process]).lines() {
            assert!(line.len() <= 100, "{} columns: {line}", line.len());
        }
    }

    #[test]
    fn the_table_is_readable_on_100_columns_with_the_longest_addresses() {
        let mut process = process();
        process.service_address = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"
            .parse()
            .unwrap();
        process.process_address = "[fd77:6470::1111:2222]:65535".parse().unwrap();
        process.state = ProcessState::Draining;
        process.owner = Owner::Pid;
        process.pid = Some(123_456);
        let shown = show(&[process.clone(), process]);
        for line in shown.lines() {
            assert!(line.len() <= 100, "{} columns: {line}", line.len());
        }
        assert_eq!(shown.matches("[2001:").count(), 1, "{shown}");
    }

    #[test]
    fn the_details_say_when_a_drain_ends() {
        let mut process = process();
        process.state = ProcessState::Draining;
        process.drain_timeout = Some(12_345);
        let shown = details(&process);
        assert!(shown.contains("is reset in 12.3 s\n"), "{shown}");
    }

    #[test]
    fn json_uses_the_specifications_names() {
        let value: serde_json::Value = serde_json::from_str(&json(&[process()])).unwrap();
        assert_eq!(value[0]["process-address"], "10.77.0.1:80");
        assert_eq!(value[0]["stats"]["bytes-out"], u64::MAX);
        assert_eq!(value[0]["accept-queue-max"], 511);
        assert_eq!(value[0]["owner"], "none");
        assert!(value[0]["pid"].is_null());
    }
}
