// SPDX-License-Identifier: GPL-2.0

//! The chart of the README: what each dispatcher adds, as bars.

use std::fmt::Write;

use super::report::{grouped, signed, Report, IPV4, OURS};

/// What is shown, one below the other.
const SHOWN: [(&str, &str); 2] = [
    ("round-trip", "1-byte round trip"),
    ("connect", "connect + 1 byte + close"),
];

/// Sizes in the chart's own units.
const WIDTH: f64 = 760.0;
const NAMES: f64 = 160.0;
const VALUES: f64 = 100.0;
const ROW: f64 = 24.0;
const TITLE: f64 = 52.0;
const NOTE: f64 = 18.0;

/// Below this share of direct's count, what is added can't be told from nothing.
const VISIBLE: f64 = 0.005;

/// Colours that are readable on light pages and on dark ones: which of them it is, a picture in a
/// page isn't always told.
const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #6e7781 }
.title { font-weight: 600; font-size: 15px }
.note { font-size: 12px }
.ours { fill: #2da677 }
.other { fill: #8c959f }";

/// The chart as SVG.
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 0.0;
    for (operation, title) in SHOWN {
        y = panel(&mut body, y, report, operation, title);
    }
    let kernel = report.versions.get("Linux").map_or("", |release| release);
    let notes = [
        "Instructions of client and server together, above what the operation takes without a dispatcher."
            .to_owned(),
        format!("Linux {kernel}, IPv4, a client in another network namespace, one process."),
        "Tuned: with the process addresses at lo, too.".to_owned(),
    ];
    for note in notes {
        y += NOTE;
        let _ = writeln!(body, r#"<text class="note" x="0" y="{y}">{note}</text>"#);
    }
    let height = y + NOTE;
    format!(
        r#"<!-- SPDX-License-Identifier: GPL-2.0 -->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -4 {} {height}" role="img">
<title>What dispatchers add to a connection's instructions</title>
<style>
{STYLE}
</style>
{body}</svg>
"#,
        WIDTH + 20.0
    )
}

/// Draws one operation from `y` on; returns where the next may begin.
fn panel(body: &mut String, mut y: f64, report: &Report, operation: &str, title: &str) -> f64 {
    let Some(direct) = report.direct(IPV4, "remote", operation) else {
        return y;
    };
    // Nothing can fail to be written to a string.
    let _ = writeln!(
        body,
        r#"<text class="title" x="0" y="{}">{title}: what is added to {} instructions</text>"#,
        y + 28.0,
        grouped(direct.count().round() as i64),
    );
    y += TITLE - ROW / 2.0;
    let names = report.dispatchers(IPV4);
    let rows: Vec<_> = names
        .iter()
        .filter(|name| **name != "direct")
        .filter_map(|name| report.plain(name, IPV4, "remote", operation))
        .filter_map(|one| Some((one.dispatcher.as_str(), report.adds(one)?)))
        .collect();
    let most = rows.iter().map(|(_, adds)| *adds).fold(1.0, f64::max);
    for (name, adds) in rows {
        let class = if OURS.contains(&name) {
            "ours"
        } else {
            "other"
        };
        let visible = adds >= VISIBLE * direct.count();
        let shown = if adds.abs() < VISIBLE * direct.count() && !OURS.contains(&name) {
            "not measurable".to_owned()
        } else {
            signed(adds)
        };
        let width = if visible || OURS.contains(&name) {
            adds.max(0.0) / most * (WIDTH - NAMES - VALUES)
        } else {
            0.0
        };
        let middle = y + ROW / 2.0 + 4.5;
        let _ = writeln!(
            body,
            r#"<text x="{}" y="{middle}" text-anchor="end">{name}</text>
<rect class="{class}" x="{NAMES}" y="{}" width="{width:.1}" height="{}" rx="2"/>
<text x="{:.1}" y="{middle}">{shown}</text>"#,
            NAMES - 10.0,
            y + 4.0,
            ROW - 8.0,
            NAMES + width + 8.0,
        );
        y += ROW;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{measurement, over_ipv6, report};
    use super::*;

    #[test]
    fn bars_are_as_long_as_what_is_added() {
        let drawn = svg(&report(vec![
            measurement("direct", "round-trip", [1000.0; 2]),
            measurement("tcp_dispatch", "round-trip", [1250.0; 2]),
            measurement("IPVS NAT", "round-trip", [1500.0; 2]),
            measurement("SO_REUSEPORT", "round-trip", [1002.0; 2]),
            over_ipv6("direct", "round-trip", [1100.0; 2]),
            over_ipv6("HAProxy, TCP", "round-trip", [9000.0; 2]),
        ]));
        assert!(drawn.contains("added to 1,000 instructions"), "{drawn}");
        let bars: Vec<_> = drawn
            .split("width=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert_eq!(bars, ["250.0", "500.0", "0.0"]);
        assert!(drawn.contains("not measurable"), "{drawn}");
    }
}
