// SPDX-License-Identifier: GPL-2.0

//! Results: a line each as they come, and how many in the end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use super::ktap::{Item, Outcome, TestResult};

/// How many tests had which result.
pub struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    colours: bool,
}

impl Default for Tally {
    fn default() -> Self {
        let colours = std::io::stdout().is_terminal();
        Self {
            passed: 0,
            failed: 0,
            skipped: 0,
            colours,
        }
    }
}

impl Tally {
    /// Begins a group of tests.
    pub fn begin(&mut self, title: &str) {
        println!("\n{}", self.paint("1", title));
    }

    /// Counts results that were shown already.
    pub fn count(&mut self, passed: usize, failed: usize, skipped: usize) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }

    /// How many failed so far.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Shows what a line of a report made known, `time` after the last one.
    pub fn item(&mut self, item: Item, time: Duration) {
        match item {
            Item::Result(result) => self.result(&result, Some(time)),
            Item::Problem(problem) => self.problem(&problem),
        }
    }

    /// Shows a result with its diagnostics.
    pub fn result(&mut self, result: &TestResult, time: Option<Duration>) {
        let name = result.path.join(": ");
        let time = time.map_or_else(String::new, |time| {
            format!(" ({:.1} s)", time.as_secs_f64())
        });
        match &result.outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("{}  {name}{time}", self.paint("32", "ok    "));
                explain(&result.diagnostics);
            }
            Outcome::Failed => {
                self.failed += 1;
                println!("{}  {name}{time}", self.paint("1;31", "not ok"));
                explain(&result.diagnostics);
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                let reason = if reason.is_empty() {
                    "no reason is given"
                } else {
                    reason
                };
                println!("{}  {name}: {reason}{time}", self.paint("33", "SKIP  "));
            }
        }
    }

    /// Shows something that counts as a failure and is no test's result.
    pub fn problem(&mut self, problem: &str) {
        self.failed += 1;
        println!(
            "{}  {}",
            self.paint("1;31", "not ok"),
            problem.replace('\n', "\n        ")
        );
    }

    /// Prints the count, alone in the last line, and says whether all is well.
    pub fn finish(mut self) -> ExitCode {
        println!();
        if self.passed + self.failed == 0 {
            self.problem("no test ran");
        }
        let skipped = if self.skipped > 0 {
            format!(", {} skipped", self.skipped)
        } else {
            String::new()
        };
        println!("{} passed, {} failed{skipped}", self.passed, self.failed);
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[m")
        } else {
            text.to_owned()
        }
    }
}

/// Shows what belongs to the result above.
fn explain(diagnostics: &[String]) {
    for line in diagnostics {
        println!("        {line}");
    }
}
