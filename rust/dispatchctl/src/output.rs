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

/// A table with a header and no lines.
pub fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => *name,
    }));
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
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
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
    fn an_empty_table_still_shows_its_header() {
        assert_eq!(table(&[Column::Text("Service")], []), "Service\n");
    }
}
