// SPDX-License-Identifier: GPL-2.0

//! The selftests, run in the VM.

use std::fs;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use super::ktap::{Item, Outcome, Parser, TestResult};
use super::kunit;
use super::tally::Tally;
use crate::paths;
use crate::vm::job::{Input, Job, Output};
use crate::vm::pump::Sink;
use crate::vm::{self, MachineArgs};

/// What runs them, in the guest.
const RUNNER: &str = "/opt/tcp_dispatch/selftests/run";

/// How long all of them may take.
const SECONDS: u64 = 2700;

/// The runner's output on its way to the tally.
struct Report {
    tally: Tally,
    parser: Parser,
    /// What came of the line that has not ended.
    rest: Vec<u8>,
}

impl Report {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(&line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        for item in self.parser.line(&String::from_utf8_lossy(line)) {
            self.tally.item(item);
        }
    }

    fn end(mut self) -> Tally {
        let rest = std::mem::take(&mut self.rest);
        self.line(&rest);
        for item in self.parser.end() {
            self.tally.item(item);
        }
        self.tally
    }
}

/// Runs those that match `filter` and adds their results to `tally`.
pub fn run(machine: MachineArgs, filter: Option<String>, mut tally: Tally) -> Result<Tally> {
    let name = machine.kernel.clone();
    tally.begin(&format!("Selftests in the VM, {name} kernel"));
    let failed_before = tally.failed();
    let job = Job {
        timeout: Some(machine.timeout(SECONDS)),
        machine,
        module: true,
        share: None,
        plugin: None,
        input: Input::None,
        output: Output::Ours,
        command: [RUNNER.into()]
            .into_iter()
            .chain(filter.map(Into::into))
            .collect(),
    };
    let (mut tally, outcome) = reported(job, tally)?;

    tests_of_the_module(&name, outcome.console.messages(), &mut tally);
    judge(outcome, failed_before, &mut tally);
    Ok(tally)
}

/// Boots the VM for a job whose output is a report, and adds its results to `tally` as they come.
pub fn reported(mut job: Job, tally: Tally) -> Result<(Tally, vm::Outcome)> {
    let report = Arc::new(Mutex::new(Report {
        tally,
        parser: Parser::default(),
        rest: Vec::new(),
    }));
    let taken = Arc::clone(&report);
    let sink: Sink = Box::new(move |bytes| {
        taken
            .lock()
            .expect("no thread panics while it holds this")
            .take(bytes);
        Ok(())
    });
    job.output = Output::To(sink);
    let outcome = vm::boot(job)?;
    // The thread that took the output is done, and dropped its share.
    let report = Arc::try_unwrap(report)
        .ok()
        .context("the guest's output did not end")?;
    let tally = report.into_inner().expect("no thread panicked").end();
    Ok((tally, outcome))
}

/// Counts what the report doesn't say: how the run itself ended.
pub fn judge(outcome: vm::Outcome, failed_before: usize, tally: &mut Tally) {
    match outcome.verdict {
        Ok(0) => {}
        Ok(status) if tally.failed() == failed_before => {
            tally.problem(&format!(
                "the selftests' runner ended with status {status} and reported no failure"
            ));
        }
        Ok(_) => {}
        Err(_) => tally.problem(&outcome.failure().unwrap_or_default()),
    }
}

/// Shows what KUnit said of the module's own tests, or why it said nothing.
fn tests_of_the_module<'a>(
    kernel: &str,
    messages: impl Iterator<Item = &'a str>,
    tally: &mut Tally,
) {
    tally.begin("KUnit tests in the module");
    let items = kunit::reports(messages);
    if items.is_empty() {
        match why_none(kernel) {
            Some(reason) => {
                let path = vec!["kunit".into()];
                tally.result(
                    &TestResult {
                        path,
                        outcome: Outcome::Skipped(reason),
                        diagnostics: Vec::new(),
                    },
                    None,
                );
            }
            None => tally.problem("the module has tests for KUnit, and none of them reported"),
        }
    }
    for item in items {
        match item {
            Item::Result(result) => tally.result(&result, None),
            Item::Problem(problem) => tally.problem(&problem),
        }
    }
}

/// Why there need not be any result of KUnit.
fn why_none(kernel: &str) -> Option<String> {
    let config =
        fs::read_to_string(paths::kernel(kernel).join("build/.config")).unwrap_or_default();
    if !config.lines().any(|line| line == "CONFIG_KUNIT=y") {
        return Some(format!(
            "the {kernel} kernel has no KUnit; KERNEL=debug has"
        ));
    }
    let module = paths::build().join(format!("guest-{kernel}/tcp_dispatch.ko"));
    let section = b".kunit_test_suites\0";
    let has_tests = fs::read(module)
        .is_ok_and(|module| module.windows(section.len()).any(|bytes| bytes == section));
    (!has_tests).then(|| "the module has no tests for KUnit".into())
}
