// SPDX-License-Identifier: GPL-2.0

//! The command line.

// Help is shown as it is written; an address in brackets is no link there.
#![allow(rustdoc::broken_intra_doc_links)]

mod connection;
mod process;
mod run;
mod service;
mod values;

pub use connection::ConnectionCommand;
pub use process::{ProcessCommand, ProcessName, ReplaceSettings};
pub use run::RunSettings;
pub use service::{ServiceCommand, ServiceOptions};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use tcp_dispatch_netlink::Prefix;

/// Control tcp_dispatch, which gives each connection to a service address to
/// one of the processes that serve it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Work in this network namespace: a name that `ip netns` knows, or a path.
    #[arg(long, global = true, value_name = "NAME")]
    pub netns: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Services: the addresses that clients connect to.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Processes: the listeners that serve a service.
    #[command(subcommand)]
    Process(ProcessCommand),
    /// Connections: which process serves which client.
    #[command(subcommand)]
    Connection(ConnectionCommand),
    /// Replace a process of a service by another, without losing a connection.
    ///
    /// Registers the new process if it isn't, with the weight and the CPUs of
    /// the old one, waits until it listens, and then lets the old one drain.
    /// If the new one doesn't listen in time, nothing has changed.
    Replace(ReplaceSettings),
    /// Run a daemon that serves a service.
    ///
    /// Starts the daemon, and registers it so that it gets connections as soon
    /// as it listens on its address. In COMMAND, {address} and {port} are
    /// filled in; the environment has TCP_DISPATCH_ADDRESS, TCP_DISPATCH_PORT
    /// and TCP_DISPATCH_SERVICE. The address stands alone, without brackets:
    /// with a port it is {address}:{port} for IPv4 and [{address}]:{port} for
    /// IPv6. The daemon must stay in the foreground.
    ///
    /// The registration belongs to the daemon and ends with it. SIGTERM lets
    /// it drain and is then passed on to the daemon; a second SIGTERM ends the
    /// draining. SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are
    /// passed on as they come. The exit status is the daemon's, or 128 and the
    /// number of the signal that killed it. If dispatchctl itself is killed,
    /// the daemon gets a SIGTERM, unless it is a program that runs with
    /// somebody else's rights.
    Run(RunSettings),
    /// Print what happens, one line an event, until it is interrupted.
    Monitor {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show whether the layer is loaded and set up, and what it does.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set up what the layer needs in a network namespace.
    ///
    /// Loads the module if need be, creates the two devices, routes the range
    /// of process addresses and sets it as the process prefix. Running it again
    /// mends what is missing, of ranges that were set up before as well. If a
    /// step fails, those before it are undone.
    ///
    /// For a range of IPv6 it sets the sysctl net.ipv6.ip_nonlocal_bind of the
    /// namespace to 1, if it isn't, and says so: otherwise the addresses could
    /// not be bound. `down` leaves it, since others may need it by then.
    Up(UpSettings),
    /// Remove what `up` set up, but for the sysctl net.ipv6.ip_nonlocal_bind.
    Down {
        /// Remove the services and their processes as well.
        #[arg(long)]
        force: bool,
    },
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands to a directory.
    Man {
        /// The directory.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// The range of IPv4 that is set up unless another is given.
const RANGE: &str = "10.77.0.0/16";
/// A range of IPv6 to propose: a unique local one, which is routed nowhere. It
/// is not set up unasked, since IPv6 needs a sysctl besides.
pub const RANGE_IPV6: &str = "fd77:6470::/64";

/// How to set up a network namespace.
#[derive(Args, Clone, Debug)]
pub struct UpSettings {
    /// The range that process addresses are taken from. Given twice, one of
    /// IPv4 and one of IPv6; there is none of IPv6 unless it is given, as in
    /// fd77:6470::/64.
    #[arg(long, default_value = RANGE, value_name = "RANGE", value_parser = values::prefix)]
    pub range: Vec<Prefix>,
    /// The routing table of what process addresses send.
    #[arg(long, default_value_t = 77, value_name = "TABLE", value_parser = table)]
    pub table: u32,
    /// How many connections the connection table may hold.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Put the layer's rule before that of the local table, which moves from
    /// preference 0 to 2: netfilter then sees client and service alone also of
    /// clients on this computer.
    #[arg(long)]
    pub before_local: bool,
}

/// A routing table that is not one of the kernel's own.
fn table(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0 | 253..=255) => Err("0 and 253 to 255 are the kernel's own tables".to_owned()),
        Ok(table) => Ok(table),
        Err(_) => Err("a routing table is named by a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    pub fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["dispatchctl"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_network_namespace_may_be_named_before_and_after_the_command() {
        for line in ["--netns blue service list", "service list --netns blue"] {
            assert_eq!(parse(line).unwrap().netns, Some(PathBuf::from("blue")));
        }
    }

    #[test]
    fn an_address_without_a_port_is_a_usage_error() {
        let error = parse("service add 192.0.2.1").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("IP:PORT"), "{error}");
    }

    #[test]
    fn up_takes_the_documented_defaults() {
        let Command::Up(settings) = parse("up").unwrap().command else {
            panic!("not up");
        };
        let ranges: Vec<_> = settings.range.iter().map(Prefix::to_string).collect();
        assert_eq!(ranges, ["10.77.0.0/16"]);
        assert_eq!(settings.table, 77);
        assert_eq!(settings.max_connections, None);
    }

    #[test]
    fn up_takes_a_range_of_each_family() {
        let ranges = |line| match parse(line).unwrap().command {
            Command::Up(settings) => settings.range,
            other => panic!("{other:?}"),
        };
        let [ipv4, ipv6] = ["10.77.0.0/16", RANGE_IPV6].map(|range| range.parse().unwrap());
        assert_eq!(
            ranges("up --range 10.77.0.0/16 --range fd77:6470::/64"),
            [ipv4, ipv6]
        );
        assert_eq!(ranges("up --range fd77:6470::/64"), [ipv6]);
    }

    #[test]
    fn up_refuses_a_range_that_is_none_and_the_kernels_own_tables() {
        for line in [
            "up --range 10.77.0.1/16",
            "up --range fd77:6470::1/64",
            "up --range fd77:6470::/129",
            "up --range fe80::/64",
            "up --range ff05::/64",
            "up --range ::ffff:10.77.0.0/112",
            "up --table 254",
            "up --max-connections 0",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
