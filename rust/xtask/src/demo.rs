// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask demo`: the main job, shown with real daemons in the VM.

use std::process::ExitCode;

use anyhow::Result;

use crate::setup;
use crate::vm::job::{Input, Job, Output};
use crate::vm::{self, MachineArgs};

/// The script that shows it, in the guest.
const SCRIPT: &str = "/opt/tcp_dispatch/selftests/demo";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    machine: MachineArgs,
}

/// Sets up what is missing and shows the demo.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::ensure(&args.machine.kernel)?;
    eprintln!("booting Linux in a VM");
    let job = Job {
        timeout: Some(args.machine.timeout(120)),
        machine: args.machine,
        module: true,
        share: None,
        plugin: None,
        input: Input::None,
        output: Output::Ours,
        command: vec![SCRIPT.into()],
    };
    vm::boot(job)?.status()
}
