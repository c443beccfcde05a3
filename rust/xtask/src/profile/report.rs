// SPDX-License-Identifier: GPL-2.0

//! A difference, as a table for people and as JSON for programs.

use std::cmp::Reverse;

use comfy_table::{presets, CellAlignment, Table};
use serde::Serialize;

use super::difference::{Difference, Instructions};
use super::Args;

/// Instructions for each operation in tenths, so that what is shown adds up: with the one
/// dispatcher and with the other.
#[derive(Clone, Copy, Default)]
struct Tenths([i64; 2]);

impl Tenths {
    fn of(instructions: Instructions, operations: [u64; 2]) -> Self {
        Self(
            instructions
                .each(operations)
                .map(|each| (each * 10.0).round() as i64),
        )
    }

    fn minus(self, other: Self) -> Self {
        Self([0, 1].map(|index| self.0[index] - other.0[index]))
    }

    fn plus(self, other: Self) -> Self {
        Self([0, 1].map(|index| self.0[index] + other.0[index]))
    }

    fn difference(self) -> i64 {
        self.0[1] - self.0[0]
    }

    /// The columns: each of them, and their difference.
    fn columns(self) -> [String; 3] {
        let [against, with] = self.0;
        let difference = match self.difference() {
            0 => decimal(0),
            more @ 1.. => format!("+{}", decimal(more)),
            less => decimal(less),
        };
        [decimal(against), decimal(with), difference]
    }
}

fn decimal(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    let tenths = tenths.unsigned_abs();
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

/// The table: the functions that differ most, what the others take together, and all.
pub fn table(args: &Args, difference: &Difference) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "Function",
        "Module",
        &args.against,
        &args.dispatcher,
        "Difference",
    ]);
    let mut row = |name: &str, module: &str, tenths: Tenths| {
        let [against, with, difference] = tenths.columns();
        table.add_row([name, module, &against, &with, &difference]);
    };
    let tenths = |instructions| Tenths::of(instructions, difference.operations);
    let mut rows: Vec<_> = difference
        .functions
        .iter()
        .map(|(function, instructions)| (function, tenths(*instructions)))
        .collect();
    // Rounding may have changed which differs more.
    rows.sort_by_key(|(_, tenths)| Reverse(tenths.difference().abs()));
    let total = tenths(difference.total());
    let mut shown = Tenths::default();
    let (first, others) = rows.split_at(args.top.min(rows.len()));
    for (function, tenths) in first {
        shown = shown.plus(*tenths);
        row(
            &function.name,
            function.module.as_deref().unwrap_or_default(),
            *tenths,
        );
    }
    // What rounding took from the lines above is in this one.
    let rest = total.minus(shown);
    match others.len() {
        0 if rest.0 == [0, 0] => {}
        0 => row("(rounding)", "", rest),
        others => row(&format!("({others} others)"), "", rest),
    }
    row("Total", "", total);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    format!(
        "Instructions for each of {} operations ({}, {} client):\n\n{}",
        operations(difference.operations),
        args.operation,
        args.client,
        lines.collect::<String>()
    )
}

fn operations([against, with]: [u64; 2]) -> String {
    if against == with {
        with.to_string()
    } else {
        format!("{against} and {with}")
    }
}

/// A function, or all, in JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
    /// Instructions for each operation.
    against: f64,
    dispatcher: f64,
    difference: f64,
}

/// A difference in JSON.
#[derive(Serialize)]
struct Document<'a> {
    operation: &'a str,
    client: &'a str,
    against: Side<'a>,
    dispatcher: Side<'a>,
    functions: Vec<Line<'a>>,
    total: Line<'a>,
}

/// One of the two dispatchers.
#[derive(Serialize)]
struct Side<'a> {
    name: &'a str,
    operations: u64,
}

/// JSON, with every function.
pub fn json(args: &Args, difference: &Difference) -> String {
    let line = |function, module, instructions: Instructions| {
        let [against, dispatcher] = instructions.each(difference.operations);
        Line {
            function,
            module,
            against,
            dispatcher,
            difference: dispatcher - against,
        }
    };
    let [against, dispatcher] = difference.operations;
    let document = Document {
        operation: &args.operation,
        client: &args.client,
        against: Side {
            name: &args.against,
            operations: against,
        },
        dispatcher: Side {
            name: &args.dispatcher,
            operations: dispatcher,
        },
        functions: difference
            .functions
            .iter()
            .map(|(function, instructions)| {
                line(
                    Some(&*function.name),
                    function.module.as_deref(),
                    *instructions,
                )
            })
            .collect(),
        total: line(None, None, difference.total()),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("its keys are strings");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::symbols::Function;

    fn args(top: usize) -> Args {
        Args {
            operation: "round-trip".into(),
            client: "remote".into(),
            top,
            json: false,
            dispatcher: "tcp_dispatch".into(),
            against: "direct".into(),
        }
    }

    fn difference() -> Difference {
        let function = |name: &str, module: Option<&str>, instructions| {
            let function = Function {
                name: name.into(),
                module: module.map(Into::into),
            };
            (function, Instructions(instructions))
        };
        Difference {
            operations: [1000, 1000],
            functions: vec![
                function("hook", Some("tcp_dispatch"), [0, 250_140]),
                function("schedule", None, [900_040, 890_040]),
                function("ip_rcv", None, [120_040, 120_040]),
                function("tcp_v4_rcv", None, [40, 40]),
            ],
        }
    }

    #[test]
    fn the_table_adds_up() {
        assert_eq!(
            table(&args(2), &difference()),
            "Instructions for each of 1000 operations (round-trip, remote client):\n\n\
             Function    Module        direct  tcp_dispatch  Difference\n\
             hook        tcp_dispatch     0.0         250.1      +250.1\n\
             schedule                   900.0         890.0       -10.0\n\
             (2 others)                 120.1         120.2        +0.1\n\
             Total                     1020.1        1260.3      +240.2\n"
        );
    }

    #[test]
    fn with_every_function_shown_only_what_rounding_took_is_left() {
        let shown = table(&args(10), &difference());
        let lines: Vec<_> = shown.lines().rev().take(2).collect();
        assert!(lines[1].starts_with("(rounding) "), "{shown}");
        let mut difference = difference();
        for (_, instructions) in &mut difference.functions {
            instructions.0 = instructions.0.map(|count| count / 1000 * 1000);
        }
        assert!(!table(&args(10), &difference).contains("rounding"));
    }

    #[test]
    fn json_has_every_function_and_the_total() {
        let text = json(&args(1), &difference());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let functions = document["functions"].as_array().unwrap();
        assert_eq!(functions.len(), 4);
        assert_eq!(functions[0]["module"], "tcp_dispatch");
        let sum: f64 = functions
            .iter()
            .map(|line| line["dispatcher"].as_f64().unwrap())
            .sum();
        assert!((sum - document["total"]["dispatcher"].as_f64().unwrap()).abs() < 1e-6);
    }

    #[test]
    fn differences_below_one_keep_their_sign() {
        assert_eq!(Tenths([3, 0]).columns(), ["0.3", "0.0", "-0.3"]);
        assert_eq!(Tenths([5, 5]).columns(), ["0.5", "0.5", "0.0"]);
    }
}
