// SPDX-License-Identifier: GPL-2.0

//! The command line of `dispatchctl process` and `dispatchctl replace`.

use super::values;
use clap::{Args, Subcommand};
use std::time::Duration;
use tcp_dispatch_netlink::{Address, ProcessSettings, ProcessState};

/// What to do with processes.
#[derive(Debug, Subcommand)]
pub enum ProcessCommand {
    /// Register a process for a service.
    Add {
        #[command(flatten)]
        name: ProcessName,
        #[command(flatten)]
        options: ProcessOptions,
        /// The process that the registration belongs to and ends with. Without
        /// it the registration stays until it is deleted.
        #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
        pid: Option<u32>,
    },
    /// Change a registration. What is not given stays.
    Set {
        #[command(flatten)]
        name: ProcessName,
        #[command(flatten)]
        options: ProcessOptions,
        /// Whether it gets new connections.
        ///
        /// active: it does. draining: it doesn't, and keeps those that it has.
        /// down: it doesn't, and those that it has are reset.
        #[arg(long, value_name = "NAME", value_parser = values::named::<ProcessState>(ProcessState::NAMES))]
        state: Option<ProcessState>,
    },
    /// Let a process drain: it gets no new connections, and keeps those that it
    /// has.
    Drain {
        #[command(flatten)]
        name: ProcessName,
        /// Reset those that are left after this time, as in 30s, 2m or 1h.
        #[arg(long, value_name = "TIME", value_parser = values::drain_time)]
        timeout: Option<Duration>,
        /// Wait until the last connection has ended.
        #[arg(long)]
        wait: bool,
    },
    /// Delete a registration. The process's connections go on.
    Del {
        #[command(flatten)]
        name: ProcessName,
    },
    /// Show all there is to know of a process.
    Show {
        #[command(flatten)]
        name: ProcessName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the processes of a service, or all.
    List {
        /// The service's address.
        #[arg(value_parser = values::address)]
        service: Option<Address>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What names a process.
#[derive(Args, Clone, Copy, Debug)]
pub struct ProcessName {
    /// The service's address, as in 192.0.2.1:80 or [2001:db8::1]:80.
    #[arg(value_parser = values::address)]
    pub service: Address,
    /// The address that the process listens on, of the same family, as in
    /// 10.77.0.1:80 or [fd77:6470::1]:80.
    #[arg(value_parser = values::address)]
    pub process: Address,
}

/// How a process is used.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessOptions {
    /// How many new connections it gets, compared with others: 0, which is
    /// none, to 65535.
    #[arg(long, value_name = "N")]
    pub weight: Option<u16>,
    /// The CPUs that it runs on, for scheduler cpu: a list such as 0-3,8.
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,
}

impl ProcessOptions {
    /// The settings, as the library takes them.
    pub fn settings(&self) -> ProcessSettings {
        let mut settings = ProcessSettings::default();
        if let Some(weight) = self.weight {
            settings = settings.weight(weight);
        }
        if let Some(cpus) = &self.cpus {
            settings = settings.cpus(cpus);
        }
        settings
    }
}

/// How to replace a process by another.
#[derive(Args, Clone, Debug)]
pub struct ReplaceSettings {
    /// The service's address.
    #[arg(value_parser = values::address)]
    pub service: Address,
    /// The process that is to end.
    #[arg(value_parser = values::address)]
    pub old: Address,
    /// The process that takes its place.
    #[arg(value_parser = values::address)]
    pub new: Address,
    /// Reset connections of the old process that are left after this time, as
    /// in 30s, 2m or 1h.
    #[arg(long, value_name = "TIME", value_parser = values::drain_time)]
    pub drain_timeout: Option<Duration>,
    /// Wait until the last connection of the old process has ended.
    #[arg(long)]
    pub wait: bool,
    /// How long the new process may take until it listens.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::time)]
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::parse;
    use crate::cli::Command;

    #[test]
    fn a_process_is_named_by_two_addresses_and_owned_by_a_pid() {
        let line = "process add 192.0.2.1:80 10.77.0.1:8080 --weight 7 --cpus 0-3,8 --pid 12";
        let cli = parse(line).unwrap();
        let Command::Process(ProcessCommand::Add { name, options, pid }) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(name.service.to_string(), "192.0.2.1:80");
        assert_eq!(name.process.to_string(), "10.77.0.1:8080");
        let expected = ProcessSettings::default().weight(7).cpus("0-3,8");
        assert_eq!(options.settings(), expected);
        assert_eq!(pid, Some(12));
    }

    #[test]
    fn a_weight_beyond_the_largest_is_a_usage_error() {
        for line in [
            "process add 192.0.2.1:80 10.77.0.1:80 --weight 65536",
            "process set 192.0.2.1:80 10.77.0.1:80 --weight -1",
            "process set 192.0.2.1:80 10.77.0.1:80 --state asleep",
            "process drain 192.0.2.1:80 10.77.0.1:80 --timeout 0",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_drain_takes_a_timeout_and_may_be_waited_for() {
        let cli = parse("process drain 192.0.2.1:80 10.77.0.1:80 --timeout 90s --wait").unwrap();
        let Command::Process(ProcessCommand::Drain { timeout, wait, .. }) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!((timeout, wait), (Some(Duration::from_secs(90)), true));
    }

    #[test]
    fn a_replacement_gives_the_new_process_half_a_minute_to_listen() {
        let line = "replace 192.0.2.1:80 10.77.0.1:80 10.77.0.2:80";
        let Command::Replace(settings) = parse(line).unwrap().command else {
            panic!("not a replacement");
        };
        assert_eq!(settings.timeout, Duration::from_secs(30));
        assert_eq!((settings.drain_timeout, settings.wait), (None, false));
    }
}
