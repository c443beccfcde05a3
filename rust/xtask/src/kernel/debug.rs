// SPDX-License-Identifier: GPL-2.0

//! A kernel with its own checkers built in, from the fragments in `qemu/config/`.

use std::fs;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};

use super::{prepared_release, require, Kernel};
use crate::setup::progress::Task;
use crate::setup::source;
use crate::setup::step::{self, Step};
use crate::{buildroot, paths};

/// The debug kernel.
pub const STEP: Step = Step {
    name: "debug kernel",
    why: "building a kernel with KASAN, lockdep and kmemleak; about 20 minutes with 2 cores",
    size: 1500,
    downloads: false,
    inputs,
    make,
};

/// The fragments, in the order of their names.
fn fragments() -> Result<String> {
    let dir = paths::checkout().join("qemu/config");
    let entries = fs::read_dir(&dir).with_context(|| format!("can't read {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "config")
    });
    files.sort();
    ensure!(
        !files.is_empty(),
        "there are no fragments of a configuration in {}",
        dir.display()
    );
    let texts: Vec<_> = files
        .iter()
        .map(fs::read_to_string)
        .collect::<Result<_, _>>()?;
    Ok(texts.concat())
}

/// What a half-made output tree must have been begun with, so that `make` can go on in it.
fn foundation() -> String {
    let parts = [&buildroot::STEP, &source::STEP].map(step::made);
    format!("{}{}\n", parts.concat(), Kernel::Debug.compiler())
}

/// Comments of the fragments don't count.
fn inputs() -> Result<String> {
    let fragments = fragments()?;
    let options = fragments
        .lines()
        .filter(|line| line.starts_with("CONFIG_") || line.ends_with(" is not set"));
    Ok(format!(
        "{}{}\n",
        foundation(),
        options.collect::<Vec<_>>().join("\n")
    ))
}

fn make(task: &Task) -> Result<()> {
    Kernel::Debug.begin(&foundation())?;
    let dir = paths::kernel(Kernel::Debug.name());
    let build = dir.join("build");
    let fragments = fragments()?;
    let all = dir.join("fragments.config");
    step::write_whole(&all, &fragments)?;

    task.at("checking the configuration");
    let all = format!("KCONFIG_ALLCONFIG={}", all.display());
    task.run(Kernel::Debug.make().args([&all, "allnoconfig"]))?;
    require(&build.join(".config"), &fragments)?;
    task.run(
        Kernel::Debug
            .make()
            .args(["LOCALVERSION=", "bzImage", "modules"]),
    )?;

    let release = prepared_release(&build)?;
    fs::copy(build.join("arch/x86/boot/bzImage"), dir.join("vmlinuz"))
        .context("the build made no bzImage")?;
    let lib = dir.join("modules/lib/modules").join(&release);
    fs::create_dir_all(&lib)?;
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        fs::copy(build.join(list), lib.join(list))
            .with_context(|| format!("the build made no {list}"))?;
    }
    Kernel::Debug.depmod(&release, task)?;
    step::write_whole(&dir.join("release"), &format!("{release}\n"))
}
