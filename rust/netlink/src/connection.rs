// SPDX-License-Identifier: GPL-2.0

//! Connections.

use crate::attribute::{all, bytes, required, u32, u32_value, uint, Attribute};
use crate::message::Decode;
use crate::spec::connection;
use crate::{address, Address, Prefix, TcpState};
use netlink_packet_core::DecodeError;
use serde::Serialize;

/// A connection: a client of a service, and the process it was assigned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Connection {
    /// The client's own address.
    pub client_address: Address,
    /// The address that the client connected to.
    pub service_address: Address,
    /// The address of the process that serves the connection.
    pub process_address: Address,
    /// State of the process's socket.
    pub state: TcpState,
    /// Milliseconds since the connection was assigned.
    pub age: u64,
}

/// Which connections to list: all, unless narrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Only those of this service.
    pub service_address: Option<Address>,
    /// Only those of this process address.
    pub process_address: Option<Address>,
    /// Only those whose client's address is of this range.
    pub client_prefix: Option<Prefix>,
    /// Only those in this state.
    pub state: Option<TcpState>,
}

impl ConnectionFilter {
    /// The request's attributes.
    pub(crate) fn encode(&self) -> Vec<Attribute> {
        let service = self.service_address;
        let process = self.process_address;
        let clients = self.client_prefix;
        [
            service.map(|service| address::encode(connection::SERVICE_ADDRESS, service)),
            process.map(|process| address::encode(connection::PROCESS_ADDRESS, process)),
            self.state
                .map(|state| u32_value(connection::STATE, state.into())),
            clients.map(|range| {
                address::encode_ip(
                    connection::CLIENT_PREFIX,
                    connection::CLIENT_PREFIX_IPV6,
                    range.address(),
                )
            }),
            clients.map(|range| bytes(connection::CLIENT_PREFIX_LEN, &[range.len()])),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Decode for Connection {
    type Key = (Address, Address);

    fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut client_address = None;
        let mut service_address = None;
        let mut process_address = None;
        let mut state = TcpState::None;
        let mut age = 0;
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                connection::CLIENT_ADDRESS => {
                    client_address = Some(address::decode(attribute.value())?);
                }
                connection::SERVICE_ADDRESS => {
                    service_address = Some(address::decode(attribute.value())?);
                }
                connection::PROCESS_ADDRESS => {
                    process_address = Some(address::decode(attribute.value())?);
                }
                connection::STATE => state = u32(&attribute)?.into(),
                connection::AGE => age = uint(&attribute)?,
                _ => {}
            }
        }
        Ok(Self {
            client_address: required(client_address, "client-address")?,
            service_address: required(service_address, "service-address")?,
            process_address: required(process_address, "process-address")?,
            state,
            age,
        })
    }

    fn key(&self) -> Self::Key {
        (self.client_address, self.service_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::emit;

    /// What a filter by a range of clients sends.
    fn by_clients(range: &str) -> Vec<(u16, Vec<u8>)> {
        let filter = ConnectionFilter {
            client_prefix: Some(range.parse().unwrap()),
            ..ConnectionFilter::default()
        };
        all(&emit(&filter.encode()))
            .map(|attribute| attribute.map(|a| (a.kind(), a.value().to_vec())))
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn a_range_of_clients_is_sent_as_the_attribute_of_its_family() {
        let mut first = vec![0x20, 0x01, 0x0d, 0xb8];
        first.resize(16, 0);
        assert_eq!(
            by_clients("2001:db8::/48"),
            [
                (connection::CLIENT_PREFIX_IPV6, first),
                (connection::CLIENT_PREFIX_LEN, vec![48]),
            ]
        );
        assert_eq!(
            by_clients("198.51.100.0/24")[0].0,
            connection::CLIENT_PREFIX
        );
    }

    #[test]
    fn a_filter_sends_what_it_narrows_by_and_nothing_else() {
        assert!(ConnectionFilter::default().encode().is_empty());
        let filter = ConnectionFilter {
            client_prefix: Some("198.51.100.0/24".parse().unwrap()),
            state: Some(TcpState::TimeWait),
            ..ConnectionFilter::default()
        };
        let sent = emit(&filter.encode());
        let sent: Vec<_> = all(&sent)
            .map(|attribute| attribute.map(|a| (a.kind(), a.value().to_vec())))
            .collect::<Result<_, _>>()
            .unwrap();
        let state = 6u32.to_ne_bytes().to_vec();
        assert_eq!(
            sent,
            [
                (connection::STATE, state),
                (connection::CLIENT_PREFIX, vec![198, 51, 100, 0]),
                (connection::CLIENT_PREFIX_LEN, vec![24]),
            ]
        );
    }
}
