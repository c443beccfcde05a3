// SPDX-License-Identifier: GPL-2.0

//! What was executed in the windows that the bench opened, and for what.

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;

use super::symbols::Symbols;

/// How often the block of code at each address was executed, times its instructions.
pub type Counts = Vec<(u64, u64)>;

/// What the bench says of a window.
#[derive(Deserialize)]
pub struct Run {
    /// What it was for.
    pub dispatcher: String,
    /// How many operations it spans.
    pub operations: u64,
}

/// A window, and what was done in it.
pub struct Window {
    /// How many operations it spans.
    pub operations: u64,
    /// What was executed.
    pub counts: Counts,
    /// The symbols that the kernel had.
    pub symbols: Symbols,
}

/// Reads what the plugin wrote: a line `window NUMBER` and lines `ADDRESS COUNT` for each window.
pub fn counts(text: &str) -> Result<Vec<Counts>> {
    let mut windows = Vec::new();
    for line in text.lines() {
        if line.starts_with("window ") {
            windows.push(Counts::new());
            continue;
        }
        let count = line.split_once(' ').and_then(|(address, count)| {
            Some((u64::from_str_radix(address, 16).ok()?, count.parse().ok()?))
        });
        match (windows.last_mut(), count) {
            (Some(window), Some(count)) => window.push(count),
            _ => bail!("the profiler wrote `{line}` instead of an address and a count"),
        }
    }
    Ok(windows)
}

/// What the bench said: a line of JSON for each window, and after it the symbols that the kernel had
/// then. A dispatcher that unloads its modules takes theirs away.
fn runs(said: &str) -> Result<Vec<(Run, Vec<&str>)>> {
    let mut runs: Vec<(Run, Vec<&str>)> = Vec::new();
    for line in said.lines() {
        match runs.last_mut() {
            Some((_, symbols)) if !line.starts_with('{') => symbols.push(line),
            _ => {
                let run = serde_json::from_str(line).with_context(|| {
                    format!("the bench said `{line}` instead of what a window was for")
                })?;
                runs.push((run, Vec::new()));
            }
        }
    }
    Ok(runs)
}

/// Brings together what the bench said and what the plugin saw in `windows`, which were for
/// `dispatchers` in this order.
pub fn matched<'said, T>(
    dispatchers: &[&str],
    said: &'said str,
    windows: Vec<T>,
) -> Result<Vec<(Run, Vec<&'said str>, T)>> {
    let runs = runs(said)?;
    let (told, seen, due) = (runs.len(), windows.len(), dispatchers.len());
    ensure!(
        told == due && seen == due,
        "the bench told of {told} windows and the profiler saw {seen}: each should be {due}"
    );
    let each = dispatchers.iter().zip(runs).zip(windows);
    each.map(|((dispatcher, (run, symbols)), window)| {
        ensure!(
            run.dispatcher == *dispatcher,
            "the bench had a window for {} where one for {dispatcher} was due",
            run.dispatcher
        );
        ensure!(
            run.operations > 0,
            "the bench did no operation for {dispatcher}"
        );
        Ok((run, symbols, window))
    })
    .collect()
}

/// Brings together what the bench said and what the plugin counted, for these two `dispatchers`.
pub fn pair(dispatchers: [&str; 2], said: &str, counts: Vec<Counts>) -> Result<[Window; 2]> {
    let mut windows =
        matched(&dispatchers, said, counts)?
            .into_iter()
            .map(|(run, then, counts)| {
                anyhow::Ok(Window {
                    operations: run.operations,
                    counts,
                    symbols: Symbols::parse(then)?,
                })
            });
    let mut next = || windows.next().expect("there are two");
    Ok([next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: &str = "{\"dispatcher\": \"direct\", \"operations\": 10}\n";
    const OURS: &str = "{\"dispatcher\": \"tcp_dispatch\", \"operations\": 20}\n";

    const EARLY: &str = "ffffffff81000000 T _text\nffffffffc0000000 t early\t[module]\n";
    const LATE: &str = "ffffffff81000000 T _text\nffffffffc0000000 t late\t[module]\n";

    fn error(dispatchers: [&str; 2], said: &[&str], counts: &[Counts]) -> String {
        of(dispatchers, said, counts).err().unwrap().to_string()
    }

    fn of(dispatchers: [&str; 2], said: &[&str], counts: &[Counts]) -> Result<[Window; 2]> {
        pair(dispatchers, &said.concat(), counts.to_vec())
    }

    #[test]
    fn each_window_has_its_counts() {
        let text = "window 1\nffffffff81000000 12\n401000 3\nwindow 2\nwindow 3\n401000 4\n";
        assert_eq!(
            counts(text).unwrap(),
            [
                vec![(0xffff_ffff_8100_0000, 12), (0x40_1000, 3)],
                vec![],
                vec![(0x40_1000, 4)]
            ]
        );
    }

    #[test]
    fn what_is_neither_a_window_nor_a_count_is_refused() {
        assert!(counts("401000 3\n").is_err());
        assert!(counts("window 1\n401000\n").is_err());
        assert!(counts("window 1\nmain 3\n").is_err());
    }

    #[test]
    fn windows_belong_to_dispatchers_in_their_order() {
        let counted = [vec![(1, 2)], vec![(3, 4)]];
        let dispatchers = ["direct", "tcp_dispatch"];
        let [direct, ours] = of(dispatchers, &[DIRECT, EARLY, OURS, LATE], &counted).unwrap();
        assert_eq!((direct.operations, direct.counts), (10, vec![(1, 2)]));
        assert_eq!((ours.operations, ours.counts), (20, vec![(3, 4)]));
        assert!(of(dispatchers, &[OURS, EARLY, DIRECT, LATE], &counted).is_err());
    }

    #[test]
    fn a_window_has_the_symbols_that_come_with_it() {
        let counted = [vec![], vec![]];
        let said = [DIRECT, EARLY, OURS, LATE];
        let [direct, ours] = of(["direct", "tcp_dispatch"], &said, &counted).unwrap();
        assert_eq!(direct.symbols.function(0xffff_ffff_c000_0000).name, "early");
        assert_eq!(ours.symbols.function(0xffff_ffff_c000_0000).name, "late");
    }

    #[test]
    fn a_missing_window_is_an_error() {
        assert_eq!(
            error(["direct", "tcp_dispatch"], &[DIRECT, OURS], &[vec![(1, 2)]]),
            "the bench told of 2 windows and the profiler saw 1: each should be 2"
        );
    }

    #[test]
    fn a_window_without_operations_is_an_error() {
        let none = DIRECT.replace("10", "0");
        assert_eq!(
            error(
                ["direct"; 2],
                &[&none, EARLY, DIRECT, LATE],
                &[vec![], vec![]]
            ),
            "the bench did no operation for direct"
        );
    }

    #[test]
    fn what_else_the_bench_says_is_refused() {
        let counted = [vec![], vec![]];
        assert_eq!(
            error(["direct"; 2], &["hello\n", DIRECT, DIRECT], &counted),
            "the bench said `hello` instead of what a window was for"
        );
        assert_eq!(
            error(["direct"; 2], &[DIRECT, "hello\n", DIRECT], &counted),
            "the guest's list of symbols has a line `hello`"
        );
    }
}
