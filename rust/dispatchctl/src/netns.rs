// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.

use crate::failure::Failure;
use nix::sched::{setns, CloneFlags};
use std::fs::File;
use std::path::Path;

/// Where `ip netns` keeps the namespaces that it names.
const NAMED: &str = "/run/netns";

/// Enters a network namespace, given by name or by path.
pub fn enter(name: &Path) -> Result<(), Failure> {
    let doing = || format!("enter network namespace {}", name.display());
    // An absolute path replaces the directory; `./name` is taken as it is.
    let path = if name.components().count() > 1 {
        name.to_owned()
    } else {
        Path::new(NAMED).join(name)
    };
    let namespace = File::open(&path).map_err(|error| {
        Failure::new(doing(), format!("{}: {error}", path.display()))
            .next("`ip netns list` shows the names that there are")
    })?;
    setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| {
        let failure = Failure::new(doing(), errno.desc());
        match errno {
            nix::errno::Errno::EPERM => failure.next("run it as root"),
            nix::errno::Errno::EINVAL => {
                failure.next(format!("{} is not a network namespace", path.display()))
            }
            _ => failure,
        }
    })
}
