// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask profile`: where the instructions go that one dispatcher takes and another doesn't.

mod difference;
pub mod plugin;
mod report;
pub mod symbols;
pub mod windows;

use std::process::ExitCode;

use anyhow::{ensure, Context, Result};

use crate::setup;
use crate::vm::job::{Input, Job, Output, Plugin};
use crate::vm::pump::Kept;
use crate::vm::{self, MachineArgs};
use difference::Difference;

/// What executes the operations, in the guest, and says how many there were.
const BENCH: &str = "/opt/tcp_dispatch/selftests/bench/profile";

/// How long that may take: QEMU counts as it goes.
const SECONDS: u64 = 1200;

/// Arguments of `cargo xtask profile`.
#[derive(clap::Args)]
pub struct Args {
    /// What the client does with the daemon
    #[arg(long, default_value = "round-trip", value_parser = ["round-trip", "connect", "echo", "unrelated"])]
    operation: String,
    /// Where the client is: in another network namespace than the daemon, or in the same
    #[arg(long, default_value = "remote", value_parser = ["remote", "local"])]
    client: String,
    /// How many functions are shown, those first that differ most
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    top: usize,
    /// Print JSON, with every function
    #[arg(long, conflicts_with = "top")]
    json: bool,
    /// The dispatcher to look at
    #[arg(default_value = "tcp_dispatch")]
    dispatcher: String,
    /// The one to compare it with; direct is none
    #[arg(default_value = "direct")]
    against: String,
}

/// Runs the bench in the VM and prints how the two dispatchers differ.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::ensure("stock")?;
    let (plugin, written) = plugin::load("instructions")?;
    let mut command = vec![BENCH];
    command.extend(["--operation", &args.operation, "--client", &args.client]);
    command.extend([&*args.against, &*args.dispatcher]);
    eprintln!("counting instructions in a VM");
    let said = boot(1, plugin, command)?;

    let counts = windows::counts(&plugin::text(written)?)?;
    let windows = windows::pair([&args.against, &args.dispatcher], &said, counts)?;
    let difference = Difference::of(&windows);
    if args.json {
        print!("{}", report::json(&args, &difference));
    } else {
        print!("{}", report::table(&args, &difference));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the bench that `command` is, on so many CPUs, and returns what it said.
pub fn boot(cpus: u32, plugin: Plugin, command: Vec<&str>) -> Result<String> {
    let said = Kept::default();
    let outcome = vm::boot(Job {
        machine: MachineArgs {
            kernel: "stock".into(),
            kvm: false,
            icount: true,
            cpus,
            memory: None,
        },
        module: true,
        share: None,
        plugin: Some(plugin),
        input: Input::None,
        output: Output::To(said.sink()),
        timeout: Some(std::time::Duration::from_secs(SECONDS)),
        command: command.into_iter().map(Into::into).collect(),
    })?;
    let status = match outcome.verdict {
        Ok(status) => status,
        Err(_) => anyhow::bail!(outcome.failure().unwrap_or_default()),
    };
    ensure!(
        status == 0,
        "the bench in the guest ended with status {status}: see what it says above"
    );
    String::from_utf8(said.take()).context("the guest's output is no text")
}
