// SPDX-License-Identifier: GPL-2.0

//! The plugin of QEMU's that counts, and what it writes.

use std::env;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use rustix::fs::MemfdFlags;

use crate::paths;
use crate::vm::job::Plugin;

/// The plugin, to watch `what`, and the file that it will write to.
pub fn load(watch: &'static str) -> Result<(Plugin, File)> {
    let library = build()?;
    let (output, written) = output()?;
    let plugin = Plugin {
        library,
        watch,
        output,
    };
    Ok((plugin, written))
}

/// Builds the plugin.
fn build() -> Result<File> {
    let target = paths::build().join("tools");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release"])
        .args(["--package", "tcp_dispatch_profiler"])
        .current_dir(paths::checkout())
        .env("CARGO_TARGET_DIR", &target)
        // A plugin can't be linked statically.
        .env_remove("RUSTFLAGS")
        .status()
        .context("can't run cargo to build the profiler")?;
    ensure!(
        status.success(),
        "the profiler can't be built: see what cargo says above"
    );
    let library = target.join("release/libtcp_dispatch_profiler.so");
    File::open(&library).with_context(|| format!("can't read {}", library.display()))
}

/// A file without a name, for the plugin to write to, and the same to read from afterwards.
fn output() -> Result<(File, File)> {
    let file = rustix::fs::memfd_create("profile", MemfdFlags::CLOEXEC)
        .context("can't make a file for the profile")?;
    let file = File::from(file);
    let ours = file.try_clone()?;
    Ok((file, ours))
}

/// All that the plugin wrote.
pub fn text(mut written: File) -> Result<String> {
    let mut text = String::new();
    written.rewind()?;
    written
        .read_to_string(&mut text)
        .context("can't read the profile")?;
    Ok(text)
}
