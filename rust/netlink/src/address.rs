// SPDX-License-Identifier: GPL-2.0

//! Addresses, as attributes.

use crate::attribute::{self, Attribute};
use crate::spec::socket_address;
use netlink_packet_core::DecodeError;
use std::net::{Ipv4Addr, SocketAddrV4};

/// An IP address and a TCP port: a client's, a service's or a process's.
///
/// The family speaks IPv4 so far. Use the alias where the address family does
/// not matter, so that code goes on to work when it speaks IPv6 as well.
pub type Address = SocketAddrV4;

/// Encodes an address as the nest `kind`.
pub(crate) fn encode(kind: u16, address: Address) -> Attribute {
    attribute::nest(
        kind,
        &[
            attribute::bytes(socket_address::IPV4, &address.ip().octets()),
            attribute::bytes(socket_address::PORT, &address.port().to_be_bytes()),
        ],
    )
}

/// Decodes the value of an address's nest.
pub(crate) fn decode(value: &[u8]) -> Result<Address, DecodeError> {
    let (mut ip, mut port) = (None, None);
    for attribute in attribute::all(value) {
        let attribute = attribute?;
        match attribute.kind() {
            socket_address::IPV4 => ip = Some(Ipv4Addr::from(attribute::array(&attribute)?)),
            socket_address::PORT => port = Some(u16::from_be_bytes(attribute::array(&attribute)?)),
            _ => {}
        }
    }
    Ok(Address::new(
        attribute::required(ip, "ipv4")?,
        attribute::required(port, "port")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::Nla;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_address_survives_encoding_and_decoding(ip: [u8; 4], port: u16) {
            let address = Address::new(ip.into(), port);
            let encoded = encode(1, address);
            let mut value = vec![0; encoded.value_len()];
            encoded.emit_value(&mut value);
            prop_assert_eq!(decode(&value).unwrap(), address);
        }

        #[test]
        fn no_bytes_make_the_address_decoder_panic(value: Vec<u8>) {
            let _ = decode(&value);
        }
    }

    #[test]
    fn an_address_is_encoded_in_network_byte_order() {
        let encoded = encode(1, "192.0.2.1:80".parse().unwrap());
        let mut value = vec![0; encoded.value_len()];
        encoded.emit_value(&mut value);
        assert_eq!(
            value[4..8],
            [192, 0, 2, 1],
            "the address stands behind a 4-byte attribute header"
        );
        assert_eq!(value[12..14], [0, 80]);
    }

    #[test]
    fn an_address_without_a_port_is_refused_by_name() {
        let error = decode(&[8, 0, 1, 0, 192, 0, 2, 1]).unwrap_err();
        assert!(error.to_string().contains("port"), "{error}");
    }
}
