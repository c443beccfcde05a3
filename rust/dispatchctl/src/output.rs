// SPDX-License-Identifier: GPL-2.0

//! Output: tables for people, JSON for programs.

use comfy_table::{presets, CellAlignment, Table};
use serde::Serialize;

/// A column of a table.
#[derive(Clone, Copy)]
pub enum Column {
    /// Names, aligned to the left.
    Text(&'static str),
    /// Counters, aligned to the right.
    Number(&'static str),
}

impl Column {
    /// What stands above it.
    fn name(&self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// How many columns of characters a table has at most, if that is possible.
const WIDTH: usize = 100;

/// A table with a header and no lines.
///
/// If it is too wide, which addresses of IPv6 may make it, the names of the
/// first column stand on lines of their own, above the rows that they are of.
pub fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let lines = aligned(columns, &rows);
    match columns.split_first() {
        Some((first, rest)) if lines.iter().any(|line| line.chars().count() > WIDTH) => {
            folded(*first, rest, rows)
        }
        _ => lines.iter().map(|line| format!("{line}\n")).collect(),
    }
}

/// A table whose first column stands above the rest.
fn folded(first: Column, rest: &[Column], mut rows: Vec<Vec<String>>) -> String {
    let names: Vec<_> = rows.iter_mut().map(|row| row.remove(0)).collect();
    let mut lines = aligned(rest, &rows).into_iter();
    let header = lines.next().unwrap_or_default();
    let mut text = format!("{}\n  {header}\n", first.name());
    let mut above = None;
    for (name, line) in names.iter().zip(lines) {
        if above != Some(name) {
            text += &format!("{name}\n");
            above = Some(name);
        }
        text += &format!("  {line}\n");
    }
    text
}

/// The lines of a table, the header first.
fn aligned(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(Column::name));
    table.add_rows(rows);
    for (index, column) in columns.iter().enumerate() {
        if let Some(drawn) = table.column_mut(index) {
            // Two spaces between columns, none at the line's start.
            drawn.set_padding((0, 2));
            if let Column::Number(_) = column {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let lines = table.lines();
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// One thing that there is to know: its name and its value, on a line.
pub fn field(name: &str, value: &str) -> String {
    format!("{name:<19}{value}\n")
}

/// JSON for programs.
pub fn json(value: &impl Serialize) -> String {
    let mut text =
        serde_json::to_string_pretty(value).expect("no type of ours has keys that are not strings");
    text.push('\n');
    text
}

/// Says that a list may lack objects.
pub fn warn_interrupted(interrupted: bool, what: &str) {
    if interrupted {
        eprintln!("dispatchctl: {what} changed while they were read: some may be missing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_aligned_to_the_left_and_counters_to_the_right() {
        let shown = table(
            &[Column::Text("Service"), Column::Number("Processes")],
            [
                vec!["192.0.2.1:80".to_owned(), "3".to_owned()],
                vec!["192.0.2.100:8080".to_owned(), "12".to_owned()],
            ],
        );
        assert_eq!(
            shown,
            "Service           Processes\n\
             192.0.2.1:80              3\n\
             192.0.2.100:8080         12\n"
        );
    }

    #[test]
    fn a_table_that_is_too_wide_has_the_first_column_above_the_rest() {
        let columns = [
            Column::Text("Service"),
            Column::Text("Process"),
            Column::Number("Weight"),
        ];
        let long = "x".repeat(83);
        let row =
            |service: &str, weight: &str| vec![service.to_owned(), long.clone(), weight.to_owned()];
        let fits = table(&columns, [row("a", "1")]);
        assert_eq!(
            fits,
            format!(
                "Service  {:83}  Weight\na        {long}       1\n",
                "Process"
            )
        );
        let rows = [
            row("[2001:db8::1]:80", "1"),
            row("[2001:db8::1]:80", "12"),
            row("b", "3"),
        ];
        assert_eq!(
            table(&columns, rows),
            format!(
                "Service\n  {:83}  Weight\n\
                 [2001:db8::1]:80\n  {long}       1\n  {long}      12\n\
                 b\n  {long}       3\n",
                "Process"
            )
        );
    }

    #[test]
    fn an_empty_table_still_shows_its_header() {
        assert_eq!(table(&[Column::Text("Service")], []), "Service\n");
    }
}
