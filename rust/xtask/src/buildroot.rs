// SPDX-License-Identifier: GPL-2.0

//! The Debian 13 build root that compilers and QEMU run in.

use std::process::Command;

use crate::paths;

/// What `command` runs before the program: everything that the program needs of this machine is
/// mounted at its own path, in a mount namespace that ends with the program. `exec` throughout,
/// so that the child's process id, and with it every signal, is the program's own.
const ENTER: &str = r#"
set -e
root=$1 cwd=$2
shift 2
for dir in /proc /dev /sys /tmp; do
    mount --rbind "$dir" "$root$dir"
done
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --rbind "$1" "$root$1"
    shift
done
shift
exec chroot "$root" /usr/bin/env -C "$cwd" "$@"
"#;

/// A command that runs `program` in the build root.
///
/// The cache and the checkout are at their own absolute paths there, so paths mean the same on
/// both sides, and the current directory is kept if it is below one of them. A signal to the
/// child reaches the program.
pub fn command(program: &str) -> Command {
    let (checkout, cache, root) = (paths::checkout(), paths::cache(), paths::buildroot());
    let cwd = std::env::current_dir()
        .ok()
        .filter(|dir| dir.starts_with(&checkout) || dir.starts_with(&cache))
        .unwrap_or_else(|| checkout.clone());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", ENTER, "sh"])
        .args([&root, &cwd, &cache, &checkout])
        .args(["--", program])
        // The host's toolchain and locale are not the build root's.
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "CARGO_HOME", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}
