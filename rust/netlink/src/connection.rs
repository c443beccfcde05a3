// SPDX-License-Identifier: GPL-2.0

//! Connections.

use crate::attribute::{all, required, u32, uint};
use crate::message::Decode;
use crate::spec::connection;
use crate::{address, Address, TcpState};
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
