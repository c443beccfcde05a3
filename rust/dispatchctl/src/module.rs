// SPDX-License-Identifier: GPL-2.0

//! The kernel module.

use crate::failure::{Context, Failure};
use std::fs;
use std::process::Command;
use tcp_dispatch_netlink::{Client, Error};

/// Name of the module, and of the kind of its devices.
pub const NAME: &str = "tcp_dispatch";

/// A client, after loading the module if it isn't loaded.
pub fn load() -> Result<Client, Failure> {
    match Client::connect() {
        Err(Error::NotLoaded) => {
            modprobe()?;
            Client::connect()
        }
        other => other,
    }
    .doing(|| format!("reach the module {NAME}"))
}

/// What to do if `modprobe` does not find it.
const NEXT: &str = "if the module is built but not installed, `insmod tcp_dispatch.ko` loads it";

fn modprobe() -> Result<(), Failure> {
    // The kernel's own idea of the path: root's PATH may lack /sbin.
    let path = fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    let path = match path.trim() {
        "" => "modprobe",
        path => path,
    };
    let doing = || format!("load the module {NAME}");
    let output = Command::new(path)
        .arg(NAME)
        .output()
        .map_err(|error| Failure::new(doing(), format!("{path}: {error}")).next(NEXT))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let cause = match said {
        "" => format!("{path} failed: {}", output.status),
        said => said.to_owned(),
    };
    Err(Failure::new(doing(), cause).next(NEXT))
}
