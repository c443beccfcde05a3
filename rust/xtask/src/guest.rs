// SPDX-License-Identifier: GPL-2.0

//! The guest's root file system: a Debian 13 of few packages, as an erofs image.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};

use crate::buildroot;
use crate::paths;
use crate::setup::packages::SUITE;
use crate::setup::{sources, step};
use crate::vm::child;

/// The programs that tests and people want in the guest.
const PACKAGES: &[&str] = &[
    // Daemons to dispatch to, other dispatchers to compare with, clients.
    "nginx-light",
    "libnginx-mod-stream",
    "haproxy",
    "ipvsadm",
    "curl",
    "iperf3",
    "postgresql-17",
    "redis-server",
    "redis-tools",
    "openssh-server",
    "openssh-client",
    "openssl",
    // The network.
    "iproute2",
    "iputils-ping",
    "nftables",
    "iptables",
    "conntrack",
    "tcpdump",
    "traceroute",
    "ethtool",
    "socat",
    // The selftests and the kernel's YNL client.
    "python3",
    "python3-yaml",
    "python3-jsonschema",
    // The rest of a usable system.
    "kmod",
    "procps",
    "psmisc",
    "util-linux",
    "mount",
    "bash",
    "less",
];

/// What is left out of those packages: nobody reads it in the guest.
const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/i18n/*",
    "/usr/share/zoneinfo/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
    "/usr/lib/x86_64-linux-gnu/gconv/*",
    // What PostgreSQL compiles queries with.
    "/usr/lib/x86_64-linux-gnu/libLLVM*",
    "/usr/lib/x86_64-linux-gnu/libz3*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
];

/// Names resolve without a name server, and this machine's own files stay out of the image.
const NAMES: &str = r#"
    echo guest > "$1/etc/hostname"
    printf '127.0.0.1 localhost guest\n::1 localhost\n' > "$1/etc/hosts"
    rm -f "$1/etc/resolv.conf"
"#;

/// Makes the guest's image at `out`.
pub fn build(out: &Path) -> Result<()> {
    let root = paths::cache().join("guest-root.new");
    step::remove(&root)?;
    let mut debootstrap = Command::new("mmdebstrap");
    debootstrap.args([
        "--quiet",
        "--variant=essential",
        "--architectures=amd64",
        "--mode=root",
        "--format=directory",
    ]);
    debootstrap.arg(format!("--include={}", PACKAGES.join(",")));
    debootstrap.args(
        LEFT_OUT
            .iter()
            .map(|path| format!("--dpkgopt=path-exclude={path}")),
    );
    debootstrap.args([
        "--dpkgopt=force-unsafe-io",
        "--aptopt=APT::Install-Recommends false",
    ]);
    debootstrap.args([
        "--aptopt=Acquire::Retries=2",
        "--aptopt=Acquire::Languages=none",
    ]);
    debootstrap.arg(format!("--customize-hook={NAMES}"));
    debootstrap
        .arg(SUITE)
        .arg(&root)
        .args(sources(SUITE).lines());
    output(&mut debootstrap, "make the guest's root file system")?;
    image(&root, out)?;
    step::remove(&root)
}

/// Makes an erofs image of the tree below `root` at `out`.
///
/// lz4 costs the guest less than reading the blocks that it saves.
pub fn image(root: &Path, out: &Path) -> Result<()> {
    let mut mkfs = buildroot::command("mkfs.erofs");
    mkfs.args(["--quiet", "-zlz4", "-C65536", "-T0", "--all-root"]);
    mkfs.arg(out).arg(root);
    output(&mut mkfs, "make a file system image")
}

/// Runs a program that is only worth seeing when it fails.
fn output(command: &mut Command, what: &str) -> Result<()> {
    let output = child::tree(command)
        .stdin(Stdio::null())
        .output()
        .with_context(|| {
            format!(
                "can't {what}: {} doesn't run",
                command.get_program().to_string_lossy()
            )
        })?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    ensure!(
        output.status.success(),
        "can't {what} ({}). The last lines:\n    {}",
        output.status,
        lines[lines.len().saturating_sub(15)..].join("\n    ")
    );
    Ok(())
}
