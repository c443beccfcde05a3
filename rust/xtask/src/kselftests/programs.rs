// SPDX-License-Identifier: GPL-2.0

//! Building the kernel's selftests from the source of the kernel that runs them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};

use crate::{buildroot, paths};

/// What is built of `tools/testing/selftests/net`.
const PROGRAMS: &[&str] = &[
    "bind_bhash",
    "bind_timewait",
    "bind_wildcard",
    "ip_local_port_range",
    "msg_zerocopy",
    "nettest",
    "reuseaddr_conflict",
    "reuseaddr_ports_exhausted",
    "reuseport_addr_any",
    "reuseport_bpf",
    "reuseport_bpf_cpu",
    "reuseport_dualstack",
    "sk_bind_sendto_listen",
    "sk_connect_zero_addr",
    "sk_so_peek_off",
    "so_incoming_cpu",
    "socket",
    "stress_reuseport_listen",
    "tcp_fastopen_backup_key",
    "tcp_inq",
    "tcp_port_share",
    "tls",
    "mptcp/mptcp_connect",
    "mptcp/mptcp_diag",
    "mptcp/mptcp_inq",
    "mptcp/mptcp_sockopt",
    "mptcp/pm_nl_ctl",
];

/// Those of `net/tcp_ao`: each is built for either version of IP, and with `AO_LIBRARY`.
const AO_PROGRAMS: &[&str] = &[
    "connect",
    "connect-deny",
    "icmps-accept",
    "icmps-discard",
    "key-management",
    "restore",
    "rst",
    "self-connect",
    "seq-ext",
    "setsockopt-closed",
    "unsigned-md5",
];

/// What those have in common.
const AO_LIBRARY: &[&str] = &[
    "ftrace",
    "ftrace-tcp",
    "kconfig",
    "netlink",
    "proc",
    "repair",
    "setup",
    "sock",
    "utils",
];

/// The directories whose scripts go with them.
const SCRIPTS: &[&str] = &["", "forwarding", "lib/sh", "mptcp", "netfilter"];

/// Where they go, and what makes them.
struct Build {
    /// `tools/testing/selftests` of the kernel's source.
    source: PathBuf,
    /// The kernel's headers, as programs see them.
    headers: PathBuf,
    /// `net` of what the guest sees.
    out: PathBuf,
}

/// Builds them as far as they are missing, and returns the directory that the guest is to see.
pub fn build(kernel: &str) -> Result<PathBuf> {
    let release = paths::kernel(kernel).join("release");
    let release = fs::read_to_string(&release)
        .with_context(|| format!("can't read {}", release.display()))?;
    let dir = paths::build().join("kselftests").join(release.trim());
    let share = dir.join("share");
    let build = Build {
        source: paths::linux_source().join("tools/testing/selftests"),
        headers: dir.join("headers"),
        out: share.join("net"),
    };
    for made in ["tcp_ao", "mptcp"] {
        make_dir(&build.out.join(made))?;
    }
    let log = share.join("log");
    if log.exists() {
        fs::remove_dir_all(&log).with_context(|| format!("can't empty {}", log.display()))?;
    }
    make_dir(&log)?;
    build.headers()?;
    for name in PROGRAMS {
        let source = build.source.join(format!("net/{name}.c"));
        build.program(&[source], name, &[])?;
    }
    for name in AO_PROGRAMS {
        let dir = build.source.join("net/tcp_ao");
        let mut sources = vec![dir.join(format!("{name}.c"))];
        sources.extend(
            AO_LIBRARY
                .iter()
                .map(|name| dir.join(format!("lib/{name}.c"))),
        );
        let quotes = format!("-iquote{}", dir.join("lib").display());
        let mut arguments = vec!["-fno-strict-aliasing", &quotes];
        if *name == "icmps-accept" {
            arguments.push("-DTEST_ICMPS_ACCEPT");
        }
        build.program(&sources, &format!("tcp_ao/{name}_ipv4"), &arguments)?;
        arguments.push("-DIPV6_TEST");
        build.program(&sources, &format!("tcp_ao/{name}_ipv6"), &arguments)?;
    }
    for dir in SCRIPTS {
        build.scripts(dir)?;
    }
    Ok(share)
}

impl Build {
    /// Makes the headers that programs of this kernel include: the build root has an older kernel's.
    fn headers(&self) -> Result<()> {
        if self.headers.join("usr/include/linux/tcp.h").exists() {
            return Ok(());
        }
        make_dir(&self.headers)?;
        let mut make = buildroot::command("make");
        make.arg("--silent")
            .arg("-C")
            .arg(paths::linux_source())
            .arg(format!("O={}", self.headers.display()))
            .arg("headers");
        run(&mut make, "make the kernel's headers")
    }

    /// Compiles a program unless that was done. The guest has the build root's C library; a static
    /// program's threads could not end by `pthread_exit()`, which loads a library.
    fn program(&self, sources: &[PathBuf], made: &str, arguments: &[&str]) -> Result<()> {
        let out = self.out.join(made);
        if out.exists() {
            return Ok(());
        }
        let include = |dir: &Path| {
            let mut argument = OsString::from("-I");
            argument.push(dir);
            argument
        };
        let new = out.with_extension("new");
        let mut gcc = buildroot::command("gcc");
        // As in the kernel's own makefiles, but for warnings, which are not ours.
        gcc.args(["-O2", "-w", "-pthread", "-D_GNU_SOURCE=", "-o"])
            .arg(&new)
            .arg("-isystem")
            .arg(self.headers.join("usr/include"))
            .arg(include(&self.source))
            .arg(include(&self.source.join("net")))
            .arg(include(&paths::linux_source().join("tools/include")))
            .args(arguments)
            .args(sources);
        run(&mut gcc, &format!("compile {made}"))?;
        fs::rename(&new, &out).with_context(|| format!("can't put {} into place", out.display()))
    }

    /// Copies the scripts of a directory.
    fn scripts(&self, dir: &str) -> Result<()> {
        let (from, to) = (self.source.join("net").join(dir), self.out.join(dir));
        make_dir(&to)?;
        for entry in
            fs::read_dir(&from).with_context(|| format!("can't read {}", from.display()))?
        {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|found| found == "sh") {
                fs::copy(&path, to.join(entry.file_name()))
                    .with_context(|| format!("can't copy {}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))
}

/// Runs a program that is only worth seeing when it fails.
fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't {what}"))?;
    ensure!(
        output.status.success(),
        "can't {what}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
