// SPDX-License-Identifier: GPL-2.0

//! What the kernel says on its console, and which of it means that the kernel is not well.

use std::fmt;

/// How many lines of the console are shown when a run fails.
const SHOWN: usize = 40;

/// Messages that must not appear, as `(how it is found, what it is)`; the first that fits counts.
const REPORTS: &[(Find, &str)] = &[
    (Find::Anywhere("BUG: KASAN:"), "a KASAN report"),
    (Find::Anywhere("BUG: KFENCE:"), "a KFENCE report"),
    (Find::Anywhere("BUG: soft lockup"), "a lockup"),
    (Find::Anywhere("BUG: workqueue lockup"), "a lockup"),
    (Find::Anywhere("Watchdog detected hard LOCKUP"), "a lockup"),
    (
        Find::Anywhere("BUG: MAX_"),
        "a lockdep table that is too small",
    ),
    (
        Find::Anywhere("turning off the locking correctness validator"),
        "the end of lockdep",
    ),
    (
        Find::Anywhere("BUG: Invalid wait context"),
        "a lockdep report",
    ),
    (Find::Anywhere("[ BUG: "), "a lockdep report"),
    (Find::Anywhere("INFO: possible "), "a lockdep report"),
    (
        Find::Anywhere("INFO: trying to register non-static key"),
        "a lockdep report",
    ),
    (Find::Anywhere("BUG: "), "a bug"),
    (Find::Anywhere("kernel BUG at "), "a bug"),
    (Find::Anywhere("panicked at "), "a Rust panic"),
    (Find::Start("Oops: "), "an oops"),
    (Find::Anywhere("general protection fault"), "an oops"),
    (Find::Start("WARNING: possible "), "a lockdep report"),
    (
        Find::Start("WARNING: inconsistent lock state"),
        "a lockdep report",
    ),
    (
        Find::Start("WARNING: bad unlock balance"),
        "a lockdep report",
    ),
    (
        Find::Start("WARNING: Nested lock was not taken"),
        "a lockdep report",
    ),
    (
        Find::Start("WARNING: lock held when returning"),
        "a lockdep report",
    ),
    (Find::Start("WARNING: held lock freed"), "a lockdep report"),
    (
        Find::Start("WARNING: suspicious RCU usage"),
        "a lockdep report",
    ),
    (Find::Start("WARNING: "), "a warning"),
    (Find::Start("UBSAN: "), "a UBSAN report"),
    (Find::Start("ODEBUG: "), "a debug-objects report"),
    (Find::Start("unreferenced object 0x"), "a kmemleak report"),
    (Find::Start("ref_tracker: "), "a leaked reference"),
    (
        Find::Anywhere("unregister_netdevice: waiting for "),
        "a leaked device reference",
    ),
    (Find::Anywhere("blocked for more than "), "a hung task"),
    (Find::Anywhere("detected stall"), "an RCU stall"),
    (Find::Anywhere("self-detected stall"), "an RCU stall"),
    (Find::Anywhere("invoked oom-killer"), "a lack of memory"),
    (Find::Start("Kernel panic - not syncing"), "a panic"),
];

enum Find {
    /// The message begins so.
    Start(&'static str),
    /// The message contains it.
    Anywhere(&'static str),
}

impl Find {
    fn fits(&self, message: &str) -> bool {
        match self {
            Self::Start(text) => message.starts_with(text),
            Self::Anywhere(text) => message.contains(text),
        }
    }
}

/// Something that the kernel reported about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is: "a warning".
    pub kind: &'static str,
    /// The line that says so.
    pub message: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// The console's text as it comes.
#[derive(Default)]
pub struct Console {
    lines: Vec<String>,
    rest: Vec<u8>,
    /// What the kernel reported, in order.
    pub reports: Vec<Report>,
}

impl Console {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(&line);
        }
    }

    /// Takes what came without a line's end, once nothing more will.
    pub fn end(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.line(&rest);
        }
    }

    fn line(&mut self, bytes: &[u8]) {
        let line = String::from_utf8_lossy(bytes).trim_end().to_owned();
        self.reports.extend(report(&line));
        self.lines.push(line);
    }

    /// The messages so far, without time stamps.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| message(line))
    }

    /// The lines to show when a run failed: from the first report on, else the last ones.
    pub fn excerpt(&self) -> String {
        let last = self.lines.len().saturating_sub(SHOWN);
        let first = self.lines.iter().position(|line| report(line).is_some());
        // One line before a report is its "cut here", and what was done just then.
        let start = first.map_or(last, |first| first.saturating_sub(2).min(last));
        let shown: Vec<_> = self.lines[start..]
            .iter()
            .take(2 * SHOWN)
            .map(|line| format!("    {line}\n"))
            .collect();
        shown.concat()
    }
}

/// What a line of the console reports, if anything.
fn report(line: &str) -> Option<Report> {
    let message = message(line);
    let (_, kind) = REPORTS.iter().find(|(find, _)| find.fits(message))?;
    Some(Report {
        kind,
        message: message.to_owned(),
    })
}

/// A console line without the time and the caller that the kernel puts before it.
fn message(line: &str) -> &str {
    // "[    1.234567] ", and "[    1.234567][    T1] " with CONFIG_PRINTK_CALLER.
    let mut rest = line;
    while let Some((stamp, after)) = rest
        .strip_prefix('[')
        .and_then(|inside| inside.split_once(']'))
    {
        if !is_stamp(stamp) {
            break;
        }
        rest = after;
    }
    if rest.len() == line.len() {
        line
    } else {
        rest.strip_prefix(' ').unwrap_or(rest)
    }
}

fn is_stamp(text: &str) -> bool {
    let text = text.trim_start();
    let number = text.strip_prefix(['T', 'C']).unwrap_or(text);
    !number.is_empty()
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> Option<&'static str> {
        report(line).map(|report| report.kind)
    }

    #[test]
    fn a_healthy_boot_reports_nothing() {
        for line in [
            "[    0.000000] Linux version 7.3.4 (debian-kernel@lists.debian.org)",
            "[    0.120000] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
            "[    1.000000] tcp_dispatch: loading out-of-tree module taints kernel.",
            "[    1.000001] tcp_dispatch: module verification failed: signature and/or required key missing - tainting kernel",
            "[    0.500000] rcu: Hierarchical RCU implementation.",
            "[    2.000000] kmemleak: Kernel memory leak detector initialized",
            "",
        ] {
            assert_eq!(kind(line), None, "{line}");
        }
    }

    #[test]
    fn each_kind_of_report_is_known() {
        for (line, expected) in [
            (
                "[    2.1] WARNING: net/core/dev.c:12 at f+0x1/0x2, CPU#0: insmod/77",
                "a warning",
            ),
            (
                "[    2.1][   T77] WARNING: possible circular locking dependency detected",
                "a lockdep report",
            ),
            (
                "[    2.1] WARNING: suspicious RCU usage",
                "a lockdep report",
            ),
            (
                "[    2.1] WARNING: inconsistent lock state",
                "a lockdep report",
            ),
            (
                "[    2.1] [ BUG: Invalid wait context ]",
                "a lockdep report",
            ),
            (
                "[    2.1] BUG: KASAN: slab-use-after-free in f+0x1/0x2",
                "a KASAN report",
            ),
            (
                "[    2.1] BUG: kernel NULL pointer dereference, address: 0000000000000008",
                "a bug",
            ),
            (
                "[    2.1] BUG: sleeping function called from invalid context at mm/slab.h:1",
                "a bug",
            ),
            ("[    2.1] Oops: Oops: 0000 [#1] SMP", "an oops"),
            (
                "[    2.1] rust_kernel: panicked at rust/module/lib.rs:1:1:",
                "a Rust panic",
            ),
            (
                "[    2.1] UBSAN: array-index-out-of-bounds in x.c:1:2",
                "a UBSAN report",
            ),
            (
                "[    2.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:77]",
                "a lockup",
            ),
            (
                "[    2.1] INFO: task insmod:77 blocked for more than 120 seconds.",
                "a hung task",
            ),
            (
                "[    2.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                "an RCU stall",
            ),
            (
                "unreferenced object 0xffff888003d3a000 (size 64):",
                "a kmemleak report",
            ),
            (
                "[    2.1] unregister_netdevice: waiting for veth0 to become free. Usage count = 2",
                "a leaked device reference",
            ),
            (
                "[    2.1] Kernel panic - not syncing: Fatal exception",
                "a panic",
            ),
        ] {
            assert_eq!(kind(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn lines_may_come_in_pieces() {
        let mut console = Console::default();
        console.feed(b"[    1.0] WARN");
        console.feed(b"ING: x at y\r\n[    1.1] Call");
        assert_eq!(console.reports.len(), 1);
        assert_eq!(console.reports[0].message, "WARNING: x at y");
        console.end();
        assert_eq!(
            console.messages().collect::<Vec<_>>(),
            ["WARNING: x at y", "Call"]
        );
    }

    #[test]
    fn the_excerpt_begins_at_the_report() {
        let mut console = Console::default();
        for n in 0..100 {
            console.feed(format!("[ 1.{n}] line {n}\n").as_bytes());
        }
        assert!(console.excerpt().starts_with("    [ 1.60] line 60\n"));
        console.feed(b"[ 2.0] BUG: x\n");
        for n in 0..100 {
            console.feed(format!("[ 3.{n}] trace {n}\n").as_bytes());
        }
        assert!(console
            .excerpt()
            .starts_with("    [ 1.98] line 98\n    [ 1.99] line 99\n    [ 2.0] BUG: x\n"));
    }
}
