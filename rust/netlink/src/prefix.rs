// SPDX-License-Identifier: GPL-2.0

//! The range that process addresses are taken from.

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

    proptest! {
        #[test]
        fn a_range_reads_back_as_it_is_written(address: u32, len in 1u8..=32) {
            let first = address & (u32::MAX << (32 - u32::from(len)));
            let prefix = Prefix::new(first.into(), len).unwrap();
            prop_assert_eq!(prefix.to_string().parse::<Prefix>(), Ok(prefix));
        }
    }
}
