// SPDX-License-Identifier: GPL-2.0

//! Debian's own kernel: its binary packages and its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use super::apt::Apt;
use super::progress::Task;
use super::step::{self, Step};
use crate::paths;

/// The series of kernels that is taken if it is there.
const SERIES: &str = "7.3";

/// The Debian release whose packages are used.
pub const SUITE: &str = "trixie";

/// The flavour whose kernel is booted: the smallest that Debian makes for virtual machines.
const FLAVOUR: &str = "cloud-amd64";

/// The kernel's packages, downloaded and unpacked.
///
/// Its inputs name no revision: whichever was the newest when it was made stays in use.
pub const STEP: Step = Step {
    name: "kernel packages",
    why: "Debian's own kernel, and its source",
    size: 450,
    downloads: true,
    inputs: || Ok(format!("{SUITE} {SERIES} {FLAVOUR}\n")),
    make,
};

/// Where they are: `tree/` as unpacked, `source.deb`, `release`.
fn dir() -> PathBuf {
    paths::cache().join("packages")
}

/// The package that holds the source.
pub fn source_deb() -> PathBuf {
    dir().join("source.deb")
}

/// The release of Debian's kernel, as `uname -r` would say.
pub fn release() -> Result<String> {
    let path = dir().join("release");
    Ok(fs::read_to_string(&path)
        .with_context(|| format!("can't read {}", path.display()))?
        .trim()
        .to_owned())
}

/// The kernel's `lib/modules/RELEASE` as Debian packs it.
pub fn modules() -> Result<PathBuf> {
    let release = release()?;
    ["usr/lib/modules", "lib/modules"]
        .map(|path| dir().join("tree").join(path).join(&release))
        .into_iter()
        .find(|path| path.join("modules.builtin").exists())
        .with_context(|| format!("the packages of kernel {release} hold no modules.builtin"))
}

/// A file of Debian's kernel, found in any of the places that Debian has had it in.
pub fn file(name: &str) -> Result<PathBuf> {
    let (tree, release) = (dir().join("tree"), release()?);
    find(&tree, &release, name)
        .with_context(|| format!("the packages of kernel {release} hold no {name}"))
}

fn find(tree: &Path, release: &str, name: &str) -> Option<PathBuf> {
    [
        format!("usr/lib/modules/{release}/{name}"),
        format!("boot/{name}-{release}"),
        format!("usr/src/linux-headers-{release}/{name}"),
        format!("usr/src/linux-headers-{release}/.{name}"),
    ]
    .map(|path| tree.join(path))
    .into_iter()
    .find(|path| path.is_file())
}

/// A kernel that could be taken.
#[derive(Debug, PartialEq)]
struct Candidate {
    release: String,
    source: String,
}

/// Kernels among the packages whose source is there in the same version, the best first: the
/// newest of the series, then the newest of the others.
fn candidates(versions: &[(&str, &str)]) -> Vec<Candidate> {
    let version = |wanted: &str| {
        versions
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, version)| *version)
    };
    let mut found: Vec<_> = versions
        .iter()
        .filter_map(|(name, image_version)| {
            let release = name
                .strip_prefix("linux-image-")
                .filter(|release| release.ends_with(FLAVOUR))?;
            let series = release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
            let source = format!("linux-source-{series}");
            (version(&source) == Some(*image_version)).then(|| {
                (
                    series,
                    numbers(release),
                    Candidate {
                        release: release.to_owned(),
                        source,
                    },
                )
            })
        })
        .collect();
    found.sort_by(|(series_a, numbers_a, _), (series_b, numbers_b, _)| {
        (series_b == SERIES, numbers_b).cmp(&(series_a == SERIES, numbers_a))
    });
    found
        .into_iter()
        .map(|(_, _, candidate)| candidate)
        .collect()
}

/// The numbers of a release, which order releases.
fn numbers(release: &str) -> Vec<u32> {
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn make(task: &Task) -> Result<()> {
    let new = step::workplace(&dir())?;
    let apt = Apt::open()?;
    let versions: Vec<_> = apt
        .packages
        .iter()
        .map(|(name, package)| (&**name, &*package.version))
        .collect();
    let candidates = candidates(&versions);
    ensure!(
        !candidates.is_empty(),
        "Debian {SUITE} and its backports have no {FLAVOUR} kernel with its linux-source: try another mirror"
    );
    for Candidate { release, source } in &candidates {
        // Which of these there are differs from one release of Debian's packaging to the next.
        let names: Vec<_> = ["image", "base", "binary", "modules", "headers"]
            .map(|part| format!("linux-{part}-{release}"))
            .into_iter()
            .filter(|name| apt.packages.contains_key(name))
            .collect();
        let (debs, tree) = (new.join("debs"), new.join("tree"));
        apt.download(&names, &debs, task)?;
        task.at("unpacking");
        for deb in fs::read_dir(&debs)? {
            task.run(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .arg(deb?.path())
                    .arg(&tree),
            )?;
        }
        step::remove(&debs)?;
        let config = find(&tree, release, "config")
            .map(fs::read_to_string)
            .transpose()?
            .unwrap_or_default();
        if !config.lines().any(|line| line == "CONFIG_RUST=y") {
            task.note(&format!(
                "kernel {release} is built without CONFIG_RUST: trying the next"
            ));
            step::remove(&tree)?;
            continue;
        }
        task.note(&format!(
            "took kernel {release}, {source} {}",
            apt.packages[source].version
        ));
        apt.download(std::slice::from_ref(source), &debs, task)?;
        let deb = fs::read_dir(&debs)?
            .next()
            .context("apt-get downloaded nothing")??;
        fs::rename(deb.path(), new.join("source.deb"))?;
        step::remove(&debs)?;
        step::write_whole(&new.join("release"), &format!("{release}\n"))?;
        return step::install(&dir());
    }
    bail!("none of Debian {SUITE}'s {FLAVOUR} kernels is built with CONFIG_RUST=y: try another mirror")
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn the_newest_revision_of_the_series_comes_first() {
        let versions = [
            ("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1"),
            ("linux-image-7.3.10+deb13-cloud-amd64", "7.3.10-1"),
            ("linux-image-7.4.1+deb13-cloud-amd64", "7.4.1-1"),
            ("linux-image-7.2.12+deb13-cloud-amd64", "7.2.12-1"),
            ("linux-image-6.12.107+deb13-cloud-amd64", "6.12.107-1"),
            ("linux-image-7.4.1+deb13-cloud-amd64-dbg", "7.4.1-1"),
            ("linux-source-7.3", "7.3.10-1"),
            ("linux-source-7.4", "7.4.1-1"),
            ("linux-source-6.12", "6.12.107-1"),
        ];
        let releases: Vec<_> = candidates(&versions)
            .into_iter()
            .map(|candidate| candidate.release)
            .collect();
        assert_eq!(
            releases,
            [
                "7.3.10+deb13-cloud-amd64",
                "7.4.1+deb13-cloud-amd64",
                "6.12.107+deb13-cloud-amd64"
            ]
        );
    }
}
