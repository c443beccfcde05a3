// SPDX-License-Identifier: GPL-2.0

//! A run of several VMs: one report of what each of them told.

use anyhow::{ensure, Result};

use super::report::{Measurement, Report, IPV4};

impl Report {
    /// The report of a run of several VMs, of what each of them told.
    pub fn of_vms(reports: Vec<Self>) -> Result<Self> {
        let mut whole = Self::default();
        for (vm, report) in (1..).zip(reports) {
            ensure!(
                vm == 1 || report.versions == whole.versions,
                "the VMs measured different versions: {:?} and {:?}",
                whole.versions,
                report.versions
            );
            whole.versions = report.versions;
            let measurements = report.measurements.into_iter();
            whole
                .measurements
                .extend(measurements.map(|one| Measurement { vm, ..one }));
            whole.memory.extend(report.memory);
            for line in report.left_out {
                if !whole.left_out.contains(&line) {
                    whole.left_out.push(line);
                }
            }
        }
        whole.measurements.sort_by_key(|one| one.place);
        let names: Vec<_> = whole.dispatchers(IPV4).iter().map(<_>::to_string).collect();
        whole
            .memory
            .sort_by_key(|one| names.iter().position(|name| *name == one.dispatcher));
        Ok(whole)
    }

    /// Sentences on what VMs disagree in, where it is to be the same: direct.
    pub fn disagreements_of_vms(&self) -> Vec<String> {
        let others = self
            .measurements
            .iter()
            .filter(|one| one.dispatcher == "direct");
        let pairs = others.filter_map(|other| {
            let first = self.direct(&other.family, &other.client, &other.operation)?;
            let both = Measurement {
                instructions: first.count(),
                again: other.count(),
                ..other.clone()
            };
            let said = format!(
                "VM {} and VM {}: {}",
                first.vm,
                other.vm,
                both.disagreement()
            );
            (!both.agrees()).then_some(said)
        });
        pairs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{measurement, report};
    use super::super::report::Memory;
    use super::*;

    /// What a VM reports that measures direct, and a dispatcher besides.
    fn of_vm(direct: f64, dispatcher: &str, count: f64, place: u32) -> Report {
        let other = measurement(dispatcher, "connect", [count; 2]);
        let mut report = report(vec![
            measurement("direct", "connect", [direct; 2]),
            Measurement { place, ..other },
        ]);
        report.versions.insert("Linux".into(), "7.3".into());
        report.left_out.push("IPv6: not yet".into());
        report.memory.push(Memory {
            dispatcher: dispatcher.into(),
            entries: 1,
            bytes: 160.0,
            free: 160.0,
            slabs: 128.0,
            cache: "kmalloc-128".into(),
            cache_bytes: 128.0,
        });
        report
    }

    #[test]
    fn the_reports_of_vms_are_one_in_the_order_of_the_plan() {
        let reports = vec![
            of_vm(100.0, "nft DNAT", 150.0, 2),
            of_vm(100.2, "IPVS NAT", 160.2, 1),
        ];
        let whole = Report::of_vms(reports).unwrap();
        assert_eq!(whole.dispatchers(IPV4), ["direct", "IPVS NAT", "nft DNAT"]);
        assert_eq!(whole.memory[0].dispatcher, "IPVS NAT");
        assert_eq!(whole.left_out, ["IPv6: not yet"]);
        assert_eq!(whole.versions["Linux"], "7.3");
        assert!(whole.disagreements_of_vms().is_empty());
    }

    #[test]
    fn what_a_dispatcher_adds_is_counted_from_direct_in_the_same_vm() {
        let reports = vec![
            of_vm(100.0, "nft DNAT", 150.0, 2),
            of_vm(110.0, "IPVS NAT", 170.0, 1),
        ];
        let whole = Report::of_vms(reports).unwrap();
        let adds = |name| whole.adds(whole.plain(name, IPV4, "remote", "connect").unwrap());
        assert_eq!(adds("nft DNAT"), Some(50.0));
        assert_eq!(adds("IPVS NAT"), Some(60.0));
        let said = whole.disagreements_of_vms();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("VM 1 and VM 2: "), "{}", said[0]);
        assert!(said[0].ends_with("100 and 110 instructions"), "{}", said[0]);
    }

    #[test]
    fn vms_that_measured_different_versions_make_no_report() {
        let mut other = of_vm(100.0, "IPVS NAT", 160.0, 1);
        other.versions.insert("Linux".into(), "7.4".into());
        let error = Report::of_vms(vec![of_vm(100.0, "nft DNAT", 150.0, 2), other]);
        let error = error.err().unwrap().to_string();
        assert!(error.contains("7.3") && error.contains("7.4"), "{error}");
    }
}
