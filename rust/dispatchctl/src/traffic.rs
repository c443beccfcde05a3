// SPDX-License-Identifier: GPL-2.0

//! What services and processes have to show alike.

use crate::output::{field, Column};
use tcp_dispatch_netlink::{Drops, Traffic};

/// The columns of [`cells`].
pub const COLUMNS: [Column; 3] = [
    Column::Number("Connections"),
    Column::Number("Assigned"),
    Column::Number("Dropped"),
];

/// The cells of a row: connections now and so far, and the sum of all drops.
pub fn cells(traffic: &Traffic) -> [String; 3] {
    [
        traffic.connections.to_string(),
        traffic.stats.connections.to_string(),
        traffic.drops.total().to_string(),
    ]
}

/// All of it, one line each.
pub fn show(traffic: &Traffic) -> String {
    let stats = &traffic.stats;
    let way = |packets, bytes| format!("{packets} packets, {bytes} bytes");
    [
        field("Connections", &traffic.connections.to_string()),
        field("Assigned so far", &stats.connections.to_string()),
        field("From clients", &way(stats.packets_in, stats.bytes_in)),
        field("To clients", &way(stats.packets_out, stats.bytes_out)),
        field("Dropped", &reasons(&traffic.drops)),
    ]
    .concat()
}

/// The reasons that there were, with how often.
fn reasons(drops: &Drops) -> String {
    let reasons = [
        ("no process", drops.no_process),
        ("limit", drops.connection_limit),
        ("conflict", drops.conflict),
        ("no memory", drops.no_memory),
        ("outside", drops.outside),
        ("no connection", drops.no_connection),
        ("signed", drops.signed),
    ];
    let mut seen = reasons.iter().filter(|(_, count)| *count > 0).peekable();
    if seen.peek().is_none() {
        return "0".to_owned();
    }
    seen.map(|(reason, count)| format!("{count} ({reason})"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::Stats;

    #[test]
    fn a_row_has_connections_now_and_so_far_and_the_sum_of_the_drops() {
        let traffic = Traffic {
            connections: 12,
            stats: Stats {
                connections: 300,
                ..Stats::default()
            },
            drops: Drops {
                no_process: 2,
                conflict: 1,
                ..Drops::default()
            },
        };
        assert_eq!(cells(&traffic), ["12", "300", "3"]);
    }

    #[test]
    fn every_counter_is_shown_and_drops_with_their_reason() {
        let mut traffic = Traffic::default();
        assert!(show(&traffic).ends_with("Dropped            0\n"));
        traffic.stats.packets_in = 3;
        traffic.stats.bytes_out = u64::MAX;
        traffic.drops.no_memory = 4;
        traffic.drops.conflict = 5;
        let shown = show(&traffic);
        for words in [
            "3 packets, 0 bytes",
            "0 packets, 18446744073709551615 bytes",
            "5 (conflict), 4 (no memory)",
        ] {
            assert!(shown.contains(words), "{shown}");
        }
    }
}
