// SPDX-License-Identifier: GPL-2.0

//! The kernel's side of the netlink family, generated from its specification.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{bail, Context, Result};

use crate::setup::step::write_whole;
use crate::{buildroot, paths, setup};

/// The specification, from the top of the checkout.
pub const SPEC: &str = "Documentation/netlink/specs/tcp_dispatch.yaml";

/// What is generated, and the generator's arguments for it.
const FILES: [(&str, &[&str]); 3] = [
    (
        "rust/module/generated/netlink.c",
        &["--mode", "kernel", "--source"],
    ),
    (
        "rust/module/generated/netlink.h",
        &["--mode", "kernel", "--header"],
    ),
    (
        "rust/module/generated/uapi/linux/tcp_dispatch.h",
        &["--mode", "uapi", "--header"],
    ),
];

/// Arguments of `cargo xtask generate`.
#[derive(clap::Args)]
pub struct Args {}

/// Writes the files again.
pub fn run(_args: Args) -> Result<ExitCode> {
    setup::ensure_source()?;
    for (file, arguments) in FILES {
        let text = generate(arguments)?;
        let path = paths::checkout().join(file);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            println!("{file}: as it was");
        } else {
            write_whole(&path, &text)?;
            println!("{file}: written");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that are not what the generator makes of the specification now.
pub fn outdated() -> Result<Vec<&'static str>> {
    let mut outdated = Vec::new();
    for (file, arguments) in FILES {
        let text = generate(arguments)?;
        if fs::read_to_string(paths::checkout().join(file)).ok() != Some(text) {
            outdated.push(file);
        }
    }
    Ok(outdated)
}

/// What the kernel's generator makes of the specification.
fn generate(arguments: &[&str]) -> Result<String> {
    let mut command = buildroot::command("python3");
    command.arg(paths::linux_source().join("tools/net/ynl/pyynl/ynl_gen_c.py"));
    command
        .args(arguments)
        .arg("--spec")
        .arg(tree()?.join(SPEC));
    let output = command
        .output()
        .context("can't run the kernel's ynl_gen_c.py")?;
    if !output.status.success() {
        bail!(
            "the kernel's ynl_gen_c.py can't make C of {SPEC}:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("ynl_gen_c.py wrote something else than text")
}

/// A tree with the specification where the generator expects it: its schema one directory up.
fn tree() -> Result<PathBuf> {
    let tree = paths::build().join("ynl");
    let netlink = tree.join("Documentation/netlink");
    fs::create_dir_all(netlink.join("specs"))?;
    fs::copy(paths::checkout().join(SPEC), tree.join(SPEC))
        .with_context(|| format!("can't read {SPEC}"))?;
    for entry in fs::read_dir(paths::linux_source().join("Documentation/netlink"))?.flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), netlink.join(entry.file_name()))?;
        }
    }
    Ok(tree)
}
