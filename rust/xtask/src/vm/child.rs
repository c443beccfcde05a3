// SPDX-License-Identifier: GPL-2.0

//! Programs that end with this one, however it ends, and the descriptors they inherit.

use std::os::fd::AsFd;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::io::FdFlags;

/// `command`, killed when the thread that started it ends. Its process id stays its own.
pub fn tied(command: &Command) -> Command {
    wrapped("setpriv", &["--pdeathsig", "KILL", "--"], command)
}

/// The same with all that it starts in turn.
pub fn tree(command: &Command) -> Command {
    tied(&wrapped(
        "unshare",
        &["--pid", "--fork", "--kill-child", "--mount-proc", "--"],
        command,
    ))
}

fn wrapped(outer: &str, args: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(outer);
    wrapped
        .args(args)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    wrapped
}

/// Lets the next program that is started have `fd`, at the same number.
///
/// Close it here once that program runs, or the one after it has it too.
pub fn inherit(fd: impl AsFd) -> Result<()> {
    rustix::io::fcntl_setfd(fd, FdFlags::empty()).context("can't pass a descriptor on")
}
