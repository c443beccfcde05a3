// SPDX-License-Identifier: GPL-2.0

//! Set-up: all that demo and tests need besides this checkout, made once and kept in the cache.

mod apt;
mod check;
mod contained;
mod mirror;
pub mod packages;
pub mod progress;
pub mod source;
pub mod step;

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{anyhow, Result};

pub use mirror::{mirror, sources};

use crate::kernel::Kernel;
use crate::{buildroot, guest, paths};
use progress::Progress;
use step::Step;

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// The kernel to prepare
    #[arg(long, value_enum, default_value_t = Kernel::Stock)]
    kernel: Kernel,
}

/// Makes what is missing.
pub fn run(args: Args) -> Result<ExitCode> {
    ensure(args.kernel.name())?;
    eprintln!(
        "Ready: all that the {} kernel needs is in {}",
        args.kernel.name(),
        paths::cache().display()
    );
    Ok(ExitCode::SUCCESS)
}

/// The guest's root file system.
const GUEST: Step = Step {
    name: "guest image",
    why: "the programs that demo and tests run in the VM",
    size: 500,
    downloads: true,
    inputs: || {
        Ok(format!(
            "{}{}",
            step::made(&buildroot::STEP),
            guest_sources()?
        ))
    },
    make: |task| {
        let image = paths::guest_image();
        let new = step::workplace(&image)?;
        task.at("making a Debian tree and packing it");
        guest::build(&new)?;
        step::install(&image)
    },
};

/// The text of the code that makes the guest's image: whatever changes there makes it anew.
fn guest_sources() -> Result<String> {
    let source = paths::checkout().join("rust/xtask/src");
    let mut files = vec![source.join("guest.rs")];
    files.extend(
        fs::read_dir(source.join("guest"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    files.sort();
    let texts = files
        .iter()
        .filter(|path| path.is_file())
        .map(fs::read_to_string);
    Ok(texts.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Makes all that is missing to boot the kernel called `name`.
pub fn ensure(name: &str) -> Result<()> {
    let kernel = Kernel::named(name)?;
    make(&[kernel.step(), &GUEST])
}

/// Makes all that is missing to build for the kernel called `name`.
pub fn ensure_kernel(name: &str) -> Result<()> {
    make(&[Kernel::named(name)?.step()])
}

/// Makes what is missing to run the kernel source's own tools.
pub fn ensure_source() -> Result<()> {
    make(&[])
}

/// Every step leaves a stamp when it is done, so an interrupted set-up goes on where it was.
fn make(last: &[&Step]) -> Result<()> {
    let mut steps = vec![&buildroot::STEP, &packages::STEP, &source::STEP];
    steps.extend(last);
    if steps.iter().all(|step| step.is_done()) {
        return Ok(());
    }
    let (started, progress) = (Instant::now(), Progress::new());
    let missing = || steps.iter().filter(|step| !step.is_done());
    check::all(&progress, missing().map(|step| step.size).sum())?;
    progress.note(&format!(
        "Setting up in {}; it is made once and kept:",
        paths::cache().display()
    ));
    if missing().any(|step| step.downloads) {
        let name = "package lists";
        let _lock = step::lock(name, &progress)?;
        let task = progress.begin(name, &format!("asking {} what there is", mirror()));
        apt::Apt::update(packages::SUITE, &task)?;
        task.done();
    }
    // Downloads wait for the network while packages are unpacked; the guest's packages are
    // unpacked while compilers run.
    both(
        || buildroot::STEP.run(&progress),
        || {
            packages::STEP.run(&progress)?;
            source::STEP.run(&progress)
        },
    )?;
    match last {
        [kernel, guest] => both(|| kernel.run(&progress), || guest.run(&progress))?,
        others => others.iter().try_for_each(|step| step.run(&progress))?,
    }
    progress.note(&format!(
        "Set up in {}.",
        progress::seconds(started.elapsed())
    ));
    Ok(())
}

/// Does two things at a time; the first error counts.
fn both(
    a: impl FnOnce() -> Result<()> + Send,
    b: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let other = scope.spawn(b);
        let first = a();
        let second = other
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread of set-up panicked")));
        first.and(second)
    })
}
