// SPDX-License-Identifier: GPL-2.0

//! The Debian 13 build root that compilers and QEMU run in.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::paths;
use crate::setup::packages::SUITE;
use crate::setup::progress::Task;
use crate::setup::step::{self, Step};
use crate::setup::{mirror, sources};

/// What runs in the build root, and for what.
const PACKAGES: &[&str] = &[
    // The compiler that Debian built its kernel with, and what the kernel's Rust needs besides.
    "rustc",
    "rust-src",
    "rust-clippy",
    "rustfmt",
    "bindgen",
    // The kernel's C, and the programs of its own that a build makes first.
    "gcc-14",
    "gcc",
    "libc6-dev",
    "make",
    "bc",
    "bison",
    "flex",
    "perl",
    "libelf-dev",
    "libssl-dev",
    "xz-utils",
    "kmod",
    // Without it the configuration loses BTF, and with that fields of `struct module`: no module
    // would load.
    "pahole",
    // KASAN sees Rust code only in a kernel that clang compiled.
    "clang-19",
    // The VM: its machine, what unpacks the kernel, and what runs first in it.
    "qemu-system-x86",
    "zstd",
    "busybox-static",
    "virtiofsd",
    "erofs-utils",
    "cpio",
    // Lint, and the kernel's netlink tools.
    "python3",
    "python3-yaml",
    "python3-jsonschema",
    "pyflakes3",
    "shellcheck",
];

/// dpkg's filters, the last match counts: most of the packages' files are nothing that is used. A
/// `*` matches `/` too.
const FILTERS: &[&str] = &[
    "exclude=/usr/share/doc/*",
    "exclude=/usr/share/man/*",
    "exclude=/usr/share/locale/*",
    "exclude=/usr/share/info/*",
    "exclude=/usr/lib/llvm-*/lib/*.a",
    "exclude=/usr/src/rustc-*/*",
    "include=/usr/src/rustc-*/library/*",
];

/// The build root.
pub const STEP: Step = Step {
    name: "build root",
    why: "Debian 13 with the kernel's compilers and QEMU, so that this machine's don't matter",
    size: 2000,
    downloads: true,
    inputs: || {
        Ok(format!(
            "{SUITE}\n{}\n{}\n",
            PACKAGES.join(" "),
            FILTERS.join(" ")
        ))
    },
    make,
};

fn make(task: &Task) -> Result<()> {
    let root = paths::buildroot();
    let new = step::workplace(&root)?;
    let mut command = Command::new("mmdebstrap");
    command.args([
        "--variant=apt",
        "--architectures=amd64",
        "--mode=root",
        "--format=directory",
    ]);
    command.arg(format!("--include={}", PACKAGES.join(",")));
    command.args(
        FILTERS
            .iter()
            .map(|filter| format!("--dpkgopt=path-{filter}")),
    );
    // It is made anew if the machine stops meanwhile: no need to wait for the disk.
    command.args([
        "--dpkgopt=force-unsafe-io",
        "--aptopt=Acquire::Retries=2",
        "--aptopt=Acquire::Languages=none",
    ]);
    command.arg(SUITE).arg(&new).args(sources(SUITE).lines());
    let (infos, debs) = (
        new.join("var/lib/dpkg/info"),
        new.join("var/cache/apt/archives"),
    );
    task.run_watched(&mut command, |line| {
        let doing = line
            .strip_prefix("I: ")
            .unwrap_or(line)
            .trim_end_matches('.')
            .to_owned();
        let total = count(&debs, "deb");
        // Packages that are installed leave their lists, those to come only their .deb.
        match (count(&infos, "list"), total) {
            (0, _) | (_, 0) => Some(doing),
            (done, total) => Some(format!(
                "{doing}: {done} packages unpacked, {total} fetched"
            )),
        }
    })
    .map_err(|error| error.context(format!("can't make the build root from {}", mirror())))?;
    step::install(&root)
}

/// How many files of `dir` have that extension.
fn count(dir: &Path, extension: &str) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|found| found == extension)
        })
        .count()
}

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
    command_seeing(program, &[])
}

/// The same for a program that is to see other directories too, given by absolute paths.
pub fn command_seeing(program: &str, dirs: &[&Path]) -> Command {
    let (checkout, cache, root) = (paths::checkout(), paths::cache(), paths::buildroot());
    let seen: Vec<&Path> = [&*cache, &*checkout]
        .into_iter()
        .chain(dirs.iter().copied())
        .collect();
    let cwd = std::env::current_dir()
        .ok()
        .filter(|cwd| seen.iter().any(|dir| cwd.starts_with(dir)))
        .unwrap_or_else(|| checkout.clone());
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-c",
            ENTER,
            "sh",
        ])
        .args([&root, &cwd])
        .args(&seen)
        .args(["--", program])
        // The host's toolchain, locale and directories are not the build root's.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LC_ALL", "C.UTF-8");
    let hosts = [
        "CARGO",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUSTUP_HOME",
        "CARGO_HOME",
        "LD_LIBRARY_PATH",
        "TMPDIR",
    ];
    // A make above this one says things that are not meant for one inside.
    for name in hosts.into_iter().chain([
        "MAKEFLAGS",
        "MFLAGS",
        "MAKEOVERRIDES",
        "MAKELEVEL",
        "KERNEL",
        "KDIR",
    ]) {
        command.env_remove(name);
    }
    command
}
