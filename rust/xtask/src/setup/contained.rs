// SPDX-License-Identifier: GPL-2.0

//! Children that end with this program, however it ends.

use std::process::Command;

/// `command` in a PID namespace and a mount namespace of its own, killed when the thread that
/// waits for it goes.
///
/// Without this a killed set-up would leave `make` or `mmdebstrap` writing to the very trees
/// that the next set-up begins to clean.
pub fn contained(command: &Command) -> Command {
    let mut outer = Command::new("setpriv");
    outer
        .args(["--pdeathsig", "KILL", "--"])
        .args([
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
        ])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    outer
}
