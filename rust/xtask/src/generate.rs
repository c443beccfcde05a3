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
        let text = generate(file, arguments)?;
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
        let text = generate(file, arguments)?;
        if fs::read_to_string(paths::checkout().join(file)).ok() != Some(text) {
            outdated.push(file);
        }
    }
    Ok(outdated)
}

/// What the kernel's generator makes of the specification for `file`.
fn generate(file: &str, arguments: &[&str]) -> Result<String> {
    let tree = tree()?;
    // The source includes its header by the name that its own file has.
    let name = file.rsplit('/').next().unwrap_or(file);
    let out = tree.join(name);
    let mut command = buildroot::command("python3");
    command.arg(paths::linux_source().join("tools/net/ynl/pyynl/ynl_gen_c.py"));
    command.args(arguments).arg("--spec").arg(tree.join(SPEC));
    let output = command
        .arg("-o")
        .arg(&out)
        .output()
        .context("can't run the kernel's ynl_gen_c.py")?;
    if !output.status.success() {
        bail!(
            "the kernel's ynl_gen_c.py can't make {name} of {SPEC}:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    fs::read_to_string(&out).with_context(|| format!("ynl_gen_c.py wrote no {name}"))
}

/// A tree that looks like the kernel's to the generator: it wants the specification's schema
/// beside it, and searches upwards for `MAINTAINERS` without end.
fn tree() -> Result<PathBuf> {
    let tree = paths::build().join("ynl");
    let netlink = tree.join("Documentation/netlink");
    fs::create_dir_all(netlink.join("specs"))?;
    fs::write(tree.join("MAINTAINERS"), "")?;
    fs::copy(paths::checkout().join(SPEC), tree.join(SPEC))
        .with_context(|| format!("can't read {SPEC}"))?;
    for entry in fs::read_dir(paths::linux_source().join("Documentation/netlink"))?.flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), netlink.join(entry.file_name()))?;
        }
    }
    Ok(tree)
}
