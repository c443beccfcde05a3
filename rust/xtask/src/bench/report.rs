// SPDX-License-Identifier: GPL-2.0

//! What the guest measured: a line of JSON for each thing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The layer as it is installed, and with the settings that the documentation recommends.
pub const OURS: [&str; 2] = ["tcp_dispatch", "tcp_dispatch, tuned"];

/// The family that nobody mentions, and that chart and figures are of.
pub const IPV4: &str = "IPv4";
/// The other, which has tables of its own.
pub const IPV6: &str = "IPv6";

/// By how much two measurements of one thing may differ, as a share of the count.
const AGREEMENT: f64 = 0.005;

/// What one operation takes with one dispatcher.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Measurement {
    /// Who dispatches; `direct` is nobody.
    pub dispatcher: String,
    /// The family of addresses.
    pub family: String,
    /// Where the client is: `remote` or `local`.
    pub client: String,
    /// What is done.
    pub operation: String,
    /// How many processes serve.
    pub processes: u32,
    /// How many other connections there are.
    pub connections: u32,
    /// How many services there are.
    pub services: u32,
    /// Instructions of one operation.
    pub instructions: f64,
    /// The same, measured once more.
    pub again: f64,
    /// Where in the plan its configuration is.
    #[serde(default)]
    pub place: u32,
    /// Which of the VMs of a run measured it.
    #[serde(default)]
    pub vm: u32,
}

/// What a connection takes of the kernel's memory.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    /// Who dispatches.
    pub dispatcher: String,
    /// Over how many entries it was measured.
    pub entries: u32,
    /// By how much `MemAvailable` fell, in bytes an entry.
    pub bytes: f64,
    /// By how much `MemFree` fell, in bytes an entry.
    pub free: f64,
    /// By how much all slab caches grew, in bytes an entry.
    pub slabs: f64,
    /// The slab cache that grew most.
    pub cache: String,
    /// By how much that grew, in bytes an entry.
    pub cache_bytes: f64,
}

/// A line.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Measurement(Measurement),
    Memory { memory: Memory },
    Versions { versions: BTreeMap<String, String> },
    LeftOut { left_out: String },
}

/// A whole run.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// What was measured, with its version.
    pub versions: BTreeMap<String, String>,
    /// What operations take.
    pub measurements: Vec<Measurement>,
    /// What connections take.
    pub memory: Vec<Memory>,
    /// What is not measured, and why.
    pub left_out: Vec<String>,
}

impl Measurement {
    /// Instructions of one operation: the middle of both measurements.
    pub fn count(&self) -> f64 {
        (self.instructions + self.again) / 2.0
    }

    /// How far each of them is from the middle.
    pub fn spread(&self) -> f64 {
        (self.instructions - self.again).abs() / 2.0
    }

    /// Whether they agree.
    pub fn agrees(&self) -> bool {
        2.0 * self.spread() <= AGREEMENT * self.count()
    }

    /// Whether nothing but the dispatcher is out of the ordinary.
    pub fn is_plain(&self) -> bool {
        (self.processes, self.connections, self.services) == (1, 1, 1)
    }

    /// A sentence for measurements that disagree.
    pub fn disagreement(&self) -> String {
        format!(
            "two measurements disagree by {:.1} %: {}, {} client, {}: {:.0} and {:.0} instructions",
            200.0 * self.spread() / self.count(),
            self.surroundings(),
            self.client,
            self.operation,
            self.instructions,
            self.again,
        )
    }

    /// The dispatcher, and what is out of the ordinary.
    pub fn surroundings(&self) -> String {
        let around = [
            (self.processes, "processes"),
            (self.connections, "other connections"),
            (self.services, "services"),
        ];
        let around = around.into_iter().filter(|(number, _)| *number > 1);
        let around = around.map(|(number, what)| format!(", {} {what}", grouped(number.into())));
        self.dispatcher.clone() + &over(&self.family) + &around.collect::<String>()
    }
}

impl Report {
    /// Reads what the guest printed.
    pub fn read(text: &str) -> Result<Self> {
        let mut report = Self::default();
        for line in text.lines() {
            let read = serde_json::from_str(line)
                .with_context(|| format!("the guest printed `{line}` instead of a measurement"))?;
            match read {
                Line::Measurement(measurement) => report.measurements.push(measurement),
                Line::Memory { memory } => report.memory.push(memory),
                Line::Versions { versions } => report.versions = versions,
                Line::LeftOut { left_out } => report.left_out.push(left_out),
            }
        }
        Ok(report)
    }

    /// What an operation takes with a dispatcher, in ordinary surroundings.
    pub fn plain(
        &self,
        dispatcher: &str,
        family: &str,
        client: &str,
        operation: &str,
    ) -> Option<&Measurement> {
        self.measurements.iter().find(|one| {
            one.is_plain()
                && one.dispatcher == dispatcher
                && one.family == family
                && one.client == client
                && one.operation == operation
        })
    }

    /// What it takes without a dispatcher.
    pub fn direct(&self, family: &str, client: &str, operation: &str) -> Option<&Measurement> {
        self.plain("direct", family, client, operation)
    }

    /// What a measurement's dispatcher adds to direct.
    pub fn adds(&self, one: &Measurement) -> Option<f64> {
        Some(one.count() - self.direct_of(one)?.count())
    }

    /// The measurement as a multiple of direct's.
    pub fn ratio(&self, one: &Measurement) -> Option<f64> {
        Some(one.count() / self.direct_of(one)?.count())
    }

    /// What a measurement is compared with: direct in the same VM, over the same family, from the
    /// same client.
    pub fn direct_of(&self, one: &Measurement) -> Option<&Measurement> {
        self.measurements.iter().find(|direct| {
            direct.dispatcher == "direct"
                && direct.is_plain()
                && direct.vm == one.vm
                && direct.family == one.family
                && direct.client == one.client
                && direct.operation == one.operation
        })
    }

    /// The names of the dispatchers of a family, in the order of their measurements.
    pub fn dispatchers(&self, family: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for one in self.measurements.iter().filter(|one| one.family == family) {
            if !names.contains(&one.dispatcher.as_str()) {
                names.push(&one.dispatcher);
            }
        }
        names
    }
}

/// What is said of a family behind a name: nothing of IPv4.
pub fn over(family: &str) -> String {
    match family {
        IPV4 => String::new(),
        _ => format!(" over {family}"),
    }
}

/// A number as people read it: 36,560.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 {
        text.insert(0, '−');
    }
    text
}

/// The same with its sign.
pub fn signed(number: f64) -> String {
    let number = number.round() as i64;
    match number {
        0 => "0".into(),
        1.. => format!("+{}", grouped(number)),
        _ => grouped(number),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A measurement in ordinary surroundings, by a remote client.
    pub fn measurement(dispatcher: &str, operation: &str, both: [f64; 2]) -> Measurement {
        Measurement {
            dispatcher: dispatcher.into(),
            family: "IPv4".into(),
            client: "remote".into(),
            operation: operation.into(),
            processes: 1,
            connections: 1,
            services: 1,
            instructions: both[0],
            again: both[1],
            place: 0,
            vm: 0,
        }
    }

    /// The same over IPv6.
    pub fn over_ipv6(dispatcher: &str, operation: &str, both: [f64; 2]) -> Measurement {
        Measurement {
            family: IPV6.into(),
            ..measurement(dispatcher, operation, both)
        }
    }

    /// A report of measurements alone.
    pub fn report(measurements: Vec<Measurement>) -> Report {
        Report {
            measurements,
            ..Report::default()
        }
    }

    #[test]
    fn each_kind_of_line_is_read() {
        let text = r#"{"versions": {"Linux": "7.3"}}
{"dispatcher": "IPVS NAT", "family": "IPv4", "client": "local", "operation": "echo", "processes": 64, "connections": 1, "services": 1, "instructions": 10.5, "again": 11}
{"memory": {"dispatcher": "IPVS NAT", "entries": 100, "bytes": 300, "free": 301, "slabs": 256, "cache": "ip_vs_conn", "cache-bytes": 256}}
{"left_out": "IPv6: not yet"}
"#;
        let report = Report::read(text).unwrap();
        assert_eq!(report.versions["Linux"], "7.3");
        assert_eq!(report.measurements[0].again, 11.0);
        assert_eq!(report.memory[0].cache_bytes, 256.0);
        assert_eq!(report.left_out, ["IPv6: not yet"]);
    }

    #[test]
    fn a_line_that_is_no_measurement_is_an_error_that_shows_it() {
        let error = Report::read("Traceback\n").err().unwrap().to_string();
        assert!(error.contains("Traceback"), "{error}");
    }

    #[test]
    fn two_measurements_agree_up_to_half_a_percent() {
        assert!(measurement("direct", "echo", [1000.0, 1004.9]).agrees());
        assert!(!measurement("direct", "echo", [1000.0, 1005.2]).agrees());
    }

    #[test]
    fn a_disagreement_names_what_disagrees() {
        let mut one = measurement("IPVS NAT", "connect", [990.0, 1010.0]);
        one.connections = 1_000_000;
        let said = one.disagreement();
        assert!(
            said.contains("2.0 %: IPVS NAT, 1,000,000 other connections, remote client, connect"),
            "{said}"
        );
        let said = over_ipv6("IPVS NAT", "connect", [990.0, 1010.0]).disagreement();
        assert!(
            said.contains("2.0 %: IPVS NAT over IPv6, remote client, connect"),
            "{said}"
        );
    }

    #[test]
    fn what_a_dispatcher_adds_is_counted_from_direct_with_the_same_client() {
        let mut local = measurement("direct", "connect", [1.0, 1.0]);
        local.client = "local".into();
        let one = measurement("nft DNAT", "connect", [150.0, 150.0]);
        let report = report(vec![
            local,
            measurement("direct", "echo", [7.0, 7.0]),
            measurement("direct", "connect", [99.0, 101.0]),
            one.clone(),
        ]);
        assert_eq!(report.adds(&one), Some(50.0));
        assert_eq!(report.ratio(&one), Some(1.5));
    }

    #[test]
    fn what_a_dispatcher_adds_is_counted_from_direct_over_the_same_family() {
        let four = measurement("tcp_dispatch", "connect", [150.0; 2]);
        let six = over_ipv6("tcp_dispatch", "connect", [240.0; 2]);
        let mut both = report(vec![
            over_ipv6("direct", "connect", [200.0; 2]),
            measurement("direct", "connect", [100.0; 2]),
            over_ipv6("nft DNAT", "connect", [300.0; 2]),
            six.clone(),
            four.clone(),
        ]);
        assert_eq!(
            (both.adds(&four), both.ratio(&four)),
            (Some(50.0), Some(1.5))
        );
        assert_eq!((both.adds(&six), both.ratio(&six)), (Some(40.0), Some(1.2)));
        assert_eq!(both.dispatchers(IPV4), ["direct", "tcp_dispatch"]);
        assert_eq!(
            both.dispatchers(IPV6),
            ["direct", "nft DNAT", "tcp_dispatch"]
        );
        // Nothing is compared with direct over the other one.
        both.measurements.remove(0);
        assert_eq!((both.adds(&six), both.ratio(&six)), (None, None));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(-1_234_567), "−1,234,567");
        assert_eq!(signed(-0.2), "0");
        assert_eq!(signed(3104.4), "+3,104");
    }
}
