// SPDX-License-Identifier: GPL-2.0

//! Where things are: the checkout, and the cache that outlives it.

use std::env;
use std::path::{Path, PathBuf};

/// The top of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("rust/xtask is two levels below the checkout")
        .to_path_buf()
}

/// What a build of this checkout makes: `build/`.
pub fn build() -> PathBuf {
    checkout().join("build")
}

/// What set-up makes and every checkout shares.
///
/// `TCP_DISPATCH_CACHE`, else `$XDG_CACHE_HOME/tcp_dispatch`, else `~/.cache/tcp_dispatch`.
pub fn cache() -> PathBuf {
    if let Some(dir) = env::var_os("TCP_DISPATCH_CACHE").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(dir).expect("the current directory is readable");
    }
    let base = env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache")
        });
    base.join("tcp_dispatch")
}

/// The Debian 13 tree that compilers and QEMU run in.
pub fn buildroot() -> PathBuf {
    cache().join("buildroot")
}

/// The unpacked kernel source.
pub fn linux_source() -> PathBuf {
    cache().join("linux")
}

/// The directory of the kernel called `name` (`stock`, `debug`): `build/` is its prepared
/// output tree (the `KDIR` of modules), `vmlinuz` its image, `modules/` the root of
/// `lib/modules/RELEASE`, `release` a file that holds its release string.
pub fn kernel(name: &str) -> PathBuf {
    cache().join("kernels").join(name)
}

/// The guest's root file system, an erofs image.
pub fn guest_image() -> PathBuf {
    cache().join("guest.erofs")
}
