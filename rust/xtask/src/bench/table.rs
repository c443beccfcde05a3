// SPDX-License-Identifier: GPL-2.0

//! The tables that a run prints.

use comfy_table::{presets, CellAlignment, Table};

use super::report::{grouped, over, signed, Measurement, Report, IPV4, IPV6};

/// The operations, in the order of the tables, with what they are called there.
pub const OPERATIONS: [(&str, &str); 6] = [
    ("round-trip", "1-byte round trip"),
    ("connect", "connect + 1 byte + close"),
    ("echo", "64 KiB echo"),
    ("send", "1 MiB to the daemon"),
    ("receive", "1 MiB from the daemon"),
    ("unrelated", "round trip of an unrelated service meanwhile"),
];

/// What is said of a measurement, in three columns.
const COLUMNS: [&str; 3] = ["instructions", "adds", "ratio"];

/// All tables of a run: those of IPv4, and then those of the other family.
pub fn all(report: &Report) -> String {
    [
        operations(report, IPV4),
        surroundings(report),
        memory(report),
        operations(report, IPV6),
    ]
    .concat()
}

/// Each operation over a family.
fn operations(report: &Report, family: &str) -> String {
    let tables = OPERATIONS.map(|(operation, title)| {
        let title = title.to_owned() + &over(family);
        plain(report, family, operation, &title)
    });
    tables.concat()
}

/// An operation with every dispatcher, over one family.
fn plain(report: &Report, family: &str, operation: &str, title: &str) -> String {
    let clients: Vec<_> = ["remote", "local"]
        .into_iter()
        .filter(|client| report.direct(family, client, operation).is_some())
        .collect();
    if clients.is_empty() {
        return String::new();
    }
    let mut header = vec![String::new()];
    for client in &clients {
        header.extend(COLUMNS.map(|column| format!("{client}: {column}")));
    }
    let rows = report.dispatchers(family).into_iter().map(|dispatcher| {
        let mut row = vec![dispatcher.to_owned()];
        for client in &clients {
            let one = report.plain(dispatcher, family, client, operation);
            row.extend(cells(report, one));
        }
        row
    });
    titled(title, header, rows.collect())
}

/// What is measured in other surroundings than the ordinary.
fn surroundings(report: &Report) -> String {
    let operations = &OPERATIONS[..2];
    let mut header = vec![String::new()];
    for (operation, _) in operations {
        header.extend(COLUMNS.map(|column| format!("{operation}: {column}")));
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for one in report.measurements.iter().filter(|one| !one.is_plain()) {
        let name = one.surroundings();
        if rows.iter().any(|row| row[0] == name) {
            continue;
        }
        let mut row = vec![name.clone()];
        for (operation, _) in operations {
            let found = report
                .measurements
                .iter()
                .find(|other| other.surroundings() == name && other.operation == *operation);
            row.extend(cells(report, found));
        }
        rows.push(row);
    }
    titled("Other surroundings, remote client", header, rows)
}

fn memory(report: &Report) -> String {
    let header = ["", "entries", "bytes each", "of these in slabs"];
    let rows = report.memory.iter().map(|one| {
        vec![
            one.dispatcher.clone(),
            grouped(one.entries.into()),
            format!("{:.0}", one.bytes),
            format!("{:.0}", one.slabs),
        ]
    });
    let header = header.map(str::to_owned).to_vec();
    titled("Memory of a connection", header, rows.collect())
}

/// What is said of a measurement.
fn cells(report: &Report, one: Option<&Measurement>) -> [String; 3] {
    let Some(one) = one else {
        return [const { String::new() }; 3];
    };
    let adds = match &one.dispatcher[..] {
        "direct" => None,
        _ => report.adds(one),
    };
    [
        grouped(one.count().round() as i64),
        adds.map(signed).unwrap_or_default(),
        report
            .ratio(one)
            .map_or(String::new(), |ratio| format!("{ratio:.3}")),
    ]
}

/// A table below its title, or nothing if it has no rows.
fn titled(title: &str, header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    format!("\n{title}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{measurement, over_ipv6, report};
    use super::*;

    #[test]
    fn a_table_has_the_count_what_is_added_and_the_ratio() {
        let report = report(vec![
            measurement("direct", "round-trip", [36_500.0, 36_620.0]),
            measurement("IPVS NAT", "round-trip", [43_020.0, 43_020.0]),
        ]);
        assert_eq!(
            all(&report),
            "\n1-byte round trip\n\
             \x20         remote: instructions  remote: adds  remote: ratio\n\
             direct                  36,560                        1.000\n\
             IPVS NAT                43,020        +6,460          1.177\n"
        );
    }

    #[test]
    fn ipv6_has_tables_of_its_own_after_all_others() {
        let mut many = measurement("tcp_dispatch", "connect", [300.0; 2]);
        many.processes = 64;
        let text = all(&report(vec![
            over_ipv6("direct", "connect", [200.0; 2]),
            over_ipv6("tcp_dispatch", "connect", [240.0; 2]),
            measurement("direct", "connect", [100.0; 2]),
            measurement("tcp_dispatch, tuned", "connect", [150.0; 2]),
            many,
        ]));
        let (before, after) = text
            .split_once("\nconnect + 1 byte + close over IPv6\n")
            .unwrap();
        assert!(before.starts_with("\nconnect + 1 byte + close\n"), "{text}");
        assert!(before.contains("+50          1.500\n"), "{text}");
        assert!(before.contains("tcp_dispatch, 64 processes"), "{text}");
        assert!(!before.contains("240"), "{text}");
        assert!(after.contains("+40          1.200\n"), "{text}");
        // Nor has it a row for what wasn't measured over it.
        assert!(!after.contains("tuned"), "{text}");
        assert!(!after.contains("64 processes"), "{text}");
    }

    #[test]
    fn other_surroundings_have_a_table_of_their_own() {
        let mut one = measurement("tcp_dispatch", "connect", [300.0, 300.0]);
        one.processes = 64;
        let report = report(vec![measurement("direct", "connect", [100.0, 100.0]), one]);
        let text = surroundings(&report);
        let row = text.lines().find(|line| line.starts_with("tcp_dispatch"));
        let words: Vec<_> = row.unwrap().split_whitespace().collect();
        assert_eq!(
            words,
            ["tcp_dispatch,", "64", "processes", "300", "+200", "3.000"]
        );
    }
}
