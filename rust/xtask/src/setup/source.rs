// SPDX-License-Identifier: GPL-2.0

//! The kernel's source, unpacked.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};

use super::contained::contained;
use super::packages;
use super::progress::Task;
use super::step::{self, Step};
use crate::paths;

/// What no build here reads, and half of the tree: other architectures, graphics and sound. Their
/// Kconfig files stay, for those are read whatever is configured.
const LEFT_OUT: &str =
    "arch/[!x]*/*.[chS] arch/[!x]*/boot/dts drivers/gpu/drm/*.[ch] drivers/media/*.[ch] \
    drivers/net/ethernet/*.[ch] drivers/net/wireless/*.[ch] sound/*.[ch] Documentation/devicetree";

/// The source tree.
pub const STEP: Step = Step {
    name: "kernel source",
    why: "unpacking what the kernels and the module are built from",
    size: 900,
    downloads: false,
    inputs: || {
        Ok(format!(
            "{}without {LEFT_OUT}\n",
            step::made(&packages::STEP)
        ))
    },
    make,
};

fn make(task: &Task) -> Result<()> {
    let linux = paths::linux_source();
    let new = step::workplace(&linux)?;
    fs::create_dir_all(&new)?;
    let deb = packages::source_deb();
    let total = deb
        .metadata()
        .with_context(|| format!("can't read {}", deb.display()))?
        .len();

    let mut package = contained(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&deb))
        .stdout(Stdio::piped())
        .spawn()
        .context("can't run dpkg-deb")?;
    let mut member = contained(Command::new("tar").args([
        "--extract",
        "--to-stdout",
        "--wildcards",
        "*/linux-source-*.tar.xz",
    ]))
    .stdin(package.stdout.take().expect("it is piped"))
    .stdout(Stdio::piped())
    .spawn()
    .context("can't run tar")?;
    let mut unpack = Command::new("tar");
    unpack
        .args([
            "--extract",
            "--xz",
            "--strip-components=1",
            "--no-same-owner",
            "--directory",
        ])
        .arg(&new);
    unpack.args(
        LEFT_OUT
            .split_whitespace()
            .map(|path| format!("--exclude=linux-source-*/{path}")),
    );
    let mut unpack = contained(&unpack)
        .stdin(Stdio::piped())
        .spawn()
        .context("can't run tar")?;

    let mut from = member.stdout.take().expect("it is piped");
    let mut to = unpack.stdin.take().expect("it is piped");
    let (mut buffer, mut done) = (vec![0; 1 << 20], 0);
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        // A tar that gave up says why on standard error, and its status counts below.
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
        done += length as u64;
        task.bytes("unpacking", done, total);
    }
    drop((from, to));
    let statuses = [unpack.wait()?, member.wait()?, package.wait()?];
    ensure!(
        statuses.iter().all(|status| status.success()) && new.join("Makefile").exists(),
        "can't unpack the kernel's source from {}: is the disk full? If not, remove that file and try again",
        deb.display()
    );
    step::install(&linux)
}
