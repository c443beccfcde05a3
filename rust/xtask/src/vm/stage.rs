// SPDX-License-Identifier: GPL-2.0

//! What the guest finds at `/opt/tcp_dispatch`: the module, the tools, the selftests, YNL.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::{guest, modules, paths};

/// The target that tools are linked statically for. It is named although it is the host's, so
/// that build scripts and procedural macros aren't linked so too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What is built for the guest: cargo's arguments, what comes of them, and where it is put.
const PROGRAMS: [(&[&str], &[&str], &str); 3] = [
    (&["--package", "dispatchctl"], &["dispatchctl"], "bin"),
    (&["--package", "tcp_dispatch_bench"], &["bench"], "bench"),
    // Apart from the tool, which is to be as it is installed: without tokio. Not in the PATH, since
    // one is called `echo`.
    (
        &[
            "--package",
            "tcp_dispatch_netlink",
            "--examples",
            "--all-features",
        ],
        &["examples/echo", "examples/echo_tokio"],
        "examples",
    ),
];

/// Fills `build/guest-KERNEL` and returns an image of it.
pub fn image(kernel: &str, with_module: bool) -> Result<PathBuf> {
    let dir = paths::build().join(format!("guest-{kernel}"));
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("can't empty {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    if with_module {
        let built = modules::build(kernel)?;
        copy(&built.module, &dir.join("tcp_dispatch.ko"))?;
        copy(&built.selftest_module, &dir.join("hook_on_top.ko"))?;
    }
    programs(&dir)?;

    let (checkout, linux) = (paths::checkout(), paths::linux_source());
    copy(&checkout.join("selftests"), &dir.join("selftests"))?;
    // YNL looks for the schema of a specification one directory above it.
    copy(
        &checkout.join("Documentation/netlink/specs"),
        &dir.join("specs"),
    )?;
    for schema in [
        "genetlink.yaml",
        "genetlink-c.yaml",
        "genetlink-legacy.yaml",
    ] {
        copy(
            &linux.join("Documentation/netlink").join(schema),
            &dir.join(schema),
        )?;
    }
    copy(&linux.join("tools/net/ynl/pyynl"), &dir.join("ynl/pyynl"))?;

    // A guest that runs keeps the image that it has.
    let image = paths::build().join(format!("guest-{kernel}.erofs"));
    let new = image.with_extension(format!("new-{}", std::process::id()));
    guest::image(&dir, &new)?;
    fs::rename(&new, &image)
        .with_context(|| format!("can't put {} into place", image.display()))?;
    Ok(image)
}

/// Builds the tool and the library's examples so that they run on any C library, into `dir`.
fn programs(dir: &Path) -> Result<()> {
    let target = paths::build().join("tools");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for (what, made, place) in PROGRAMS {
        let status = Command::new(&cargo)
            .args(["build", "--quiet", "--profile", "guest", "--target", TARGET])
            .args(what)
            .current_dir(paths::checkout())
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .status()
            .with_context(|| format!("can't run cargo to build {}", made.join(", ")))?;
        ensure!(
            status.success(),
            "{} can't be built: see what cargo says above",
            made.join(", ")
        );
        for program in made {
            let program = target.join(TARGET).join("guest").join(program);
            let name = program.file_name().expect("it is a file");
            copy(&program, &dir.join(place).join(name))?;
        }
    }
    Ok(())
}

/// Copies a file or a tree. What isn't there yet in a young checkout is left out.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("can't make {}", to.display()))?;
        for entry in fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))? {
            let entry = entry?;
            if entry.file_name() != "__pycache__" {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    } else {
        fs::create_dir_all(to.parent().expect("it lies in the stage"))?;
        fs::copy(from, to)
            .with_context(|| format!("can't copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}
