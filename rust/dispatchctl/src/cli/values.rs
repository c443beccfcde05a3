// SPDX-License-Identifier: GPL-2.0

//! Values of options.

use crate::accounts;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;
use tcp_dispatch_netlink::{Address, AddressFamily, Prefix, PrefixError, UnknownName};

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
    let form = "an address is written as IP:PORT, as in 192.0.2.1:80 or [2001:db8::1]:80";
    let address = match text.parse() {
        Ok(address) => address,
        Err(_) if text.contains('%') => return Err(scoped()),
        Err(_) => return Err(form.to_owned()),
    };
    if let SocketAddr::V6(address) = address {
        if address.scope_id() != 0 {
            return Err(scoped());
        }
    }
    nobodys(address.ip()).map_or(Ok(address), Err)
}

fn scoped() -> String {
    "an address with a scope is of one link alone; give one that is global or unique local".into()
}

/// Why an IPv6 address can be nobody's whom the layer serves, if so.
fn nobodys(ip: IpAddr) -> Option<String> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    if let Some(ipv4) = ip.to_ipv4_mapped() {
        return Some(format!("{ip} is an IPv4 address: write it as {ipv4}"));
    }
    let what = if ip.is_unicast_link_local() {
        "a link-local address, which is of one link alone"
    } else if ip.is_multicast() {
        "a multicast address, which TCP has no use for"
    } else if ip == Ipv6Addr::UNSPECIFIED {
        "no address of a computer"
    } else {
        return None;
    };
    Some(format!(
        "{ip} is {what}; give one that is global or unique local"
    ))
}

/// A user, by name or number, or none.
pub fn user(text: &str) -> Result<OrNone<u32>, String> {
    OrNone::parse(text, |text| accounts::USERS.number(text))
}

/// A group, by name or number, or none.
pub fn group(text: &str) -> Result<OrNone<u32>, String> {
    OrNone::parse(text, |text| accounts::GROUPS.number(text))
}

/// A range of addresses.
pub fn prefix(text: &str) -> Result<Prefix, String> {
    let range: Prefix = text
        .parse()
        .map_err(|error: PrefixError| error.to_string())?;
    // A range that begins with no address of a computer may well go on.
    let begins =
        Some(range.address()).filter(|first| range.len() == 128 || !first.is_unspecified());
    begins.and_then(nobodys).map_or(Ok(range), Err)
}

/// A range of addresses, or none.
pub fn range(text: &str) -> Result<OrNone<Prefix>, String> {
    OrNone::parse(text, prefix)
}

/// A range of clients; an address alone is a range of one.
pub fn clients(text: &str) -> Result<Prefix, String> {
    match text.parse() {
        Ok(address) => nobodys(address).map_or(Ok(Prefix::of_one(address)), Err),
        Err(_) => prefix(text),
    }
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
        let form =
            || "an affinity is written as SECONDS or SECONDS/PREFIXLEN, as in 300/24 or 300/64";
        let (seconds, len) = match text.split_once('/') {
            Some((seconds, len)) => (seconds, Some(len)),
            None => (text, None),
        };
        let seconds: u32 = seconds.parse().map_err(|_| form())?;
        let prefix_len = len
            .map(|len| {
                len.parse()
                    .ok()
                    .filter(|len| *len <= AddressFamily::Ipv6.bits())
            })
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
        assert_eq!("300/64".parse::<Affinity>().unwrap().prefix_len, Some(64));
        assert_eq!("0".parse::<Affinity>().unwrap().prefix_len, None);
        for wrong in ["", "/24", "300/129", "300/", "5m"] {
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
        assert_eq!(
            clients("2001:db8::7").unwrap().to_string(),
            "2001:db8::7/128"
        );
        assert_eq!(clients("2001:db8::/48").unwrap().len(), 48);
        assert!(clients("2001:db8::7/48").is_err());
        assert!(clients("fe80::7").is_err());
        assert!(clients("::/1").is_ok());
        assert!(clients("::").is_err());
        assert!(clients("::/128").is_err());
    }

    #[test]
    fn an_address_is_of_either_family() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:80", "[fd77:6470::1]:65535"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_of_another_form_is_refused_with_both_forms() {
        for wrong in [
            "2001:db8::1",
            "2001:db8::1:80x",
            "[2001:db8::1]",
            "192.0.2.1",
            "[192.0.2.1]:80",
        ] {
            let error = address(wrong).unwrap_err();
            assert!(error.contains("[2001:db8::1]:80"), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_ipv6_address_that_names_no_computer_everywhere_is_refused_with_the_reason() {
        for (wrong, reason) in [
            ("[fe80::1]:80", "link-local"),
            ("[febf::1]:80", "link-local"),
            ("[fe80::1%2]:80", "scope"),
            ("[fe80::1%eth0]:80", "scope"),
            ("[2001:db8::1%2]:80", "scope"),
            ("[ff02::1]:80", "multicast"),
            ("[::]:80", "no address of a computer"),
            ("[::ffff:192.0.2.1]:80", "write it as 192.0.2.1"),
        ] {
            let error = address(wrong).unwrap_err();
            assert!(error.contains(reason), "{wrong}: {error}");
        }
        assert!(prefix("fe80::/10").unwrap_err().contains("link-local"));
        assert!(prefix("ff00::/8").unwrap_err().contains("multicast"));
        assert!(prefix("::ffff:0:0/96").unwrap_err().contains("IPv4"));
        assert!(range("fe80::/64").is_err());
    }
}
