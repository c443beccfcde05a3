// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask test`: every test, on the host and in the VM.

mod host;
mod ktap;
mod kunit;
pub mod selftests;
pub mod tally;

use std::process::ExitCode;

use anyhow::Result;

use crate::setup;
use crate::vm::MachineArgs;
use tally::Tally;

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    machine: MachineArgs,
    /// Run only the selftests whose `file: title` matches, and no tests on the host
    #[arg(long, value_name = "REGEX", conflicts_with = "host_only")]
    filter: Option<String>,
    /// How many VMs share the selftests [default: one a core, four at most; 1 with --filter]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64))]
    vms: Option<u32>,
    /// Run only the selftests
    #[arg(long)]
    vm_only: bool,
    /// Run only the tests that need no VM
    #[arg(long, conflicts_with = "vm_only")]
    host_only: bool,
}

/// Runs the tests; the last line says what came of them.
pub fn run(args: Args) -> Result<ExitCode> {
    if !args.host_only {
        setup::ensure(&args.machine.kernel)?;
    }
    let mut tally = Tally::default();
    if !args.vm_only && args.filter.is_none() {
        host::run(&mut tally)?;
    }
    if !args.host_only {
        let vms = args.vms.unwrap_or_else(|| match args.filter {
            Some(_) => 1,
            None => vms(),
        });
        tally = selftests::run(args.machine, vms, args.filter, tally)?;
    }
    Ok(tally.finish())
}

/// How many VMs this computer runs at a time. Most of the time tests wait, so that the second CPU
/// of each is hardly missed.
fn vms() -> u32 {
    const MOST: usize = 4;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(MOST) as u32
}
