// SPDX-License-Identifier: GPL-2.0

//! A kernel of set-up's, in the form that boots fastest.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{bail, ensure, Context, Result};

use crate::{buildroot, guest, paths};

/// Has the kernel's release.
const RELEASE: &str = "release";

/// A kernel that set-up made.
pub struct Kernel {
    dir: PathBuf,
    release: String,
}

impl Kernel {
    /// The kernel called `name`: `stock` or `debug`.
    pub fn open(name: &str) -> Result<Self> {
        let dir = paths::kernel(name);
        let release = fs::read_to_string(dir.join(RELEASE)).with_context(|| {
            format!("there is no kernel `{name}` yet: run `cargo xtask setup --kernel {name}`")
        })?;
        Ok(Self {
            dir,
            release: release.trim().to_owned(),
        })
    }

    /// Its uncompressed image, unpacked from `vmlinuz` the first time.
    ///
    /// QEMU starts it at its PVH entry. Without KVM a guest takes three seconds to decompress
    /// its own kernel.
    pub fn vmlinux(&self) -> Result<PathBuf> {
        self.derived("vmlinux", |new| {
            let vmlinuz = self.dir.join("vmlinuz");
            let image =
                fs::read(&vmlinuz).with_context(|| format!("can't read {}", vmlinuz.display()))?;
            let payload = payload(&image)
                .with_context(|| format!("{} is no kernel image", vmlinuz.display()))?;
            decompress(payload, new)
        })
    }

    /// An image of its `/lib/modules`, made the first time.
    pub fn modules_image(&self) -> Result<PathBuf> {
        self.derived("modules.erofs", |new| {
            guest::image(&self.dir.join("modules/lib/modules"), new)
        })
    }

    /// The file `name` that is made of what set-up made: now, if there is none yet or set-up has
    /// made another kernel since.
    fn derived(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.dir.join(name);
        let time = |path: &Path| path.metadata().and_then(|of| of.modified());
        // The last that set-up writes.
        let release = self.dir.join(RELEASE);
        let kernels =
            time(&release).with_context(|| format!("can't read {}", release.display()))?;
        if time(&path).map_or(true, |made| made <= kernels) {
            whole(&path, make)?;
        }
        Ok(path)
    }

    /// The files of `names` and of what they depend on, in the order to load them.
    ///
    /// What the kernel has built in has no file.
    pub fn files_of_modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let dir = self.dir.join("modules/lib/modules").join(&self.release);
        let list = dir.join("modules.dep");
        let list =
            fs::read_to_string(&list).with_context(|| format!("can't read {}", list.display()))?;
        let files = files_of_modules(&list, names);
        Ok(files.into_iter().map(|file| dir.join(file)).collect())
    }
}

/// Makes a file so that it is there whole or not at all.
fn whole(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // Two runs may make it at a time.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let made =
        make(&new).and_then(|()| fs::rename(&new, path).context("can't put a file into place"));
    if made.is_err() {
        // It may not even have been begun.
        let _ = fs::remove_file(&new);
    }
    made.with_context(|| format!("can't make {}", path.display()))
}

/// The compressed kernel inside a bzImage (Documentation/arch/x86/boot.rst).
fn payload(image: &[u8]) -> Result<&[u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    ensure!(
        image.get(0x202..0x206) == Some(b"HdrS"),
        "it has no boot header"
    );
    let sectors = match image[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = word(0x248).map(|offset| (sectors + 1) * 512 + offset);
    let (Some(start), Some(length)) = (start, word(0x24c)) else {
        bail!("its boot header is cut short")
    };
    image
        .get(start..start + length)
        .context("its payload is cut short")
}

fn decompress(payload: &[u8], to: &Path) -> Result<()> {
    // All but gzip lack the size of what comes out, so the kernel's build appends it.
    let (program, payload) = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", &payload[..payload.len() - 4]),
        [0xfd, b'7', b'z', b'X', ..] => ("xz", &payload[..payload.len() - 4]),
        [0x1f, 0x8b, ..] => ("gzip", payload),
        _ => bail!("it is compressed in a way that is not known here: use zstd, xz or gzip"),
    };
    let mut child = buildroot::command(program)
        .args(["--decompress", "--stdout", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(File::create(to)?)
        .spawn()
        .with_context(|| format!("can't run {program} in the build root"))?;
    let fed = child.stdin.take().expect("it is piped").write_all(payload);
    let status = child.wait()?;
    ensure!(
        status.success() && fed.is_ok(),
        "{program} failed ({status})"
    );
    Ok(())
}

/// Picks files from the text of a `modules.dep`.
fn files_of_modules<'a>(list: &'a str, names: &[&str]) -> Vec<&'a str> {
    let mut files = Vec::new();
    for name in names {
        let of_name = |path: &str| {
            let file = path.rsplit('/').next().unwrap_or(path);
            file.split('.').next().unwrap_or(file).replace('-', "_") == *name
        };
        let line = list
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(path, _)| of_name(path));
        let Some((path, needs)) = line else { continue };
        for file in needs.split_whitespace().rev().chain([path]) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn modules_come_after_what_they_need() {
        let list = "kernel/net/virtio_net.ko.xz: kernel/net/net_failover.ko.xz kernel/core/failover.ko.xz\n\
                    kernel/fs/overlay.ko.xz:\n";
        assert_eq!(
            files_of_modules(list, &["overlay", "virtio_net", "ext4"]),
            [
                "kernel/fs/overlay.ko.xz",
                "kernel/core/failover.ko.xz",
                "kernel/net/net_failover.ko.xz",
                "kernel/net/virtio_net.ko.xz"
            ]
        );
    }

    #[test]
    fn what_is_made_of_a_kernel_is_made_again_when_there_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = Kernel {
            dir: dir.path().to_owned(),
            release: String::new(),
        };
        let release = fs::File::create(dir.path().join(RELEASE)).unwrap();
        let made = |content: &str| {
            let path = kernel
                .derived("made", |new| Ok(fs::write(new, content)?))
                .unwrap();
            fs::read_to_string(path).unwrap()
        };
        release.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(made("of the first"), "of the first");
        assert_eq!(made("again"), "of the first");
        let later = SystemTime::now() + Duration::from_secs(1);
        release.set_modified(later).unwrap();
        assert_eq!(made("of the second"), "of the second");
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(payload(b"").is_err());
        assert!(payload(&[0; 0x1000]).is_err());
        let mut image = vec![0; 0x1000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x24c] = 16;
        assert_eq!(payload(&image).unwrap().len(), 16);
        image[0x24e] = 16;
        assert!(payload(&image).is_err());
    }
}
