// SPDX-License-Identifier: GPL-2.0

//! Ranges of addresses.

use crate::AddressFamily;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, written as `10.77.0.0/16` or `fd77:6470::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

/// Why something is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not of the form ADDRESS/LENGTH.
    #[error("a range is written as ADDRESS/LENGTH, as in 10.77.0.0/16 or fd77:6470::/64")]
    Form,
    /// The length is not one of 1 to 32, or to 128 for IPv6.
    #[error("the length of a range is between 1 and 32, or 128 for IPv6, not {0}")]
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
    pub fn new(address: IpAddr, len: u8) -> Result<Self, PrefixError> {
        let family = AddressFamily::of(address);
        if !(1..=family.bits()).contains(&len) {
            return Err(PrefixError::Length(len));
        }
        let meant = Self {
            address: ip(family, number(address) & !beyond(family, len)),
            len,
        };
        if meant.address != address {
            return Err(PrefixError::HostBits {
                given: format!("{address}/{len}"),
                meant,
            });
        }
        Ok(meant)
    }

    /// The range of one address.
    pub fn of_one(address: IpAddr) -> Self {
        let len = AddressFamily::of(address).bits();
        Self { address, len }
    }

    /// The range's first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many of the leading bits are fixed.
    #[allow(clippy::len_without_is_empty)] // a prefix always holds an address
    pub fn len(&self) -> u8 {
        self.len
    }

    /// The family of its addresses.
    pub fn family(&self) -> AddressFamily {
        AddressFamily::of(self.address)
    }

    /// Whether an address is of the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let family = self.family();
        AddressFamily::of(address) == family
            && number(address) & !beyond(family, self.len) == number(self.address)
    }

    /// Whether an address is of both ranges.
    pub fn overlaps(&self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// The addresses that a host of the range may have: all, but in a range of
    /// four or more neither the first, which names it, nor the last. An IPv6
    /// range may have more of them than anybody can count; they are made one
    /// by one.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        let family = self.family();
        let first = number(self.address);
        let last = first | beyond(family, self.len);
        let edge = u128::from(self.len <= family.bits() - 2);
        (first + edge..=last - edge).map(move |number| ip(family, number))
    }
}

/// An address as a number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of a number that the family has.
fn ip(family: AddressFamily, number: u128) -> IpAddr {
    match family {
        AddressFamily::Ipv4 => Ipv4Addr::from(number as u32).into(),
        AddressFamily::Ipv6 => Ipv6Addr::from(number).into(),
    }
}

/// The bits beyond a prefix of at least 1.
fn beyond(family: AddressFamily, len: u8) -> u128 {
    (1 << (family.bits() - len)) - 1
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
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A range of a family, of any length.
    pub(crate) fn any_prefix(family: AddressFamily) -> impl Strategy<Value = Prefix> {
        any_prefix_from(1, family)
    }

    fn any_prefix_from(shortest: u8, family: AddressFamily) -> impl Strategy<Value = Prefix> {
        (any::<u128>(), shortest..=family.bits()).prop_map(move |(bits, len)| {
            let number = bits >> (128 - family.bits()) & !beyond(family, len);
            Prefix::new(ip(family, number), len).unwrap()
        })
    }

    fn either_family() -> impl Strategy<Value = AddressFamily> {
        prop::sample::select(AddressFamily::ALL.as_slice())
    }

    #[test]
    fn a_range_with_host_bits_is_refused_with_the_range_that_was_meant() {
        let error = "10.77.3.4/16".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "10.77.3.4/16 is not the first address of its range; did you mean 10.77.0.0/16?"
        );
        let error = "fd77:6470::1/64".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "fd77:6470::1/64 is not the first address of its range; did you mean fd77:6470::/64?"
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
    fn a_range_of_ipv6_needs_a_length_between_1_and_128() {
        assert_eq!("fd77:6470::".parse::<Prefix>(), Err(PrefixError::Form));
        assert_eq!("[fd77::]/64".parse::<Prefix>(), Err(PrefixError::Form));
        assert_eq!("::/0".parse::<Prefix>(), Err(PrefixError::Length(0)));
        assert_eq!("::/129".parse::<Prefix>(), Err(PrefixError::Length(129)));
        assert_eq!("::1/128".parse::<Prefix>().unwrap().len(), 128);
    }

    fn hosts(range: &str, some: usize) -> Vec<String> {
        let hosts = range.parse::<Prefix>().unwrap().hosts();
        hosts.take(some).map(|host| host.to_string()).collect()
    }

    #[test]
    fn the_hosts_of_a_range_leave_out_its_first_and_last_address() {
        let hosts = |range| hosts(range, usize::MAX);
        assert_eq!(hosts("10.77.0.4/30"), ["10.77.0.5", "10.77.0.6"]);
        assert_eq!(hosts("10.77.0.4/31"), ["10.77.0.4", "10.77.0.5"]);
        assert_eq!(hosts("255.255.255.255/32"), ["255.255.255.255"]);
        assert_eq!(hosts("10.77.0.0/16").len(), 65534);
        assert_eq!(hosts("fd77::4/126"), ["fd77::5", "fd77::6"]);
        assert_eq!(hosts("fd77::4/127"), ["fd77::4", "fd77::5"]);
        assert_eq!(hosts("fd77::4/128"), ["fd77::4"]);
    }

    #[test]
    fn the_first_hosts_of_the_largest_range_are_had_at_once() {
        assert_eq!(hosts("8000::/1", 2), ["8000::1", "8000::2"]);
        assert_eq!(hosts("128.0.0.0/1", 1), ["128.0.0.1"]);
    }

    #[test]
    fn a_range_contains_no_address_of_the_other_family() {
        let range: Prefix = "::/1".parse().unwrap();
        assert!(range.contains("::a4d:1".parse().unwrap()));
        assert!(!range.contains("10.77.0.1".parse().unwrap()));
        let range: Prefix = "10.77.0.0/16".parse().unwrap();
        assert!(!range.contains("::ffff:10.77.0.1".parse().unwrap()));
        assert!(!range.contains("::10.77.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_range_contains_its_hosts_and_no_address_beyond(
            prefix in either_family().prop_flat_map(|family| {
                any_prefix_from(family.bits() - 8, family)
            }),
        ) {
            prop_assert!(prefix.hosts().all(|host| prefix.contains(host)));
            let family = prefix.family();
            let (first, size) = (number(prefix.address()), beyond(family, prefix.len()) + 1);
            let most = u128::MAX >> (128 - family.bits());
            let before = first.wrapping_sub(1) & most;
            let behind = first.wrapping_add(size) & most;
            prop_assert!(!prefix.contains(ip(family, before)));
            prop_assert!(!prefix.contains(ip(family, behind)));
        }

        #[test]
        fn an_address_is_of_a_range_if_its_leading_bits_are(
            prefix in either_family().prop_flat_map(any_prefix),
            host: u128,
            flipped in 0u8..128,
        ) {
            let family = prefix.family();
            let inside = number(prefix.address()) | host & beyond(family, prefix.len());
            prop_assert!(prefix.contains(ip(family, inside)));
            let flipped = flipped % prefix.len();
            let outside = inside ^ 1 << (family.bits() - 1 - flipped);
            prop_assert!(!prefix.contains(ip(family, outside)));
        }

        #[test]
        fn a_range_reads_back_as_it_is_written(
            prefix in either_family().prop_flat_map(any_prefix),
        ) {
            prop_assert_eq!(prefix.to_string().parse::<Prefix>(), Ok(prefix));
        }

        #[test]
        fn an_address_alone_is_a_range_of_itself(address: IpAddr) {
            let prefix = Prefix::of_one(address);
            prop_assert_eq!(prefix.hosts().collect::<Vec<_>>(), [address]);
        }
    }
}
