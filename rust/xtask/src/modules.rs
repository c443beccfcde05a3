// SPDX-License-Identifier: GPL-2.0

//! Building the kernel module.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{ensure, Context, Result};
use rustix::fs::FlockOperation;

use crate::kernel::Kernel;
use crate::{paths, setup};

/// The module's file.
const MODULE: &str = "tcp_dispatch.ko";

/// A module that the selftests load beside it.
const SELFTEST_MODULE: &str = "hook_on_top.ko";

/// Arguments of `cargo xtask modules`.
#[derive(clap::Args)]
pub struct Args {
    /// The kernel to build for
    #[arg(long, value_enum, default_value_t = Kernel::Stock)]
    kernel: Kernel,
}

/// Builds tcp_dispatch.ko and prints where it is.
pub fn run(args: Args) -> Result<ExitCode> {
    setup::ensure_kernel(args.kernel.name())?;
    let built = build(args.kernel.name())?;
    println!("{}", built.module.display());
    Ok(ExitCode::SUCCESS)
}

/// What a build makes.
pub struct Built {
    /// `tcp_dispatch.ko`
    pub module: PathBuf,
    /// The module that the selftests load beside it.
    pub selftest_module: PathBuf,
}

/// Builds the modules for the kernel called `kernel` in the build root.
pub fn build(kernel: &str) -> Result<Built> {
    let out = paths::build().join("modules").join(kernel);
    make(Kernel::named(kernel)?, &out, &["TCP_DISPATCH_SELFTESTS=m"])?;
    let made = |name| {
        find(&out, name).with_context(|| format!("the build made no {name} in {}", out.display()))
    };
    Ok(Built {
        module: made(MODULE)?,
        selftest_module: made(SELFTEST_MODULE)?,
    })
}

/// Builds everything of the checkout's `Kbuild` into `out`, with further arguments of `make`.
pub fn make(kernel: Kernel, out: &Path, arguments: &[&str]) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("can't make {}", out.display()))?;
    // Two builds in one directory would spoil each other.
    let lock = File::create(out.join("lock"))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    let mut command = kernel.make();
    command
        .args(["--silent", "--no-print-directory"])
        .arg(format!("M={}", paths::checkout().display()))
        .arg(format!("MO={}", out.display()))
        .args(arguments)
        // Standard output is for what the caller prints.
        .stdout(std::io::stderr())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("can't enter the build root")?;
    let messages = BufReader::new(child.stderr.take().expect("it is piped"));
    for message in messages.lines() {
        let message = message?;
        // There is no vmlinux to make BTF against, nor need of BTF.
        if !message.starts_with("Skipping BTF generation for ") {
            eprintln!("{message}");
        }
    }
    let status = child.wait()?;
    ensure!(
        status.success(),
        "the module doesn't build for the {} kernel: see the messages above",
        kernel.name()
    );
    Ok(())
}

/// The file called `name` in `dir` or below.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<_> = fs::read_dir(dir).ok()?.flatten().collect();
    let here = entries
        .iter()
        .find(|entry| entry.file_name() == name)
        .map(|entry| entry.path());
    here.or_else(|| {
        let dirs = entries
            .iter()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        dirs.map(|entry| entry.path())
            .find_map(|dir| find(&dir, name))
    })
}
