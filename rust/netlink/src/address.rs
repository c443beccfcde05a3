// SPDX-License-Identifier: GPL-2.0

//! Addresses, as attributes.

use crate::attribute::{self, Attribute};
use crate::spec::socket_address;
use netlink_packet_core::DecodeError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IP address and a TCP port: a client's, a service's or a process's.
///
/// It is written as `192.0.2.1:80` or `[2001:db8::1]:80`. The kernel takes
/// only what names one socket wherever it is asked: no link-local address,
/// whose scope isn't sent, and no IPv4 address in the clothes of an IPv6 one.
pub type Address = SocketAddr;

/// The address without what isn't sent, so that it equals the kernel's.
pub(crate) fn plain(address: Address) -> Address {
    Address::new(address.ip(), address.port())
}

/// Encodes an address as the nest `kind`.
pub(crate) fn encode(kind: u16, address: Address) -> Attribute {
    attribute::nest(
        kind,
        &[
            encode_ip(socket_address::IPV4, socket_address::IPV6, address.ip()),
            attribute::bytes(socket_address::PORT, &address.port().to_be_bytes()),
        ],
    )
}

/// Encodes an IP address as the attribute of its family.
pub(crate) fn encode_ip(ipv4: u16, ipv6: u16, ip: IpAddr) -> Attribute {
    match ip {
        IpAddr::V4(ip) => attribute::bytes(ipv4, &ip.octets()),
        IpAddr::V6(ip) => attribute::bytes(ipv6, &ip.octets()),
    }
}

/// Decodes the value of an address's nest.
pub(crate) fn decode(value: &[u8]) -> Result<Address, DecodeError> {
    let (mut ip, mut port) = (None, None);
    for attribute in attribute::all(value) {
        let attribute = attribute?;
        match attribute.kind() {
            socket_address::IPV4 => {
                ip = Some(Ipv4Addr::from(attribute::array(&attribute)?).into());
            }
            socket_address::IPV6 => {
                ip = Some(Ipv6Addr::from(attribute::array::<16>(&attribute)?).into());
            }
            socket_address::PORT => port = Some(u16::from_be_bytes(attribute::array(&attribute)?)),
            _ => {}
        }
    }
    Ok(Address::new(
        attribute::required(ip, "ipv4 or ipv6")?,
        attribute::required(port, "port")?,
    ))
}

/// An address where there is none yet, or none to tell.
pub(crate) const UNKNOWN: Address = Address::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::Nla;
    use proptest::prelude::*;

    fn value(address: Address) -> Vec<u8> {
        let encoded = encode(1, address);
        let mut value = vec![0; encoded.value_len()];
        encoded.emit_value(&mut value);
        value
    }

    proptest! {
        #[test]
        fn every_address_survives_encoding_and_decoding(ip: IpAddr, port: u16) {
            let address = Address::new(ip, port);
            prop_assert_eq!(decode(&value(address)).unwrap(), address);
        }

        #[test]
        fn an_address_is_sent_without_its_scope(address: Address) {
            prop_assert_eq!(decode(&value(address)).unwrap(), plain(address));
        }

        #[test]
        fn no_bytes_make_the_address_decoder_panic(value: Vec<u8>) {
            let _ = decode(&value);
        }

        #[test]
        fn no_attribute_of_a_wrong_length_makes_the_address_decoder_panic(
            attributes in prop::collection::vec(
                (0u16..5, prop::collection::vec(any::<u8>(), 0..20)),
                0..4,
            ),
        ) {
            let attributes: Vec<_> = attributes
                .iter()
                .map(|(kind, value)| attribute::bytes(*kind, value))
                .collect();
            let _ = decode(&attribute::emit(&attributes));
        }
    }

    #[test]
    fn an_address_is_encoded_in_network_byte_order() {
        let value = value("192.0.2.1:80".parse().unwrap());
        assert_eq!(
            value[4..8],
            [192, 0, 2, 1],
            "the address stands behind a 4-byte attribute header"
        );
        assert_eq!(value[12..14], [0, 80]);
    }

    #[test]
    fn an_ipv6_address_is_encoded_as_the_attribute_of_its_family() {
        let value = value("[2001:db8::1]:80".parse().unwrap());
        assert_eq!(value[..4], [20, 0, socket_address::IPV6 as u8, 0]);
        assert_eq!(value[4..8], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(value[8..20], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(value[24..26], [0, 80]);
    }

    #[test]
    fn an_address_without_a_port_is_refused_by_name() {
        let error = decode(&[8, 0, 1, 0, 192, 0, 2, 1]).unwrap_err();
        assert!(error.to_string().contains("port"), "{error}");
    }

    #[test]
    fn a_port_without_an_address_is_refused_by_name() {
        let error = decode(&[6, 0, 2, 0, 0, 80, 0, 0]).unwrap_err();
        assert!(error.to_string().contains("ipv4 or ipv6"), "{error}");
    }
}
