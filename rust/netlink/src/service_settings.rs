// SPDX-License-Identifier: GPL-2.0

//! How a service is to work.

use crate::attribute::{bytes, u32_value, Attribute};
use crate::service::NOBODY;
use crate::spec::service;
use crate::{address, Prefix, Refusal, Scheduler};
use std::time::Duration;

/// How a service is to work. What isn't set stays as it is, or for a new
/// service as [`Service::new`](crate::Service::new) has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceSettings {
    scheduler: Option<Scheduler>,
    refusal: Option<Refusal>,
    affinity_timeout: Option<u32>,
    affinity_prefix_len: Option<u8>,
    registrant_uid: Option<Option<u32>>,
    registrant_gid: Option<Option<u32>>,
    registrant_range: Option<Option<Prefix>>,
}

impl ServiceSettings {
    /// Choose processes this way.
    pub fn scheduler(mut self, scheduler: Scheduler) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// Let clients see this whom no process can take.
    pub fn refusal(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Send a client's next connection to the same process for this long after
    /// its last one, in whole seconds, a part of one counting as one. Zero
    /// ends it.
    pub fn affinity_timeout(mut self, timeout: Duration) -> Self {
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        self.affinity_timeout = Some(seconds.try_into().unwrap_or(u32::MAX));
        self
    }

    /// Take clients whose addresses have this many leading bits in common, 0
    /// to 32 or for IPv6 to 128, for one.
    pub fn affinity_prefix_len(mut self, len: u8) -> Self {
        self.affinity_prefix_len = Some(len);
        self
    }

    /// Let this user register processes, or no user.
    pub fn registrant_uid(mut self, uid: Option<u32>) -> Self {
        self.registrant_uid = Some(uid);
        self
    }

    /// Let the members of this group register processes, or of none.
    pub fn registrant_gid(mut self, gid: Option<u32>) -> Self {
        self.registrant_gid = Some(gid);
        self
    }

    /// Let registrants take process addresses from this range, which is of the
    /// service's family, or none at all.
    pub fn registrant_range(mut self, range: Option<Prefix>) -> Self {
        self.registrant_range = Some(range);
        self
    }

    /// The request's attributes.
    pub(crate) fn encode(&self) -> Vec<Attribute> {
        let number = |kind, value: Option<u32>| value.map(|value| u32_value(kind, value));
        let user = |kind, value: Option<Option<u32>>| {
            value.map(|value| u32_value(kind, value.unwrap_or(NOBODY)))
        };
        let range = self.registrant_range;
        [
            number(service::SCHEDULER, self.scheduler.map(u32::from)),
            number(service::REFUSAL, self.refusal.map(u32::from)),
            number(service::AFFINITY_TIMEOUT, self.affinity_timeout),
            self.affinity_prefix_len
                .map(|len| bytes(service::AFFINITY_PREFIX_LEN, &[len])),
            user(service::REGISTRANT_UID, self.registrant_uid),
            user(service::REGISTRANT_GID, self.registrant_gid),
            // No range is a length of zero alone.
            range.flatten().map(|range| {
                address::encode_ip(
                    service::REGISTRANT_PREFIX,
                    service::REGISTRANT_PREFIX_IPV6,
                    range.address(),
                )
            }),
            range.map(|range| {
                let len = range.map_or(0, |range| range.len());
                bytes(service::REGISTRANT_PREFIX_LEN, &[len])
            }),
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
    use crate::{Address, Service};
    use proptest::prelude::*;

    /// What a service is once the settings are applied.
    fn applied(settings: ServiceSettings) -> Service {
        let address: Address = "192.0.2.1:80".parse().unwrap();
        let mut attributes = vec![address::encode(service::SERVICE_ADDRESS, address)];
        attributes.extend(settings.encode());
        Service::decode(&emit(&attributes)).unwrap()
    }

    proptest! {
        #[test]
        fn settings_read_back_as_they_were_set(
            scheduler in 0u32..9,
            refusal in 0u32..4,
            timeout: u32,
            prefix_len in 0u8..=128,
            uid in 0..NOBODY,
            gid in 0..NOBODY,
            first in 1u8..,
            ipv6: bool,
        ) {
            let range = match ipv6 {
                false => Prefix::new([first, 0, 0, 0].into(), 8),
                true => Prefix::new([u16::from(first) << 8, 0, 0, 0, 0, 0, 0, 0].into(), 8),
            };
            let range = range.unwrap();
            let service = applied(
                ServiceSettings::default()
                    .scheduler(scheduler.into())
                    .refusal(refusal.into())
                    .affinity_timeout(Duration::from_secs(timeout.into()))
                    .affinity_prefix_len(prefix_len)
                    .registrant_uid(Some(uid))
                    .registrant_gid(Some(gid))
                    .registrant_range(Some(range)),
            );
            prop_assert_eq!(service.scheduler, Scheduler::from(scheduler));
            prop_assert_eq!(service.refusal, Refusal::from(refusal));
            prop_assert_eq!(service.affinity_timeout, timeout);
            prop_assert_eq!(service.affinity_prefix_len, prefix_len);
            prop_assert_eq!(service.registrant_uid, Some(uid));
            prop_assert_eq!(service.registrant_gid, Some(gid));
            prop_assert_eq!(service.registrant_range(), Some(range));
        }
    }

    #[test]
    fn nobody_and_no_range_are_sent_and_read_as_such() {
        let settings = ServiceSettings::default()
            .registrant_uid(None)
            .registrant_gid(None)
            .registrant_range(None);
        assert_eq!(settings.encode().len(), 3);
        let service = applied(settings);
        assert_eq!(service.registrant_uid, None);
        assert_eq!(service.registrant_gid, None);
        assert_eq!(service.registrant_range(), None);
    }

    #[test]
    fn settings_that_change_nothing_send_nothing() {
        assert!(ServiceSettings::default().encode().is_empty());
    }

    #[test]
    fn a_part_of_a_second_of_affinity_counts_as_one() {
        let settings = ServiceSettings::default().affinity_timeout(Duration::from_millis(1001));
        assert_eq!(applied(settings).affinity_timeout, 2);
    }
}
