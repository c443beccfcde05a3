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
        tally = selftests::run(args.machine, args.filter, tally)?;
    }
    Ok(tally.finish())
}
