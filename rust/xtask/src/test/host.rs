// SPDX-License-Identifier: GPL-2.0

//! The tests that need no kernel: `cargo test` of the workspace.

use std::env;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::tally::Tally;
use crate::paths;
use crate::vm::child;

/// Runs them, shows what cargo says, and counts.
pub fn run(tally: &mut Tally) -> Result<()> {
    tally.begin("Tests on the host");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let colour = if std::io::stdout().is_terminal() {
        "always"
    } else {
        "never"
    };
    let mut command = Command::new(cargo);
    command
        .args([
            "test",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
            "--color",
            colour,
            "--",
            "--color",
            colour,
        ])
        .current_dir(paths::checkout());
    let mut child = child::tied(&command)
        .stdout(Stdio::piped())
        .spawn()
        .context("can't run cargo to test the workspace")?;
    let before = tally.failed();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.context("can't read what cargo says")?;
        println!("{line}");
        if let Some((passed, failed, ignored)) = counts(&line) {
            tally.count(passed, failed, ignored);
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed() == before {
        tally.problem(&format!(
            "cargo test ended with {status} and named no failed test: see above"
        ));
    }
    Ok(())
}

/// Reads how many passed, failed and were ignored from the line that sums a test binary up.
fn counts(line: &str) -> Option<(usize, usize, usize)> {
    let (_, sums) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let sum = |what: &str| {
        let number = sums
            .split("; ")
            .find_map(|sum| sum.trim().strip_suffix(what))?;
        number.trim().parse().ok()
    };
    Some((sum(" passed")?, sum(" failed")?, sum(" ignored")?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn sums_are_read_from_the_line_that_has_them() {
        let line = "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(counts(line), Some((12, 1, 2)));
        let coloured = "test result: \x1b[32mok\x1b[m. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(counts(coloured), Some((3, 0, 0)));
        assert_eq!(counts("test result_is_read ... ok"), None);
    }
}
