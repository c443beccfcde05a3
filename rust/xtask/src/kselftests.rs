// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask kselftests`: the kernel's own selftests of TCP, without the module and with it.

mod programs;

use std::process::ExitCode;

use anyhow::Result;

use crate::setup;
use crate::test::selftests;
use crate::test::tally::Tally;
use crate::vm::job::{Input, Job, Output};
use crate::vm::MachineArgs;

/// What runs and compares them, in the guest.
const RUNNER: &str = "/opt/tcp_dispatch/selftests/kselftests/run";

/// How long it may take: those that differ run three times each way.
const SECONDS: u64 = 3 * 3600;

/// Arguments of `cargo xtask kselftests`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    machine: MachineArgs,
    /// Run those that take minutes, too
    #[arg(long)]
    all: bool,
    /// Only build them, and print where they are
    #[arg(long)]
    build: bool,
    /// Run only those whose name matches
    #[arg(value_name = "REGEX")]
    pattern: Option<String>,
}

/// Builds them, runs them in the VM, and shows where the module makes a difference.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::ensure(&args.machine.kernel)?;
    eprintln!("building the kernel's selftests");
    let share = programs::build(&args.machine.kernel)?;
    if args.build {
        println!("{}", share.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = vec![RUNNER.into()];
    if args.all {
        command.push("--all".into());
    }
    command.extend(args.pattern.map(Into::into));

    let mut tally = Tally::default();
    tally.begin(&format!(
        "The kernel's own selftests in the VM, {} kernel",
        args.machine.kernel
    ));
    let job = Job {
        timeout: Some(args.machine.timeout(SECONDS)),
        machine: args.machine,
        module: true,
        share: Some(share.clone()),
        plugin: None,
        input: Input::None,
        output: Output::Ours,
        command,
    };
    let (mut tally, runs) = selftests::reported(vec![job], tally)?;
    for run in runs {
        run.judge(&mut tally);
    }
    println!("what each run said: {}", share.join("log").display());
    Ok(tally.finish())
}
