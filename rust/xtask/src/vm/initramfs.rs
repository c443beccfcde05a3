// SPDX-License-Identifier: GPL-2.0

//! The first file system of the guest: what mounts the others, as a `newc` cpio archive.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use rustix::fs::MemfdFlags;

use super::kernel::Kernel;
use crate::{buildroot, paths};

/// Block devices and file systems that the guest's images need, where they aren't built in.
const MODULES: &[&str] = &["virtio_blk", "erofs", "overlay"];

/// A cpio archive in the making.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn dir(&mut self, name: &str) {
        self.add(name, 0o040_755, &[]);
    }

    fn program(&mut self, name: &str, content: &[u8]) {
        self.add(name, 0o100_755, content);
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

/// Makes the archive for `kernel`; `job` is the script that tells the guest what to do.
///
/// It has no name anywhere and is gone with the last program that holds it open.
pub fn make(kernel: &Kernel, job: &[u8]) -> Result<File> {
    let scripts = paths::checkout().join("qemu");
    let script = |name: &str| {
        fs::read(scripts.join(name)).with_context(|| format!("can't read qemu/{name}"))
    };
    let busybox = paths::buildroot().join("usr/bin/busybox");
    let busybox =
        fs::read(&busybox).with_context(|| format!("can't read {}", busybox.display()))?;

    let mut archive = Archive::default();
    for dir in [
        "bin", "dev", "image", "modules", "newroot", "proc", "run", "writable",
    ] {
        archive.dir(dir);
    }
    archive.program("bin/busybox", &busybox);
    archive.program("init", &script("init")?);
    archive.program("guest-init", &script("guest-init")?);
    archive.add("fstab", 0o100_644, &script("fstab")?);
    archive.program("job", job);
    let mut order = String::new();
    for module in kernel.files_of_modules(MODULES)? {
        let name = module
            .file_name()
            .and_then(|name| name.to_str())
            .context("a module has no name")?;
        let name = name.split('.').next().unwrap_or(name);
        archive.add(&format!("modules/{name}.ko"), 0o100_644, &plain(&module)?);
        order += &format!("{name}\n");
    }
    archive.add("modules/order", 0o100_644, order.as_bytes());

    let file = rustix::fs::memfd_create("initramfs", MemfdFlags::CLOEXEC)
        .context("can't make the initramfs")?;
    let mut file = File::from(file);
    file.write_all(&archive.finish())
        .context("can't write the initramfs")?;
    Ok(file)
}

/// The content of a file that may be compressed.
fn plain(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).with_context(|| format!("can't read {}", path.display())),
    };
    let output = buildroot::command(program)
        .args(["--decompress", "--stdout"])
        .arg(path)
        .output()
        .with_context(|| format!("can't run {program} in the build root"))?;
    ensure!(
        output.status.success(),
        "can't decompress {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_as_newc_wants() {
        let mut archive = Archive::default();
        archive.dir("bin");
        archive.program("bin/true", b"#!");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let second = 6 + 13 * 8 + 4 + 2;
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[second..second + 6], b"070701");
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}
