// SPDX-License-Identifier: GPL-2.0

//! Ranges of addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of addresses, written as `10.77.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: Ipv4Addr,
    len: u8,
}

/// Why something is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not of the form ADDRESS/LENGTH.
    #[error("a range is written as ADDRESS/LENGTH, as in 10.77.0.0/16")]
    Form,
    /// The length is not one of 1 to 32.
    #[error("the length of a range is between 1 and 32, not {0}")]
    Length(u8),
    /// Bits of the address are set beyond the prefix.
    #[error("{given} is not the first address of its range; did you mean {meant}?")]
    HostBits {
        /// What was given.
        given: String,
        /// The range that it lies in.
        meant: Prefix,
    },
}

impl Prefix {
    /// The range that starts at `address` and whose first `len` bits are fixed.
    pub fn new(address: Ipv4Addr, len: u8) -> Result<Self, PrefixError> {
        if !(1..=32).contains(&len) {
            return Err(PrefixError::Length(len));
        }
        let mask = u32::MAX << (32 - u32::from(len));
        let first = Ipv4Addr::from(u32::from(address) & mask);
        let meant = Self {
            address: first,
            len,
        };
        if first != address {
            return Err(PrefixError::HostBits {
                given: format!("{address}/{len}"),
                meant,
            });
        }
        Ok(meant)
    }

    /// The range's first address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// How many of the leading bits are fixed.
    #[allow(clippy::len_without_is_empty)] // a prefix always holds an address
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether an address is of the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let differing = u32::from(self.address) ^ u32::from(address);
        differing.leading_zeros() >= u32::from(self.len)
    }

    /// The addresses that a host of the range may have: all, but in a range of
    /// four or more neither the first, which names it, nor the last.
    pub fn hosts(&self) -> impl Iterator<Item = Ipv4Addr> {
        let first = u32::from(self.address);
        let last = first | u32::MAX.checked_shr(self.len.into()).unwrap_or(0);
        let edge = u32::from(self.len <= 30);
        (first + edge..=last - edge).map(Ipv4Addr::from)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, len) = text.split_once('/').ok_or(PrefixError::Form)?;
        Self::new(
            address.parse().map_err(|_| PrefixError::Form)?,
            len.parse().map_err(|_| PrefixError::Form)?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_with_host_bits_is_refused_with_the_range_that_was_meant() {
        let error = "10.77.3.4/16".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "10.77.3.4/16 is not the first address of its range; did you mean 10.77.0.0/16?"
        );
    }

    #[test]
    fn a_range_needs_a_length_between_1_and_32() {
        assert_eq!("10.0.0.0".parse::<Prefix>(), Err(PrefixError::Form));
        assert_eq!("0.0.0.0/0".parse::<Prefix>(), Err(PrefixError::Length(0)));
        assert_eq!(
            "10.0.0.0/33".parse::<Prefix>(),
            Err(PrefixError::Length(33))
        );
    }

    #[test]
    fn the_hosts_of_a_range_leave_out_its_first_and_last_address() {
        let hosts = |range: &str| {
            let hosts = range.parse::<Prefix>().unwrap().hosts();
            hosts.map(|host| host.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(hosts("10.77.0.4/30"), ["10.77.0.5", "10.77.0.6"]);
        assert_eq!(hosts("10.77.0.4/31"), ["10.77.0.4", "10.77.0.5"]);
        assert_eq!(hosts("255.255.255.255/32"), ["255.255.255.255"]);
        assert_eq!(hosts("10.77.0.0/16").len(), 65534);
    }

    proptest! {
        #[test]
        fn a_range_contains_its_hosts_and_no_address_beyond(address: u32, len in 24u8..=32) {
            let first = address & (u32::MAX << (32 - u32::from(len)));
            let prefix = Prefix::new(first.into(), len).unwrap();
            prop_assert!(prefix.hosts().all(|host| prefix.contains(host)));
            let size = 1 << (32 - u32::from(len));
            prop_assert!(!prefix.contains(first.wrapping_sub(1).into()));
            prop_assert!(!prefix.contains(first.wrapping_add(size).into()));
        }

        #[test]
        fn a_range_reads_back_as_it_is_written(address: u32, len in 1u8..=32) {
            let first = address & (u32::MAX << (32 - u32::from(len)));
            let prefix = Prefix::new(first.into(), len).unwrap();
            prop_assert_eq!(prefix.to_string().parse::<Prefix>(), Ok(prefix));
        }
    }
}
