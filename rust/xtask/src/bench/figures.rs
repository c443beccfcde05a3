// SPDX-License-Identifier: GPL-2.0

//! The guard: what the layer costs, against the figures that are kept in the repository.
//!
//! What is guarded is the difference of two counts, a few percent of them, so noise must be judged
//! by that difference. It is the larger of two things: what the measurements of this run leave open,
//! and what runs were seen to differ by.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::report::{grouped, signed, Report, IPV4, OURS};
use crate::paths;

/// By how much the layer's cost may be over its figure, as a share of that.
const TOLERANCE: f64 = 0.03;

/// What is guarded, and what noise is at least, as a share of direct's count: about twice of what the
/// difference of two counts was seen to change by from one run to the next. The echo isn't guarded: a
/// packet more or less, which is chance, is as much as all that the layer adds to it.
const GUARDED: [(&str, f64); 3] = [
    ("round-trip", 0.0005),
    ("connect", 0.002),
    ("unrelated", 0.0005),
];

/// Instructions that the layer adds, by dispatcher and operation.
type Adds = BTreeMap<String, BTreeMap<String, f64>>;

/// The figures that are kept in the repository.
#[derive(Serialize, Deserialize, Default, PartialEq, Debug)]
pub struct Figures {
    /// What they are.
    what: String,
    /// What was measured, with its version.
    versions: BTreeMap<String, String>,
    /// The figures.
    adds: Adds,
}

/// How one cost compares with its figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// More than it may be.
    Over,
    /// So much less that the figure should be recorded anew.
    Under,
    /// Neither.
    Same,
    /// Neither, as far as noise lets one tell, which is more than what is looked for.
    Unclear,
}

/// One comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Which of the layer's settings.
    pub dispatcher: String,
    /// Which operation.
    pub operation: String,
    figure: f64,
    adds: f64,
    noise: f64,
    /// What comes of it.
    pub verdict: Verdict,
}

impl Finding {
    /// Compares; `spread` is what the measurements of this run leave open, `floor` what runs were
    /// seen to differ by.
    fn new(name: [&str; 2], figure: f64, adds: f64, spread: f64, floor: f64) -> Self {
        let visible = (TOLERANCE * figure).max(floor);
        let verdict = match adds - figure {
            more if more > visible.max(spread) => Verdict::Over,
            less if less < -visible.max(spread) => Verdict::Under,
            _ if spread > visible => Verdict::Unclear,
            _ => Verdict::Same,
        };
        let [dispatcher, operation] = name.map(str::to_owned);
        Self {
            dispatcher,
            operation,
            figure,
            adds,
            noise: spread.max(floor),
            verdict,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = match self.verdict {
            Verdict::Over => "more than 3 % over",
            Verdict::Under => "more than 3 % under",
            Verdict::Same => "as good as",
            Verdict::Unclear => "which is too noisy to compare with",
        };
        write!(
            f,
            "{}, {}: adds {} instructions, {comparison} the figure of {} ({}; noise {})",
            self.dispatcher,
            self.operation,
            grouped(self.adds.round() as i64),
            grouped(self.figure.round() as i64),
            signed(self.adds - self.figure),
            grouped(self.noise.round() as i64),
        )
    }
}

impl Figures {
    /// The file that holds them.
    pub fn path() -> PathBuf {
        paths::checkout().join("selftests/bench/figures.json")
    }

    /// The figures of runs: the weighted mean of those that measured each.
    pub fn of(runs: &[Report]) -> Self {
        let mut adds = Adds::new();
        for dispatcher in OURS {
            for (operation, floor) in GUARDED {
                if let Some((cost, _)) = mean_cost(runs, dispatcher, operation, floor) {
                    let one = adds.entry(dispatcher.into()).or_default();
                    one.insert(operation.into(), (cost * 10.0).round() / 10.0);
                }
            }
        }
        Self {
            what: "instructions that the layer adds to direct: IPv4, remote client, one process"
                .into(),
            versions: runs
                .first()
                .map(|run| run.versions.clone())
                .unwrap_or_default(),
            adds,
        }
    }

    /// Reads them; nothing if none were recorded yet.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text =
            fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        let figures = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no figures", path.display()))?;
        Ok(Some(figures))
    }

    /// Writes them.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// Compares what runs measured with them: the weighted mean of those that measured it.
    pub fn compare(&self, runs: &[Report]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (dispatcher, figures) in &self.adds {
            for (operation, floor) in GUARDED {
                let direct = runs
                    .iter()
                    .find_map(|run| run.direct(IPV4, "remote", operation));
                let cost = mean_cost(runs, dispatcher, operation, floor);
                if let (Some(&figure), Some(direct), Some((adds, spread))) =
                    (figures.get(operation), direct, cost)
                {
                    let floor = floor * direct.count();
                    let name = [dispatcher, operation];
                    findings.push(Finding::new(name, figure, adds, spread, floor));
                }
            }
        }
        findings
    }
}

/// The mean of costs of independent runs, and what they leave open of it. Each run weighs the less the
/// more it leaves open itself: once in some ten runs the guest is busy with something else for a while,
/// and one of two measurements is worth nothing. What is below `floor` weighs the same.
fn mean(costs: impl Iterator<Item = (f64, f64)>, floor: f64) -> Option<(f64, f64)> {
    let (mut sum, mut squares, mut weights) = (0.0, 0.0, 0.0);
    for (adds, spread) in costs {
        let weight = spread.max(floor).powi(-2);
        sum += weight * adds;
        squares += (weight * spread).powi(2);
        weights += weight;
    }
    (weights > 0.0).then(|| (sum / weights, squares.sqrt() / weights))
}

/// The mean of what runs measured of it, `floor` being the least share of direct's count that a run
/// leaves open.
fn mean_cost(runs: &[Report], dispatcher: &str, operation: &str, floor: f64) -> Option<(f64, f64)> {
    let direct = runs
        .iter()
        .find_map(|run| run.direct(IPV4, "remote", operation))?;
    let costs = runs
        .iter()
        .filter_map(|run| cost(run, dispatcher, operation));
    mean(costs, floor * direct.count())
}

/// What a dispatcher adds to direct over IPv4, and what the measurements leave open of that. IPv6
/// isn't guarded, since quick runs don't measure it.
fn cost(report: &Report, dispatcher: &str, operation: &str) -> Option<(f64, f64)> {
    let one = report.plain(dispatcher, IPV4, "remote", operation)?;
    let direct = report.direct_of(one)?;
    Some((one.count() - direct.count(), one.spread() + direct.spread()))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::super::report::tests::{measurement, over_ipv6, report};
    use super::*;

    fn run(direct: [f64; 2], ours: [f64; 2]) -> Report {
        report(vec![
            measurement("direct", "round-trip", direct),
            measurement("tcp_dispatch", "round-trip", ours),
        ])
    }

    fn figures(run: &Report) -> Figures {
        Figures::of(slice::from_ref(run))
    }

    fn verdict(before: &Report, now: &Report) -> Verdict {
        let findings = figures(before).compare(slice::from_ref(now));
        assert_eq!(findings.len(), 1);
        findings[0].verdict
    }

    #[test]
    fn figures_are_the_mean_of_the_runs() {
        let runs = [39_000.0, 39_060.0, 39_300.0].map(|ours| run([36_000.0; 2], [ours; 2]));
        let mean = run([36_000.0; 2], [39_120.0; 2]);
        assert_eq!(Figures::of(&runs), figures(&mean));
    }

    #[test]
    fn a_cost_of_up_to_three_percent_more_passes_and_more_fails() {
        let before = run([36_000.0; 2], [39_000.0; 2]);
        assert_eq!(
            verdict(&before, &run([36_000.0; 2], [39_089.0; 2])),
            Verdict::Same
        );
        assert_eq!(
            verdict(&before, &run([36_000.0; 2], [39_091.0; 2])),
            Verdict::Over
        );
    }

    #[test]
    fn a_cost_that_is_much_lower_is_to_be_recorded() {
        let before = run([36_000.0; 2], [39_000.0; 2]);
        assert_eq!(
            verdict(&before, &run([36_000.0; 2], [38_000.0; 2])),
            Verdict::Under
        );
    }

    #[test]
    fn a_kernel_that_is_slower_by_itself_is_not_the_layers_fault() {
        let before = run([36_000.0; 2], [39_000.0; 2]);
        assert_eq!(
            verdict(&before, &run([40_000.0; 2], [43_000.0; 2])),
            Verdict::Same
        );
    }

    #[test]
    fn what_may_be_noise_is_neither_a_failure_nor_passed() {
        let before = run([36_000.0; 2], [39_000.0; 2]);
        let noisy = run([35_990.0, 36_010.0], [39_080.0, 39_180.0]);
        assert_eq!(verdict(&before, &noisy), Verdict::Over);
        let noisier = run([35_910.0, 36_090.0], [39_080.0, 39_180.0]);
        assert_eq!(verdict(&before, &noisier), Verdict::Unclear);
        // A small cost is not judged by less than runs differ by.
        let before = run([36_000.0; 2], [36_100.0; 2]);
        assert_eq!(
            verdict(&before, &run([36_000.0; 2], [36_110.0; 2])),
            Verdict::Same
        );
        assert_eq!(
            verdict(&before, &run([36_000.0; 2], [36_120.0; 2])),
            Verdict::Over
        );
    }

    #[test]
    fn several_runs_tell_what_one_leaves_open() {
        let figures = figures(&run([36_000.0; 2], [39_000.0; 2]));
        let noisy = || run([35_900.0, 36_100.0], [39_000.0; 2]);
        let verdict = |runs: &[Report]| figures.compare(runs)[0].verdict;
        assert_eq!(verdict(&[noisy()]), Verdict::Unclear);
        assert_eq!(verdict(&[noisy(), noisy()]), Verdict::Same);
        // What is over stays over.
        let over = || run([35_900.0, 36_100.0], [39_120.0; 2]);
        assert_eq!(verdict(&[over(), over()]), Verdict::Over);
        assert_eq!(verdict(&[noisy(), over(), over(), over()]), Verdict::Same);
        // A run that left it out says nothing of it.
        assert_eq!(
            verdict(&[noisy(), noisy(), report(Vec::new())]),
            Verdict::Same
        );
    }

    #[test]
    fn a_run_in_which_the_guest_was_busy_hardly_counts() {
        let figures = figures(&run([36_000.0; 2], [39_000.0; 2]));
        let verdict = |runs: &[Report]| figures.compare(runs)[0].verdict;
        let busy = || run([36_000.0; 2], [39_000.0, 40_400.0]);
        let calm = || run([36_000.0; 2], [39_010.0; 2]);
        assert_eq!(verdict(&[busy()]), Verdict::Unclear);
        assert_eq!(verdict(&[busy(), calm()]), Verdict::Same);
        let over = || run([36_000.0; 2], [39_110.0; 2]);
        assert_eq!(verdict(&[busy(), over()]), Verdict::Over);
        let added = Figures::of(&[busy(), calm(), calm()]).adds["tcp_dispatch"]["round-trip"];
        assert!((3010.0..3012.0).contains(&added), "{added}");
    }

    #[test]
    fn what_is_measured_over_ipv6_is_neither_a_figure_nor_compared_with_one() {
        let alone = run([36_000.0; 2], [39_000.0; 2]);
        let mut both = run([36_000.0; 2], [39_000.0; 2]);
        both.measurements.splice(
            0..0,
            [
                over_ipv6("direct", "round-trip", [38_000.0; 2]),
                over_ipv6("tcp_dispatch", "round-trip", [48_000.0; 2]),
                over_ipv6("direct", "connect", [150_000.0; 2]),
                over_ipv6("tcp_dispatch", "connect", [160_000.0; 2]),
            ],
        );
        assert_eq!(figures(&both), figures(&alone));
        assert_eq!(verdict(&alone, &both), Verdict::Same);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let path = std::env::temp_dir().join(format!("figures-{}.json", std::process::id()));
        let figures = figures(&run([36_000.0; 2], [39_000.0; 2]));
        figures.write(&path).unwrap();
        assert_eq!(Figures::read(&path).unwrap(), Some(figures));
        fs::remove_file(&path).unwrap();
        assert_eq!(Figures::read(&path).unwrap(), None);
    }

    #[test]
    fn a_finding_says_what_is_over_and_by_how_much() {
        let finding = Finding::new(["tcp_dispatch", "echo"], 1000.0, 1200.0, 12.0, 36.6);
        assert_eq!(
            finding.to_string(),
            "tcp_dispatch, echo: adds 1,200 instructions, more than 3 % over the figure of 1,000 \
             (+200; noise 37)"
        );
    }
}
