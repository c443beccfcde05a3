// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask vm`: a command, or a shell, in the VM.

pub mod child;
pub mod console;
mod initramfs;
pub mod job;
mod kernel;
mod machine;
pub mod pump;
mod run;
mod stage;
mod terminal;
mod watch;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::{paths, setup};
use job::{Input, Job, Output};
pub use run::Outcome;

/// Arguments of `cargo xtask vm`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    machine: MachineArgs,
    /// A directory that the guest sees, and may write to, at /share
    #[arg(long, value_name = "DIR")]
    share: Option<PathBuf>,
    /// Don't load the kernel module
    #[arg(long)]
    no_module: bool,
    /// Give the command a terminal, as a shell has without being asked for
    #[arg(short, long)]
    tty: bool,
    /// How long the command may take [default: 600; 2400 with the debug kernel]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// What runs in the VM [default: an interactive shell]
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Which machine it is, for every subcommand that boots one.
#[derive(Clone, clap::Args)]
pub struct MachineArgs {
    /// The kernel: Debian's own, or one that checks itself
    #[arg(long, default_value = "stock", value_parser = ["stock", "debug"])]
    pub kernel: String,
    /// Use KVM; without it QEMU emulates the CPUs, which works anywhere
    #[arg(long)]
    pub kvm: bool,
    /// Advance the guest's clock by one nanosecond an instruction: times measured in the guest are
    /// counts of instructions, which repeat
    #[arg(long, conflicts_with = "kvm")]
    pub icount: bool,
    /// How many CPUs the guest has [default: 2; 1 with --icount]
    #[arg(
        long,
        default_value = "2",
        default_value_if("icount", "true", "1"),
        hide_default_value = true
    )]
    pub cpus: u32,
    /// How much memory the guest has, in megabytes [default: 2048; 4096 with the debug kernel]
    #[arg(long, value_name = "MEGABYTES")]
    pub memory: Option<u32>,
}

impl MachineArgs {
    /// How long something may take that takes `seconds` on Debian's kernel.
    pub fn timeout(&self, seconds: u64) -> Duration {
        Duration::from_secs(if self.kernel == "debug" {
            4 * seconds
        } else {
            seconds
        })
    }

    /// The guest's memory in megabytes.
    pub fn megabytes(&self) -> u32 {
        self.memory
            .unwrap_or(if self.kernel == "debug" { 4096 } else { 2048 })
    }
}

/// Boots a VM for `job` and sees it through.
pub fn boot(job: Job) -> Result<Outcome> {
    Ok(boot_all(vec![job])?.remove(0))
}

/// Boots a VM for each job, all at a time, and sees them through. They are of one kernel, and all
/// with its module or all without.
pub fn boot_all(jobs: Vec<Job>) -> Result<Vec<Outcome>> {
    let kernel = jobs[0].machine.kernel.clone();
    let stage = stage::image(&kernel, jobs[0].module)?;
    let log = |number| {
        let number = match number {
            0 => String::new(),
            _ => format!("-{}", number + 1),
        };
        paths::build().join(format!("console-{kernel}{number}.log"))
    };
    thread::scope(|scope| {
        let runs: Vec<_> = jobs
            .into_iter()
            .enumerate()
            .map(|(number, job)| (job, log(number)))
            .map(|(job, log)| scope.spawn(|| run::run(job, &stage, log)))
            .collect();
        runs.into_iter()
            .map(|run| run.join().expect("a run doesn't panic"))
            .collect()
    })
}

/// Boots the VM, runs the command and exits with its status.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::ensure(&args.machine.kernel)?;
    let shell = args.command.is_empty() && std::io::stdin().is_terminal();
    let timeout = match args.timeout {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        // People take their time.
        None if shell => None,
        None => Some(args.machine.timeout(600)),
    };
    let job = Job {
        machine: args.machine,
        module: !args.no_module,
        share: args.share,
        plugin: None,
        input: if shell || args.tty {
            Input::Terminal
        } else {
            Input::Ours
        },
        output: Output::Ours,
        timeout,
        command: args.command,
    };
    boot(job)?.status()
}
