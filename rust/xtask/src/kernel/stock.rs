// SPDX-License-Identifier: GPL-2.0

//! Debian's own kernel, and an output tree that modules for it can be built in.
//!
//! Debian's headers carry no Rust metadata. It is made again from the same source, the same
//! configuration and the same rustc, so the symbols come out with the names they have in Debian's
//! image, and a module built here loads there.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use super::{prepared_release, require, same_rustc, Kernel};
use crate::setup::progress::Task;
use crate::setup::step::{self, Step};
use crate::setup::{packages, source};
use crate::{buildroot, paths};

/// The stock kernel.
pub const STEP: Step = Step {
    name: "stock kernel",
    why: "making Debian's Rust metadata again, which its packages don't carry",
    size: 350,
    downloads: false,
    inputs,
    make,
};

/// Options that the module and the VM need of Debian's configuration.
const NEEDED: &str =
    "CONFIG_RUST=y\nCONFIG_MODULES=y\nCONFIG_NET_L3_MASTER_DEV=y\nCONFIG_IP_MULTIPLE_TABLES=y";

fn inputs() -> Result<String> {
    let parts = [&buildroot::STEP, &packages::STEP, &source::STEP].map(step::made);
    Ok(format!("{}{}\n", parts.concat(), Kernel::Stock.compiler()))
}

fn make(task: &Task) -> Result<()> {
    Kernel::Stock.begin(&inputs()?)?;
    let dir = paths::kernel(Kernel::Stock.name());
    let build = dir.join("build");
    let release = packages::release()?;

    let config = build.join(".config");
    fs::copy(packages::file("config")?, &config)?;
    fs::copy(
        packages::file("Module.symvers")?,
        build.join("Module.symvers"),
    )?;
    same_rustc(&config)?;
    let local = format!("LOCALVERSION={}", local_version(&release)?);
    task.at("checking the configuration");
    task.run(Kernel::Stock.make().args([&local, "olddefconfig"]))?;
    require(&config, NEEDED)?;
    same_options(&packages::file("config")?, &config, task)?;
    task.run(Kernel::Stock.make().args([&local, "modules_prepare"]))?;
    let prepared = prepared_release(&build)?;
    ensure!(
        prepared == release,
        "the prepared tree is for kernel {prepared}, Debian's image is {release}: remove {} and try again",
        paths::cache().join("packages").display()
    );

    fs::copy(packages::file("vmlinuz")?, dir.join("vmlinuz"))?;
    install_modules(&release, &dir, task)?;
    step::write_whole(&dir.join("release"), &format!("{release}\n"))
}

/// Options that tell of a tool's abilities and of nothing in the kernel itself.
const OF_TOOLS: [&str; 5] = [
    "CONFIG_OPENSSL_",
    "CONFIG_CC_",
    "CONFIG_AS_",
    "CONFIG_LD_",
    "CONFIG_GCC_VERSION",
];

/// Options may fall when a tool is missing, and types may change with them: BTF's does change
/// `struct module`, so that fails here and not when a module is loaded. Others are told of.
fn same_options(debian: &Path, ours: &Path, task: &Task) -> Result<()> {
    let (debian, ours) = (fs::read_to_string(debian)?, fs::read_to_string(ours)?);
    let ours: HashSet<_> = ours.lines().collect();
    let lost: Vec<_> = debian
        .lines()
        .filter(|line| line.starts_with("CONFIG_") && !ours.contains(line))
        .filter(|line| !OF_TOOLS.iter().any(|prefix| line.starts_with(prefix)))
        .collect();
    ensure!(
        !lost.contains(&"CONFIG_DEBUG_INFO_BTF_MODULES=y"),
        "Debian's kernel has BTF for modules, and the tree prepared here has not, so no module would load: \
         is pahole in the build root?"
    );
    if !lost.is_empty() {
        task.note(&format!("without Debian's {}", lost.join(", ")));
    }
    Ok(())
}

/// What follows the version of the source in `release`.
fn local_version(release: &str) -> Result<String> {
    let output = Kernel::Stock
        .make()
        .args(["--silent", "kernelversion"])
        .output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let local = release
        .strip_prefix(&version)
        .filter(|_| !version.is_empty());
    Ok(local
        .with_context(|| {
            format!("Debian's kernel {release} isn't of the source's version \"{version}\"")
        })?
        .to_owned())
}

/// Debian's modules, without its links to headers that aren't here.
fn install_modules(release: &str, dir: &Path, task: &Task) -> Result<()> {
    let lib = dir.join("modules/lib/modules");
    step::remove(&lib)?;
    fs::create_dir_all(&lib)?;
    task.run(
        Command::new("cp")
            .arg("--archive")
            .arg(packages::modules()?)
            .arg(&lib),
    )?;
    for link in ["build", "source"] {
        step::remove(&lib.join(release).join(link))?;
    }
    Kernel::Stock.depmod(release, task)
}
