// SPDX-License-Identifier: GPL-2.0

//! The daemon and the client of the benchmarks, which run in the VM.
//!
//! Both do as little as they can, so that what is counted is the kernel's.

mod marker;
mod measure;
mod operation;
mod serve;

use std::net::SocketAddr;

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
    },
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Serve { address, reuseport } => serve::serve(address, reuseport),
        Command::Measure {
            address,
            operation,
            operations,
            batches,
        } => measure::measure(address, operation, operations, batches),
    }
}
