// SPDX-License-Identifier: GPL-2.0

//! The daemon and the client of the benchmarks, which run in the VM.
//!
//! Both do as little as they can, so that what is counted is the kernel's.

mod conntrack;
mod fill;
mod idle;
mod ipvs;
mod load;
mod marker;
mod measure;
mod netlink;
mod operation;
mod serve;
mod sk_lookup;

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use operation::Operation;

/// The daemon and the client of the benchmarks.
#[derive(Parser)]
#[command(name = "bench")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve one client after the other
    Serve {
        /// Where to listen
        #[arg(value_name = "ADDRESS:PORT")]
        address: SocketAddr,
        /// Share the address with others that do so, too
        #[arg(long)]
        reuseport: bool,
        /// Serve as many at a time, each in a process of its own, on the CPU that it connected by
        #[arg(long, value_name = "NUMBER")]
        apart: Option<usize>,
    },
    /// Tell each client who answers
    Answer {
        /// Where to listen
        #[arg(value_name = "ADDRESS:PORT")]
        address: SocketAddr,
        /// How much memory to have in use
        #[arg(long, value_name = "BYTES", default_value_t = 0)]
        ballast: usize,
    },
    /// Connect at a steady rate until standard input ends, ask who answers, and print all as JSON
    Load {
        /// Where to
        #[arg(value_name = "ADDRESS:PORT")]
        address: SocketAddr,
        /// How many times a second
        #[arg(long)]
        rate: f64,
        /// How long a connection may take
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
    /// Measure an operation, and print a line of JSON
    Measure {
        /// Where the daemon is
        #[arg(value_name = "ADDRESS:PORT")]
        address: SocketAddr,
        /// What is done
        #[arg(long)]
        operation: Operation,
        /// How many times it is done for one number
        #[arg(long, default_value_t = 100)]
        operations: u32,
        /// Of how many numbers the median counts
        #[arg(long, default_value_t = 11)]
        batches: u32,
        /// How long to sleep between them, so that what runs every now and then is not in all
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
        pause: u64,
        /// Another daemon, with whom a byte is exchanged between them
        #[arg(long, value_name = "ADDRESS:PORT")]
        meanwhile: Option<SocketAddr>,
        /// When all is ready say `ready`, and wait for a line of standard input
        #[arg(long)]
        wait: bool,
    },
    /// Give the connections of a service to listeners of processes, by BPF sk_lookup
    SkLookup {
        /// The service
        #[arg(value_name = "ADDRESS:PORT")]
        service: SocketAddr,
        /// The daemons
        #[arg(value_name = "PID", required = true)]
        pids: Vec<i32>,
    },
    /// Keep idle connections of a process, whose clients aren't there
    Idle {
        /// The service
        #[arg(value_name = "ADDRESS:PORT")]
        service: SocketAddrV4,
        /// The process that they are assigned to
        #[arg(value_name = "ADDRESS:PORT")]
        process: SocketAddrV4,
        /// How many
        number: u32,
    },
    /// Give tcp_dispatch's table entries of other connections
    Connections {
        /// The service
        #[arg(value_name = "ADDRESS:PORT")]
        service: SocketAddrV4,
        /// The process that they are assigned to
        #[arg(value_name = "ADDRESS:PORT")]
        process: SocketAddrV4,
        /// How many
        number: u32,
    },
    /// Add other services to tcp_dispatch
    Services {
        /// The service; the others are at the ports behind its own
        #[arg(value_name = "ADDRESS:PORT")]
        service: SocketAddr,
        /// The process that serves them all
        #[arg(value_name = "ADDRESS:PORT")]
        process: SocketAddr,
        /// How many
        number: u16,
    },
    /// Give IPVS, whose backup daemon hears of them by lo, entries of other connections
    IpvsConnections {
        /// The service
        #[arg(value_name = "ADDRESS:PORT")]
        service: SocketAddrV4,
        /// The process that they are assigned to
        #[arg(value_name = "ADDRESS:PORT")]
        process: SocketAddrV4,
        /// How many
        number: u32,
    },
    /// Give connection tracking entries of other connections, whose destination is translated
    ConntrackConnections {
        /// The service
        #[arg(value_name = "ADDRESS:PORT")]
        service: SocketAddrV4,
        /// The process that they are assigned to
        #[arg(value_name = "ADDRESS:PORT")]
        process: SocketAddrV4,
        /// How many
        number: u32,
    },
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Serve {
            address,
            reuseport,
            apart,
        } => serve::serve(address, reuseport, apart),
        Command::Answer { address, ballast } => load::answer(address, ballast),
        Command::Load {
            address,
            rate,
            timeout,
        } => load::load(address, rate, Duration::from_secs(timeout)),
        Command::Measure {
            address,
            operation,
            operations,
            batches,
            pause,
            meanwhile,
            wait,
        } => measure::measure(
            address,
            operation,
            measure::Batches {
                number: batches,
                operations,
                pause: Duration::from_millis(pause),
                meanwhile,
                wait,
            },
        ),
        Command::SkLookup { service, pids } => sk_lookup::run(service, &pids),
        Command::Idle {
            service,
            process,
            number,
        } => idle::run(service, process, number),
        Command::Connections {
            service,
            process,
            number,
        } => fill::connections(service, process, number),
        Command::Services {
            service,
            process,
            number,
        } => fill::services(service, process, number),
        Command::IpvsConnections {
            service,
            process,
            number,
        } => ipvs::connections(service, process, number),
        Command::ConntrackConnections {
            service,
            process,
            number,
        } => conntrack::connections(service, process, number),
    }
}
