// SPDX-License-Identifier: GPL-2.0

//! Values of options.

use crate::accounts;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;
use tcp_dispatch_netlink::{Address, Prefix, UnknownName};

/// One of the names of an enumeration.
pub fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + FromStr<Err = UnknownName> + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

/// What may be given, or ended by `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

impl<T> OrNone<T> {
    /// `none`, or whatever `parse` makes of the text.
    fn parse<E: ToString>(
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            text => parse(text)
                .map(|value| Self(Some(value)))
                .map_err(|error| error.to_string()),
        }
    }
}

/// An IP address with a port.
pub fn address(text: &str) -> Result<Address, String> {
    text.parse()
        .map_err(|_| "an address is written as IP:PORT, as in 192.0.2.1:80".to_owned())
}

/// A user, by name or number, or none.
pub fn user(text: &str) -> Result<OrNone<u32>, String> {
    OrNone::parse(text, |text| accounts::USERS.number(text))
}

/// A group, by name or number, or none.
pub fn group(text: &str) -> Result<OrNone<u32>, String> {
    OrNone::parse(text, |text| accounts::GROUPS.number(text))
}

/// A range of addresses, or none.
pub fn range(text: &str) -> Result<OrNone<Prefix>, String> {
    OrNone::parse(text, str::parse)
}

/// A range of clients; an address alone is a range of one.
pub fn clients(text: &str) -> Result<Prefix, String> {
    let range = match text.parse::<IpAddr>() {
        Ok(address) => Ok(Prefix::of_one(address)),
        Err(_) => text.parse(),
    };
    range.map_err(|error| error.to_string())
}

/// A client affinity, as in `300/24`: for how long, and by how many leading
/// bits of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// For how long, in whole seconds.
    pub timeout: Duration,
    /// By how many bits, if that is to change.
    pub prefix_len: Option<u8>,
}

impl FromStr for Affinity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "an affinity is written as SECONDS or SECONDS/PREFIXLEN, as in 300/24";
        let (seconds, len) = match text.split_once('/') {
            Some((seconds, len)) => (seconds, Some(len)),
            None => (text, None),
        };
        let seconds: u32 = seconds.parse().map_err(|_| form())?;
        let prefix_len = len
            .map(|len| len.parse().ok().filter(|len| *len <= 32))
            .map(|len| len.ok_or_else(form))
            .transpose()?;
        Ok(Self {
            timeout: Duration::from_secs(seconds.into()),
            prefix_len,
        })
    }
}

/// A time, as in `30s`, `1500ms`, `2m` or `1h`; a number alone is seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds?))
        .map(Duration::from_millis)
        .ok_or_else(|| "a time is a number and a unit, as in 30s, 1500ms, 2m or 1h".to_owned())
}

/// A time that a drain may take: the kernel counts it in milliseconds, from 1
/// to 2^32 - 1.
pub fn drain_time(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if (1..=u128::from(u32::MAX)).contains(&time.as_millis()) {
        Ok(time)
    } else {
        Err("a drain may take from 1ms to 1193h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time("30"), Ok(Duration::from_secs(30)));
        assert_eq!(time("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "s", "3 s", "-1s", "1d", "99999999999999999999"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_drain_takes_a_time_that_the_kernel_can_count() {
        assert!(drain_time("0s").is_err());
        assert!(drain_time("1ms").is_ok());
        assert!(drain_time("1193h").is_ok());
        assert!(drain_time("1194h").is_err());
    }

    #[test]
    fn an_affinity_is_seconds_and_a_prefix_length() {
        let affinity: Affinity = "300/24".parse().unwrap();
        assert_eq!(affinity.timeout, Duration::from_secs(300));
        assert_eq!(affinity.prefix_len, Some(24));
        assert_eq!("0".parse::<Affinity>().unwrap().prefix_len, None);
        for wrong in ["", "/24", "300/33", "300/", "5m"] {
            assert!(wrong.parse::<Affinity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn registrants_are_named_numbered_or_none() {
        assert_eq!(user("root"), Ok(OrNone(Some(0))));
        assert_eq!(user("1000"), Ok(OrNone(Some(1000))));
        assert_eq!(user("none"), Ok(OrNone(None)));
        assert_eq!(group("root"), Ok(OrNone(Some(0))));
        assert!(user("nobody-of-this-name").is_err());
        assert_eq!(range("none"), Ok(OrNone(None)));
        assert!(range("10.77.0.1/16").is_err());
    }

    #[test]
    fn clients_are_a_range_or_one_address() {
        assert_eq!(
            clients("198.51.100.7").unwrap().to_string(),
            "198.51.100.7/32"
        );
        assert_eq!(clients("198.51.100.0/24").unwrap().len(), 24);
        assert!(clients("198.51.100.7/24").is_err());
    }
}
