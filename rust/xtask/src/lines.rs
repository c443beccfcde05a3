// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask lines`: which cache lines that CPUs share the packets of established connections write,
//! and which locks they take.

mod report;
mod seen;
mod shared;

use std::process::ExitCode;

use anyhow::Result;

use crate::profile::symbols::Symbols;
use crate::profile::{self, plugin, windows};
use crate::setup;
use shared::Shared;

/// What does round trips on all CPUs at once, in the guest, and says how many there were.
const BENCH: &str = "/opt/tcp_dispatch/selftests/bench/lines";

/// How many CPUs there are: what two don't share, more don't.
const CPUS: u32 = 2;

/// What dispatchers are compared with: none.
const DIRECT: &str = "direct";

/// Arguments of `cargo xtask lines`.
#[derive(clap::Args)]
pub struct Args {
    /// The dispatchers to look at, besides none
    #[arg(default_value = "tcp_dispatch")]
    dispatchers: Vec<String>,
}

/// Runs the bench in the VM, and prints what was shared. It fails if the module shares.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::ensure("stock")?;
    let mut dispatchers = vec![DIRECT];
    dispatchers.extend(args.dispatchers.iter().map(String::as_str));
    let (plugin, written) = plugin::load("lines")?;
    let mut command = vec![BENCH];
    command.extend(&dispatchers);
    eprintln!("watching cache lines in a VM");
    let said = profile::boot(CPUS, plugin, command)?;

    let seen = seen::windows(&plugin::text(written)?)?;
    let windows = windows::matched(&dispatchers, &said, seen)?;
    let windows = windows
        .into_iter()
        .map(|(run, symbols, seen)| {
            let symbols = Symbols::parse(symbols)?;
            Ok(Shared::of(&seen, CPUS, run.operations, &symbols))
        })
        .collect::<Result<Vec<_>>>()?;
    print!("{}", report::tables(&dispatchers, &windows));
    let complaints = report::complaints(&dispatchers, &windows);
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    Ok(if complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
