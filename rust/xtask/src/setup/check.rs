// SPDX-License-Identifier: GPL-2.0

//! What must hold before set-up begins: each a sentence that says what to do.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, ensure, Context, Result};

use super::progress::Progress;
use crate::paths;

/// Programs that set-up runs on this machine itself, and the packages that hold them.
const PROGRAMS: [(&str, &str); 2] = [("mmdebstrap", "mmdebstrap"), ("xz", "xz-utils")];

/// Checks all of it; `megabytes` is what the steps to come will take in the cache.
pub fn all(progress: &Progress, megabytes: u64) -> Result<()> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "set-up needs an amd64 machine, and this one is {}: use Debian's amd64 architecture",
        env::consts::ARCH
    );
    ensure!(
        rustix::process::geteuid().is_root(),
        "set-up needs root, for it mounts and enters a Debian tree of its own: run the same command as root"
    );
    namespaces()?;
    disk(megabytes)?;
    programs(progress)
}

/// Root in a container may lack the right to mount.
fn namespaces() -> Result<()> {
    let status = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--propagation",
            "private",
            "true",
        ])
        .stderr(Stdio::null())
        .status();
    ensure!(
        status.is_ok_and(|status| status.success()),
        "set-up can't make a mount namespace here: in a container, give it CAP_SYS_ADMIN (docker run --privileged)"
    );
    Ok(())
}

/// The cache's file system must hold what is to be made, and let programs run.
fn disk(megabytes: u64) -> Result<()> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).with_context(|| {
        format!(
            "can't make the cache {}: set TCP_DISPATCH_CACHE to a directory that can be made",
            cache.display()
        )
    })?;
    let stat = rustix::fs::statvfs(&cache)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000;
    ensure!(
        free >= megabytes,
        "set-up needs {} of disk for {}, which has {} free: make room, or set TCP_DISPATCH_CACHE to a directory on a \
         larger disk",
        gigabytes(megabytes),
        cache.display(),
        gigabytes(free)
    );
    let refused = [
        (rustix::fs::StatVfsMountFlags::NOEXEC, "noexec"),
        (rustix::fs::StatVfsMountFlags::NODEV, "nodev"),
    ];
    for (flag, name) in refused {
        ensure!(
            !stat.f_flag.contains(flag),
            "{} lies on a file system mounted {name}, where a Debian tree can't work: set TCP_DISPATCH_CACHE to a \
             directory elsewhere",
            cache.display()
        );
    }
    Ok(())
}

/// Installs the few packages that the host itself needs.
fn programs(progress: &Progress) -> Result<()> {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !on_path("apt-get") {
        bail!("set-up needs {names}, and there is no apt-get here to install it: install it by hand, then try again");
    }
    let task = progress.begin(
        "host packages",
        &format!("installing {names}, which makes the build root"),
    );
    let install = |task: &super::progress::Task| -> Result<()> {
        task.run(Command::new("apt-get").arg("update"))?;
        let mut install = Command::new("apt-get");
        install
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&missing);
        task.run(install.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    install(&task).with_context(|| {
        format!("can't install {names}: check the network and apt's sources, or install it by hand, then try again")
    })?;
    task.done();
    Ok(())
}

/// Whether a program of that name can be run.
fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path).any(|dir| Path::new(&dir).join(program).is_file())
    })
}

/// A size for people.
fn gigabytes(megabytes: u64) -> String {
    format!("{}.{} GB", megabytes / 1000, megabytes % 1000 / 100)
}
