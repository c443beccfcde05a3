// SPDX-License-Identifier: GPL-2.0

//! The kernels that the VM boots and the module is built for.

mod debug;
mod stock;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{bail, ensure, Context, Result};

use crate::setup::progress::Task;
use crate::setup::step::{self, Step};
use crate::{buildroot, paths};

/// A kernel of the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kernel {
    /// Debian's own, unmodified
    Stock,
    /// The same source with the kernel's checkers built in
    Debug,
}

impl Kernel {
    /// The kernel called `name`.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "stock" => Ok(Self::Stock),
            "debug" => Ok(Self::Debug),
            _ => bail!("there is no kernel \"{name}\": it is stock or debug"),
        }
    }

    /// What it is called on the command line and in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Debug => "debug",
        }
    }

    /// The step of set-up that makes it.
    pub fn step(self) -> &'static Step {
        match self {
            Self::Stock => &stock::STEP,
            Self::Debug => &debug::STEP,
        }
    }

    /// The compiler of its C, as an argument of `make`.
    fn compiler(self) -> &'static str {
        match self {
            Self::Stock => "CC=x86_64-linux-gnu-gcc-14",
            Self::Debug => "CC=clang-19",
        }
    }

    /// `make` for this kernel's output tree, in the build root.
    pub fn make(self) -> Command {
        let jobs = thread::available_parallelism().map_or(1, |jobs| jobs.get());
        let mut command = buildroot::command("make");
        command
            .arg("-C")
            .arg(paths::linux_source())
            .arg(format!(
                "O={}",
                paths::kernel(self.name()).join("build").display()
            ))
            .arg(format!("-j{jobs}"))
            .arg(self.compiler());
        command
    }

    /// Empties the kernel's directory unless it is a beginning of what `inputs` will make: `make`
    /// goes on where it was interrupted.
    fn begin(self, inputs: &str) -> Result<()> {
        let dir = paths::kernel(self.name());
        let note = dir.join("inputs");
        if fs::read_to_string(&note).is_ok_and(|begun| begun == inputs) {
            return Ok(());
        }
        step::remove(&dir)?;
        fs::create_dir_all(dir.join("build"))?;
        step::write_whole(&note, inputs)
    }

    /// Lists the kernel's modules for `modprobe`.
    fn depmod(self, release: &str, task: &Task) -> Result<()> {
        let mut depmod = buildroot::command("depmod");
        task.run(
            depmod
                .arg("--basedir")
                .arg(paths::kernel(self.name()).join("modules"))
                .arg(release),
        )
    }
}

/// Fails unless `config` has every line of `wanted` that sets an option.
fn require(config: &Path, wanted: &str) -> Result<()> {
    let text =
        fs::read_to_string(config).with_context(|| format!("can't read {}", config.display()))?;
    let missing: Vec<_> = wanted
        .lines()
        .map(str::trim)
        .filter(|line| {
            match line
                .strip_prefix("# ")
                .and_then(|line| line.strip_suffix(" is not set"))
            {
                Some(option) => text.lines().any(|line| {
                    line.strip_prefix(option)
                        .is_some_and(|rest| rest.starts_with('='))
                }),
                None => line.starts_with("CONFIG_") && !text.lines().any(|found| found == *line),
            }
        })
        .collect();
    ensure!(
        missing.is_empty(),
        "the kernel's configuration came out without: {}; look for what they depend on with `grep -rn 'config NAME'`",
        missing.join(", ")
    );
    Ok(())
}

/// Fails unless the build root's rustc is the one that `config` was made with.
fn same_rustc(config: &Path) -> Result<()> {
    let text =
        fs::read_to_string(config).with_context(|| format!("can't read {}", config.display()))?;
    let wanted = text.lines().find_map(|line| {
        line.strip_prefix("CONFIG_RUSTC_VERSION_TEXT=\"")?
            .strip_suffix('"')
    });
    let output = buildroot::command("rustc")
        .arg("--version")
        .output()
        .context("can't run rustc in the build root")?;
    let found = String::from_utf8_lossy(&output.stdout);
    ensure!(
        wanted == Some(found.trim()),
        "Debian built this kernel with \"{}\", and the build root has \"{}\": Rust modules work only with the same \
         compiler; wait until Debian's mirrors have both, or name another mirror in TCP_DISPATCH_MIRROR",
        wanted.unwrap_or("an unknown rustc"),
        found.trim()
    );
    Ok(())
}

/// The release of the tree prepared in `build`.
fn prepared_release(build: &Path) -> Result<String> {
    let path = build.join("include/config/kernel.release");
    Ok(fs::read_to_string(&path)
        .with_context(|| format!("can't read {}", path.display()))?
        .trim()
        .to_owned())
}
