// SPDX-License-Identifier: GPL-2.0

//! Steps of set-up, and the stamps that tell which are done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{ensure, Context, Result};
use rustix::fs::{flock, FlockOperation};

use super::progress::{Progress, Task};
use crate::paths;

/// The line of a stamp that tells one making of a thing from the next.
const MADE: &str = "made at ";

/// A thing that set-up makes and keeps.
pub struct Step {
    /// What is made.
    pub name: &'static str,
    /// What for, in a line.
    pub why: &'static str,
    /// How many megabytes it takes in the cache.
    pub size: u64,
    /// Whether it takes packages from the mirror.
    pub downloads: bool,
    /// All that decides what comes out. A change of it makes the thing anew.
    pub inputs: fn() -> Result<String>,
    /// Makes it. It is done when this returns, and begun anew if it doesn't.
    pub make: fn(&Task) -> Result<()>,
}

impl Step {
    /// Whether the thing is there, made from the same inputs as it would be now.
    pub fn is_done(&self) -> bool {
        let stamp = fs::read_to_string(stamp(self.name)).unwrap_or_default();
        match (stamp.split_once(MADE), (self.inputs)()) {
            (Some((made_from, _)), Ok(inputs)) => made_from == inputs,
            _ => false,
        }
    }

    /// Makes the thing if it isn't there.
    pub fn run(&self, progress: &Progress) -> Result<()> {
        if self.is_done() {
            return Ok(());
        }
        let _lock = lock(self.name, progress)?;
        // Whoever had the lock may have made it.
        if self.is_done() {
            return Ok(());
        }
        let (stamp, inputs) = (stamp(self.name), (self.inputs)()?);
        if stamp.exists() {
            fs::remove_file(&stamp)?;
        }
        let task = progress.begin(self.name, self.why);
        (self.make)(&task)?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_nanos();
        write_whole(&stamp, &format!("{inputs}{MADE}{now}\n"))?;
        task.done();
        Ok(())
    }
}

/// Keeps other set-ups from making the thing called `name` as long as the file is open.
pub fn lock(name: &str, progress: &Progress) -> Result<File> {
    let path = stamp(name).with_extension("lock");
    fs::create_dir_all(path.parent().expect("it was joined"))?;
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        progress.note(&format!("{name}: waiting for another set-up that makes it"));
        flock(&file, FlockOperation::LockExclusive)?;
    }
    Ok(file)
}

/// A line for the inputs of a step that is made from `step`'s product.
pub fn made(step: &Step) -> String {
    let stamp = fs::read_to_string(stamp(step.name)).unwrap_or_default();
    let when = stamp
        .split_once(MADE)
        .map_or("never", |(_, when)| when.trim());
    // Not MADE itself: a stamp holds that once.
    format!("{} of {when}\n", step.name)
}

/// Where the stamp of the step called `name` is.
fn stamp(name: &str) -> PathBuf {
    paths::cache().join("stamps").join(name.replace(' ', "-"))
}

/// Writes a file so that it is there whole or not at all.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let dir = path.parent().expect("it is a file's path");
    fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
    let new = path.with_extension("new");
    fs::write(&new, text).with_context(|| format!("can't write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("can't write {}", path.display()))
}

/// Where a step makes `path` before it is whole; emptied of what an interrupted run left.
pub fn workplace(path: &Path) -> Result<PathBuf> {
    let new = path.with_extension("new");
    remove(&new)?;
    fs::create_dir_all(path.parent().expect("it lies in the cache"))?;
    Ok(new)
}

/// Puts what was made in [`workplace`] into place.
pub fn install(path: &Path) -> Result<()> {
    let (new, old) = (path.with_extension("new"), path.with_extension("old"));
    remove(&old)?;
    if path.exists() {
        fs::rename(path, &old)?;
    }
    fs::rename(&new, path).with_context(|| format!("can't put {} into place", path.display()))?;
    remove(&old)
}

/// Removes a file or a tree of the cache.
///
/// What is mounted inside is unmounted first, so that nothing beyond the cache is ever removed.
pub fn remove(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let inside = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .find(|at| Path::new(at).starts_with(path));
    if let Some(at) = inside {
        // Ours are made in private namespaces and never seen here; somebody tried by hand.
        let status = Command::new("umount")
            .args(["--recursive", "--lazy", at])
            .status()?;
        ensure!(
            status.success(),
            "{at} is mounted inside {}: unmount it, then try again",
            path.display()
        );
    }
    let gone = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    gone.with_context(|| format!("can't remove {}", path.display()))
}
