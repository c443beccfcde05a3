// SPDX-License-Identifier: GPL-2.0

//! Debian 13's packages for a host that runs another release: apt with lists of its own.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{anyhow, ensure, Context, Result};

use super::mirror::{mirror, sources, OVERRIDE};
use super::progress::Task;
use super::step::write_whole;
use crate::paths;

/// Debian's keys, where its `debian-archive-keyring` puts them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What apt knows of a package.
pub struct Package {
    /// Its version.
    pub version: String,
    /// The size of its .deb in bytes.
    pub size: u64,
}

/// The packages of a Debian suite and its backports, by name.
pub struct Apt {
    dir: PathBuf,
    /// The newest version of each package.
    pub packages: HashMap<String, Package>,
}

impl Apt {
    /// Fetches the lists for `suite`: the first that set-up asks of the network.
    pub fn update(suite: &str, task: &Task) -> Result<()> {
        let apt = Self::new();
        for part in ["lists/partial", "archives/partial", "sources.list.d"] {
            fs::create_dir_all(apt.dir.join(part))?;
        }
        // apt on Debian 13 no longer trusts Debian's keys for a source that doesn't name them.
        let signed = if Path::new(KEYRING).exists() {
            format!("deb [signed-by={KEYRING}] ")
        } else {
            "deb ".into()
        };
        let list = sources(suite).replace("deb ", &signed);
        write_whole(&apt.dir.join("sources.list"), &list)?;
        let mut update = apt.command("apt-get");
        update.args(["--option", "APT::Update::Error-Mode=any", "update"]);
        task.run(&mut update).map_err(|error| {
            let error = error.to_string();
            let lines = error.lines().map(str::trim);
            let why = lines
                .filter_map(|line| line.strip_prefix("E: "))
                .next()
                .unwrap_or("see the log");
            anyhow!(
                "the package mirror {} doesn't answer as it should ({why}): check the network, or set \
                 {OVERRIDE} to another mirror, then try again",
                mirror()
            )
        })
    }

    /// Reads the lists that [`Apt::update`] fetched.
    pub fn open() -> Result<Self> {
        let mut apt = Self::new();
        apt.read()?;
        Ok(apt)
    }

    fn new() -> Self {
        Self {
            dir: paths::cache().join("apt"),
            packages: HashMap::new(),
        }
    }

    /// apt's program `name`, with its state in the cache instead of `/var`.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let dir = self.dir.display();
        for option in [
            format!("Dir::Etc::SourceList={dir}/sources.list"),
            format!("Dir::Etc::SourceParts={dir}/sources.list.d"),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={dir}/lists"),
            "Dir::State::Status=/dev/null".to_owned(),
            format!("Dir::Cache={dir}"),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures::=amd64".to_owned(),
            // The cache may lie where apt's own user can't go.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::http::Timeout=20".to_owned(),
            "Acquire::https::Timeout=20".to_owned(),
        ] {
            command.args(["--option", &option]);
        }
        command
    }

    fn read(&mut self) -> Result<()> {
        let output = self
            .command("apt-cache")
            .arg("dumpavail")
            .output()
            .context("can't run apt-cache")?;
        ensure!(
            output.status.success(),
            "apt-cache dumpavail failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        for paragraph in String::from_utf8_lossy(&output.stdout).split("\n\n") {
            let field = |name: &str| {
                paragraph
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                    .map(str::to_owned)
            };
            let (Some(name), Some(version), Some(size)) =
                (field("Package"), field("Version"), field("Size"))
            else {
                continue;
            };
            self.packages.insert(
                name,
                Package {
                    version,
                    size: size.parse().unwrap_or(0),
                },
            );
        }
        ensure!(
            !self.packages.is_empty(),
            "the package mirror {} lists no packages: set {OVERRIDE} to another one",
            mirror()
        );
        Ok(())
    }

    /// Downloads the .debs of `names` into `dir`.
    pub fn download(&self, names: &[String], dir: &Path, task: &Task) -> Result<()> {
        fs::create_dir_all(dir)?;
        let total = names
            .iter()
            .filter_map(|name| self.packages.get(name))
            .map(|package| package.size)
            .sum();
        let mut command = self.command("apt-get");
        command.arg("download").args(names).current_dir(dir);
        let before = size(dir);
        task.run_watched(&mut command, |_| {
            let done = size(dir).saturating_sub(before);
            Some(format!(
                "downloading: {} of {} MB",
                done.min(total) / 1_000_000,
                total / 1_000_000
            ))
        })
        .with_context(|| {
            format!(
                "can't download {}: check the network, then try again",
                names.join(", ")
            )
        })
    }
}

/// The size of the files of `dir`.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|data| data.len())
        .sum()
}
