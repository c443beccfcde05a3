// SPDX-License-Identifier: GPL-2.0

//! The command line.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use tcp_dispatch_netlink::{Address, Prefix};

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
    /// mends what is missing. If a step fails, those before it are undone.
    Up(UpSettings),
    /// Remove what `up` set up.
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

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Add a service.
    Add {
        /// The address that clients connect to, as in 192.0.2.1:80.
        service: Address,
    },
    /// Delete a service and its registrations. Its connections go on.
    Del {
        /// The address that clients connect to.
        service: Address,
    },
    /// List the services.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with processes.
#[derive(Debug, Subcommand)]
pub enum ProcessCommand {
    /// Register a process for a service.
    Add {
        /// The service's address, as in 192.0.2.1:80.
        service: Address,
        /// The address that the process listens on, as in 10.77.0.1:80.
        process: Address,
    },
    /// Delete a registration. The process's connections go on.
    Del {
        /// The service's address.
        service: Address,
        /// The address that the process listens on.
        process: Address,
    },
    /// List the processes of a service, or all.
    List {
        /// The service's address.
        service: Option<Address>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with connections.
#[derive(Debug, Subcommand)]
pub enum ConnectionCommand {
    /// Assign a client's connection to a process before its first packet.
    Add {
        /// The client's address.
        client: Address,
        /// The service's address.
        service: Address,
        /// The address that the process listens on.
        process: Address,
    },
    /// Delete a connection's entry. The client's next packet resets it.
    Del {
        /// The client's address.
        client: Address,
        /// The service's address.
        service: Address,
    },
    /// List the connections.
    List {
        /// Only those of this service.
        #[arg(long, value_name = "ADDRESS")]
        service: Option<Address>,
        /// Only those of this process address.
        #[arg(long, value_name = "ADDRESS")]
        process: Option<Address>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How to set up a network namespace.
#[derive(Args, Clone, Debug)]
pub struct UpSettings {
    /// The range that process addresses are taken from.
    #[arg(long, default_value = "10.77.0.0/16", value_name = "RANGE")]
    pub range: Prefix,
    /// The routing table of what process addresses send.
    #[arg(long, default_value_t = 77, value_name = "TABLE", value_parser = table)]
    pub table: u32,
    /// How many connections the connection table may hold.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
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

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["dispatchctl"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_process_is_named_by_two_addresses() {
        let cli = parse("process add 192.0.2.1:80 10.77.0.1:8080").unwrap();
        let Command::Process(ProcessCommand::Add { service, process }) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(service.to_string(), "192.0.2.1:80");
        assert_eq!(process.to_string(), "10.77.0.1:8080");
    }

    #[test]
    fn the_network_namespace_may_be_named_before_and_after_the_command() {
        for line in ["--netns blue service list", "service list --netns blue"] {
            assert_eq!(parse(line).unwrap().netns, Some(PathBuf::from("blue")));
        }
    }

    #[test]
    fn an_address_without_a_port_is_a_usage_error() {
        assert_eq!(parse("service add 192.0.2.1").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn up_takes_the_documented_defaults() {
        let Command::Up(settings) = parse("up").unwrap().command else {
            panic!("not up");
        };
        assert_eq!(settings.range.to_string(), "10.77.0.0/16");
        assert_eq!(settings.table, 77);
        assert_eq!(settings.max_connections, None);
    }

    #[test]
    fn up_refuses_a_range_that_is_none_and_the_kernels_own_tables() {
        for line in [
            "up --range 10.77.0.1/16",
            "up --table 254",
            "up --max-connections 0",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
