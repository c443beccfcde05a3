// SPDX-License-Identifier: GPL-2.0

//! What was shared, as tables for people, and what of it is wrong.

use comfy_table::{presets, CellAlignment, Table};

use super::shared::{Rates, Shared};
use crate::profile::symbols::Function;

/// This project's module.
const MODULE: &str = "tcp_dispatch";

/// Less in a round trip than this is no packet's: a sweep or a timer that fell into the window.
const SELDOM: f64 = 0.01;

/// What the kernel's own functions have more to share because of the module, if they do it for each
/// round trip. Less is up to what else happens.
const MORE: f64 = 0.5;

/// The tables: of writes, of locks and of atomic instructions.
pub fn tables(dispatchers: &[&str], windows: &[Shared]) -> String {
    let operations = windows.iter().map(|window| window.operations.to_string());
    let mut operations: Vec<_> = operations.collect();
    operations.dedup();
    let writes = rows(windows, |window| &window.writes, |_| true);
    let of_module = |function: &Function| function.module.is_some();
    let locks = rows(windows, |window| &window.locks, of_module);
    let atomics = rows(windows, |window| &window.atomics, of_module);
    format!(
        "For each of {} round trips, on two CPUs at once:\n\n\
         Writes to cache lines that both CPUs access\n{}\n\
         Locks taken, shared or not\n{}\n\
         Atomic instructions, shared or not\n{}",
        operations.join(" and "),
        table(dispatchers, writes),
        table(dispatchers, locks),
        table(dispatchers, atomics)
    )
}

/// A row: a name, a module, and the rate in each window.
type Row = (String, String, Vec<f64>);

/// Rows of the functions that `is_shown` has shown, the highest rate first, one for the others and one
/// for all.
fn rows(
    windows: &[Shared],
    of: impl Fn(&Shared) -> &Rates,
    is_shown: impl Fn(&Function) -> bool,
) -> Vec<Row> {
    let mut functions: Vec<_> = windows
        .iter()
        .flat_map(|window| of(window).iter())
        .filter(|(function, rate)| is_shown(function) && **rate >= SELDOM)
        .map(|(function, _)| function)
        .collect();
    functions.sort();
    functions.dedup();
    let rates = |function: &Function| -> Vec<f64> {
        let rate = |window| of(window).get(function).copied().unwrap_or_default();
        windows.iter().map(rate).collect()
    };
    let mut rows: Vec<Row> = functions
        .into_iter()
        .map(|function| {
            let module = function.module.clone().unwrap_or_default();
            (function.name.clone(), module, rates(function))
        })
        .collect();
    let most = |row: &Row| row.2.iter().copied().fold(0.0, f64::max);
    rows.sort_by(|a, b| most(b).total_cmp(&most(a)));
    let total: Vec<f64> = windows
        .iter()
        .map(|window| of(window).values().fold(0.0, |sum, rate| sum + rate))
        .collect();
    let others = total.iter().enumerate().map(|(index, total)| {
        let shown: f64 = rows.iter().map(|(_, _, rates)| rates[index]).sum();
        // Sums of the same numbers in another order.
        (total - shown).max(0.0)
    });
    let others = others.collect();
    rows.push(("(others)".into(), String::new(), others));
    rows.push(("Total".into(), String::new(), total));
    rows
}

fn table(dispatchers: &[&str], rows: Vec<Row>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["Function", "Module"].iter().chain(dispatchers));
    for (name, module, rates) in rows {
        let rates = rates.iter().map(|rate| format!("{rate:.2}"));
        table.add_row([name, module].into_iter().chain(rates));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// A sentence for each thing that the module shares, or has the kernel share, in the windows of its
/// dispatchers. The first window is that of none.
pub fn complaints(dispatchers: &[&str], windows: &[Shared]) -> Vec<String> {
    let mut complaints = Vec::new();
    let Some(direct) = windows.first() else {
        return complaints;
    };
    let is_ours = |function: &Function| function.module.as_deref() == Some(MODULE);
    for (dispatcher, window) in dispatchers.iter().zip(windows).skip(1) {
        if !dispatcher.starts_with(MODULE) {
            continue;
        }
        let entered = window
            .entered
            .iter()
            .any(|(function, rate)| is_ours(function) && *rate >= 1.0);
        if !entered {
            complaints.push(format!("{dispatcher}: no packet passed the module"));
        }
        for (what, rates) in [
            ("writes to shared lines", &window.writes),
            ("takes locks", &window.locks),
            ("executes atomic instructions", &window.atomics),
        ] {
            let often = rates
                .iter()
                .filter(|(function, rate)| is_ours(function) && **rate >= SELDOM);
            complaints.extend(often.map(|(Function { name, .. }, rate)| {
                format!("{dispatcher}: {name} {what}, {rate:.2} times in a round trip")
            }));
        }
        for (function, rate) in window
            .writes
            .iter()
            .filter(|(function, _)| !is_ours(function))
        {
            let more = rate - direct.writes.get(function).copied().unwrap_or_default();
            if more >= MORE {
                let Function { name, .. } = function;
                complaints.push(format!(
                    "{dispatcher}: {name} writes to shared lines, {more:.2} times in a round trip \
                     more than without a dispatcher"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(functions: &[(&str, Option<&str>, f64)]) -> Rates {
        let named = functions.iter().map(|(name, module, rate)| {
            let function = Function {
                name: (*name).into(),
                module: module.map(Into::into),
            };
            (function, *rate)
        });
        named.collect()
    }

    fn window(writes: Rates, locks: Rates, atomics: Rates) -> Shared {
        Shared {
            operations: 2000,
            writes,
            locks,
            atomics,
            entered: rates(&[("hook", Some(MODULE), 2.0)]),
        }
    }

    fn direct() -> Shared {
        let writes = rates(&[("tick", None, 0.25), ("rare", None, 0.005)]);
        window(writes, rates(&[("release_sock", None, 5.0)]), Rates::new())
    }

    fn complained(window: Shared) -> Vec<String> {
        complaints(&["direct", "tcp_dispatch"], &[direct(), window])
    }

    #[test]
    fn what_is_as_without_a_dispatcher_is_right() {
        assert_eq!(complained(direct()), [""; 0]);
        let sweep = rates(&[("sweep", Some(MODULE), 0.005)]);
        let ticks = rates(&[("tick", None, 0.7)]);
        assert_eq!(complained(window(ticks, sweep, Rates::new())), [""; 0]);
    }

    #[test]
    fn what_the_module_shares_is_wrong() {
        let hook = || rates(&[("hook", Some(MODULE), 2.0)]);
        assert_eq!(
            complained(window(hook(), hook(), hook())),
            [
                "tcp_dispatch: hook writes to shared lines, 2.00 times in a round trip",
                "tcp_dispatch: hook takes locks, 2.00 times in a round trip",
                "tcp_dispatch: hook executes atomic instructions, 2.00 times in a round trip"
            ]
        );
    }

    #[test]
    fn what_the_kernel_shares_because_of_the_module_is_wrong() {
        let writes = rates(&[("tick", None, 0.25), ("dst_release", None, 1.0)]);
        assert_eq!(
            complained(window(writes, Rates::new(), Rates::new())),
            ["tcp_dispatch: dst_release writes to shared lines, 1.00 times in a round trip more \
              than without a dispatcher"]
        );
    }

    #[test]
    fn a_window_without_the_module_is_wrong() {
        let mut without = direct();
        without.entered.clear();
        assert_eq!(
            complained(without),
            ["tcp_dispatch: no packet passed the module"]
        );
    }

    #[test]
    fn other_dispatchers_are_only_shown() {
        let writes = rates(&[("ip_vs_in", Some("ip_vs"), 2.0)]);
        let ipvs = window(writes, Rates::new(), Rates::new());
        assert_eq!(
            complaints(&["direct", "IPVS NAT"], &[direct(), ipvs]),
            [""; 0]
        );
    }

    #[test]
    fn tables_add_up() {
        let ipvs = window(
            rates(&[("ip_vs_in", Some("ip_vs"), 2.0)]),
            rates(&[("ip_vs_in", Some("ip_vs"), 1.0)]),
            Rates::new(),
        );
        let shown = tables(&["direct", "IPVS NAT"], &[direct(), ipvs]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "For each of 2000 round trips, on two CPUs at once:",
                "",
                "Writes to cache lines that both CPUs access",
                "Function  Module  direct  IPVS NAT",
                "ip_vs_in  ip_vs     0.00      2.00",
                "tick                0.25      0.00",
                "(others)            0.01      0.00",
                "Total               0.26      2.00",
                "",
                "Locks taken, shared or not",
                "Function  Module  direct  IPVS NAT",
                "ip_vs_in  ip_vs     0.00      1.00",
                "(others)            5.00      0.00",
                "Total               5.00      1.00",
                "",
                "Atomic instructions, shared or not",
                "Function  Module  direct  IPVS NAT",
                "(others)            0.00      0.00",
                "Total               0.00      0.00",
            ]
        );
    }
}
