// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`: what dispatchers cost, in instructions.

mod chart;
mod figures;
mod report;
mod table;
mod vms;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use crate::paths;
use crate::setup::{self, progress};
use crate::vm::job::{Input, Job, Output};
use crate::vm::pump::Kept;
use crate::vm::{self, MachineArgs};
use figures::{Figures, Finding, Verdict};
use report::Report;

/// What measures, in the guest.
const RUNNER: &str = "/opt/tcp_dispatch/selftests/bench/run";

/// A guest's memory in megabytes: room for a million connections of each dispatcher.
const MEGABYTES: u32 = 3072;

/// How long it may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure only what the layer's own cost needs, and compare that with the figures that are
    /// kept in the repository
    #[arg(long)]
    quick: bool,
    /// Keep what was measured: a whole run as the README's chart, the mean of three quick ones as
    /// figures
    #[arg(long)]
    record: bool,
    /// Measure nothing: take what an earlier run left in FILE, as build/bench.json
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Measures, shows what came of it, and compares.
pub fn run(args: Args) -> Result<ExitCode> {
    let started = Instant::now();
    let report = match &args.from {
        Some(file) => read(file)?,
        None => measure(if args.quick { &["--quick"] } else { &[] }, vms())?,
    };
    print!("{}", table::all(&report));
    println!();
    for line in &report.left_out {
        println!("left out: {line}");
    }
    let disagreements = report.measurements.iter().filter(|one| !one.agrees());
    for one in disagreements {
        println!("{}", one.disagreement());
    }
    for line in report.disagreements_of_vms() {
        println!("{line}");
    }
    if args.from.is_none() {
        let path = paths::build().join("bench.json");
        fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("can't write {}", path.display()))?;
        println!(
            "measured in {}; all of it: {}",
            progress::seconds(started.elapsed()),
            path.display()
        );
    }
    if args.record {
        let path = if args.quick {
            let mut runs = vec![report];
            while args.from.is_none() && runs.len() < RUNS {
                runs.push(measure(&["--quick"], vms())?);
            }
            Figures::of(&runs).write(&Figures::path())?;
            Figures::path()
        } else {
            let path = paths::checkout().join("Documentation/performance.svg");
            fs::write(&path, chart::svg(&report))
                .with_context(|| format!("can't write {}", path.display()))?;
            path
        };
        println!("recorded in {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    guard(report)
}

/// What an earlier run left in a file.
fn read(file: &Path) -> Result<Report> {
    let text =
        fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no measurements", file.display()))
}

/// How often what is over its figure, or can't be told, is measured in all before that is no chance;
/// and how many runs figures are the mean of.
const RUNS: usize = 3;

/// Compares with the figures.
fn guard(report: Report) -> Result<ExitCode> {
    let Some(figures) = Figures::read(&Figures::path())? else {
        println!(
            "there are no figures to compare with: `cargo xtask bench --quick --record` keeps some"
        );
        return Ok(ExitCode::SUCCESS);
    };
    let mut runs = vec![report];
    let of = |runs: &[Report], verdicts: &[Verdict]| -> Vec<Finding> {
        let mut findings = figures.compare(runs);
        findings.retain(|finding| verdicts.contains(&finding.verdict));
        findings
    };
    let under = of(&runs, &[Verdict::Under]);
    for finding in &under {
        println!("{finding}");
    }
    if !under.is_empty() {
        println!("that is faster: keep it with `cargo xtask bench --quick --record`");
    }
    loop {
        let suspected = of(&runs, &[Verdict::Over, Verdict::Unclear]);
        if suspected.is_empty() {
            println!("the layer costs no more than the figures in the repository");
            return Ok(ExitCode::SUCCESS);
        }
        let last = runs.len() == RUNS;
        for finding in &suspected {
            println!("{finding}{}", if last { "" } else { ": measuring again" });
        }
        if last {
            let unclear = |finding: &Finding| finding.verdict == Verdict::Unclear;
            if suspected.iter().all(unclear) {
                println!("{RUNS} runs were too noisy to tell what the layer costs");
            } else {
                println!(
                    "the layer costs more than the figures in {} allow: make it faster, or say in \
                     the commit why it must cost that and keep new figures with `cargo xtask bench \
                     --quick --record`",
                    Figures::path().display()
                );
            }
            return Ok(ExitCode::FAILURE);
        }
        let mut arguments = vec!["--quick", "--dispatcher", "direct"];
        let mut dispatchers = BTreeSet::new();
        for finding in &suspected {
            dispatchers.insert(&finding.dispatcher);
            arguments.extend(["--dispatcher", &finding.dispatcher]);
            arguments.extend(["--operation", &finding.operation]);
        }
        // None is to measure direct alone.
        let vms = vms().min(dispatchers.len() as u32);
        runs.push(measure(&arguments, vms)?);
    }
}

/// How many VMs share what is measured: each takes a core, and measures direct itself.
fn vms() -> u32 {
    const MOST: usize = 2;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(MOST) as u32
}

/// Boots VMs that count instructions, and has each of them measure its share.
fn measure(arguments: &[&str], vms: u32) -> Result<Report> {
    setup::ensure("stock")?;
    let (jobs, printed): (Vec<_>, Vec<_>) = (1..=vms).map(|vm| job(arguments, vm, vms)).unzip();
    match vms {
        1 => eprintln!("booting Linux in a VM that counts instructions"),
        _ => eprintln!("booting Linux in {vms} VMs that count instructions"),
    }
    let mut reports = Vec::new();
    for (outcome, printed) in vm::boot_all(jobs)?.into_iter().zip(printed) {
        match &outcome.verdict {
            Ok(0) => {}
            Ok(status) => bail!("the measurements failed with status {status}: see above"),
            Err(_) => bail!(outcome.failure().unwrap_or_default()),
        }
        reports.push(Report::read(&String::from_utf8_lossy(&printed.take()))?);
    }
    let report = Report::of_vms(reports)?;
    ensure!(
        !report.measurements.is_empty(),
        "the guests measured nothing"
    );
    Ok(report)
}

/// What one of the VMs is to do, and what it will have printed.
fn job(arguments: &[&str], vm: u32, vms: u32) -> (Job, Kept) {
    let printed = Kept::default();
    let partition = format!("--partition={vm}/{vms}");
    let job = Job {
        machine: MachineArgs {
            kernel: "stock".into(),
            kvm: false,
            icount: true,
            cpus: 1,
            memory: Some(MEGABYTES),
        },
        module: true,
        share: None,
        plugin: None,
        input: Input::None,
        output: Output::To(printed.sink()),
        timeout: Some(TIMEOUT),
        command: [RUNNER, &partition]
            .iter()
            .chain(arguments)
            .map(Into::into)
            .collect(),
    };
    (job, printed)
}
