// SPDX-License-Identifier: GPL-2.0

//! The selftests, run in VMs.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

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

/// How long a VM may take: all of them in one, on a busy machine.
const SECONDS: u64 = 5400;

/// A runner's output on its way to the tally.
struct Report {
    tally: Arc<Mutex<Tally>>,
    parser: Parser,
    /// What came of the line that has not ended.
    rest: Vec<u8>,
    /// When the last line made something known.
    last: Instant,
    /// How many failures it had so far.
    failed: usize,
}

impl Report {
    fn new(tally: Arc<Mutex<Tally>>) -> Self {
        Self {
            tally,
            parser: Parser::default(),
            rest: Vec::new(),
            last: Instant::now(),
            failed: 0,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(&line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let items = self.parser.line(&String::from_utf8_lossy(line));
        self.show(items);
    }

    /// Takes what is left, and says how many failures there were.
    fn end(mut self) -> usize {
        let rest = std::mem::take(&mut self.rest);
        self.line(&rest);
        let items = std::mem::take(&mut self.parser).end();
        self.show(items);
        self.failed
    }

    fn show(&mut self, items: Vec<Item>) {
        let mut tally = lock(&self.tally);
        let failed = tally.failed();
        for item in items {
            tally.item(item, self.last.elapsed());
            self.last = Instant::now();
        }
        self.failed += tally.failed() - failed;
    }
}

/// Runs those that match `filter`, spread over `vms` VMs, and adds their results to `tally`.
pub fn run(
    machine: MachineArgs,
    vms: u32,
    filter: Option<String>,
    mut tally: Tally,
) -> Result<Tally> {
    let name = machine.kernel.clone();
    let place = match vms {
        1 => "the VM".into(),
        _ => format!("{vms} VMs"),
    };
    tally.begin(&format!("Selftests in {place}, {name} kernel"));
    let jobs = (1..=vms).map(|number| {
        let partition = format!("--partition={number}/{vms}");
        Job {
            timeout: Some(machine.timeout(SECONDS)),
            machine: machine.clone(),
            module: true,
            share: None,
            plugin: None,
            input: Input::None,
            output: Output::Ours,
            command: [RUNNER.into(), partition.into()]
                .into_iter()
                .chain(filter.as_ref().map(Into::into))
                .collect(),
        }
    });
    let (mut tally, runs) = reported(jobs.collect(), tally)?;

    // They are the same in each VM.
    tests_of_the_module(&name, runs[0].outcome.console.messages(), &mut tally);
    for run in runs {
        run.judge(&mut tally);
    }
    Ok(tally)
}

/// A run whose output was a report.
pub struct Run {
    outcome: vm::Outcome,
    /// How many failures the report had.
    failed: usize,
}

impl Run {
    /// Counts what the report doesn't say: how the run itself ended.
    pub fn judge(self, tally: &mut Tally) {
        match self.outcome.verdict {
            Ok(0) => {}
            Ok(status) if self.failed == 0 => tally.problem(&format!(
                "the selftests' runner ended with status {status} and reported no failure"
            )),
            Ok(_) => {}
            Err(_) => tally.problem(&self.outcome.failure().unwrap_or_default()),
        }
    }
}

/// Boots a VM for each of the jobs, whose outputs are reports, and adds their results to `tally` as
/// they come.
pub fn reported(mut jobs: Vec<Job>, tally: Tally) -> Result<(Tally, Vec<Run>)> {
    let tally = Arc::new(Mutex::new(tally));
    let mut reports = Vec::new();
    for job in &mut jobs {
        let report = Arc::new(Mutex::new(Report::new(Arc::clone(&tally))));
        let taken = Arc::clone(&report);
        let sink: Sink = Box::new(move |bytes| {
            lock(&taken).take(bytes);
            Ok(())
        });
        job.output = Output::To(sink);
        reports.push(report);
    }
    let outcomes = vm::boot_all(jobs)?;
    let mut runs = Vec::new();
    for (outcome, report) in outcomes.into_iter().zip(reports) {
        // The thread that took the output is done, and dropped its share.
        let report = Arc::into_inner(report).context("the guest's output did not end")?;
        let failed = report.into_inner().expect("no thread panicked").end();
        runs.push(Run { outcome, failed });
    }
    let tally = Arc::into_inner(tally).expect("the reports are gone");
    Ok((tally.into_inner().expect("no thread panicked"), runs))
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().expect("no thread panics while it holds this")
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
