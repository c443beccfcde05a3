// SPDX-License-Identifier: GPL-2.0

//! How a process is to be used.

use crate::attribute::{string_value, u32_value, Attribute};
use crate::spec::process;
use crate::ProcessState;
use std::time::Duration;

/// How a process is to be used. What isn't set stays as it is, or for a new
/// registration as [`Process::new`](crate::Process::new) has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSettings {
    weight: Option<u16>,
    state: Option<ProcessState>,
    drain_timeout: Option<u32>,
    cpus: Option<String>,
}

impl ProcessSettings {
    /// How many new connections it gets, compared with others. Zero is none.
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Whether it gets new connections. Set to down, it resets those that it
    /// has.
    pub fn state(mut self, state: ProcessState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only with state draining, of a process that is registered: reset what
    /// is left after this time, at both ends. It is counted in milliseconds;
    /// less than one counts as one.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        let milliseconds = timeout.as_millis().try_into().unwrap_or(u32::MAX);
        self.drain_timeout = Some(milliseconds.max(1));
        self
    }

    /// The CPUs that it runs on, as a list such as `0-3,8`. Empty is none.
    pub fn cpus(mut self, cpus: &str) -> Self {
        self.cpus = Some(cpus.to_owned());
        self
    }

    /// The request's attributes.
    pub(crate) fn encode(&self) -> Vec<Attribute> {
        let number = |kind, value: Option<u32>| value.map(|value| u32_value(kind, value));
        [
            number(process::WEIGHT, self.weight.map(u32::from)),
            number(process::STATE, self.state.map(u32::from)),
            number(process::DRAIN_TIMEOUT, self.drain_timeout),
            self.cpus
                .as_deref()
                .map(|cpus| string_value(process::CPUS, cpus)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::emit;
    use crate::message::Decode;
    use crate::{address, Address, Process};
    use proptest::prelude::*;

    /// What a process is once the settings are applied.
    fn applied(settings: ProcessSettings) -> Process {
        let address: Address = "192.0.2.1:80".parse().unwrap();
        let mut attributes = vec![
            address::encode(process::SERVICE_ADDRESS, address),
            address::encode(process::PROCESS_ADDRESS, address),
        ];
        attributes.extend(settings.encode());
        Process::decode(&emit(&attributes)).unwrap()
    }

    proptest! {
        #[test]
        fn settings_read_back_as_they_were_set(
            weight: u16,
            state in 0u32..4,
            timeout in 1u32..,
            cpus in "[0-9,-]{0,20}",
        ) {
            let process = applied(
                ProcessSettings::default()
                    .weight(weight)
                    .state(state.into())
                    .drain_timeout(Duration::from_millis(timeout.into()))
                    .cpus(&cpus),
            );
            prop_assert_eq!(process.weight, weight);
            prop_assert_eq!(process.state, ProcessState::from(state));
            prop_assert_eq!(process.drain_timeout, Some(timeout));
            prop_assert_eq!(process.cpus, cpus);
        }
    }

    #[test]
    fn settings_that_change_nothing_send_nothing() {
        assert!(ProcessSettings::default().encode().is_empty());
    }

    #[test]
    fn a_time_that_the_field_cannot_hold_becomes_the_nearest_one() {
        let after =
            |timeout| applied(ProcessSettings::default().drain_timeout(timeout)).drain_timeout;
        assert_eq!(after(Duration::ZERO), Some(1));
        assert_eq!(after(Duration::MAX), Some(u32::MAX));
    }
}
