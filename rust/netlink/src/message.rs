// SPDX-License-Identifier: GPL-2.0

//! Messages of the family, as generic netlink payloads.

use crate::attribute::{self, Attribute};
use crate::spec::{Command, FAMILY_NAME, FAMILY_VERSION};
use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use std::hash::Hash;

/// Something that the family's replies describe.
pub(crate) trait Decode: Sized {
    /// What names the object; a dump that repeats one repeats the object.
    type Key: Eq + Hash;

    /// Decodes a reply's attributes.
    fn decode(value: &[u8]) -> Result<Self, DecodeError>;

    /// The object's name.
    fn key(&self) -> Self::Key;
}

/// A request: an operation and its attributes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) attributes: Vec<Attribute>,
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        FAMILY_NAME
    }

    fn command(&self) -> u8 {
        self.command as u8
    }

    fn version(&self) -> u8 {
        FAMILY_VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

/// A reply of any family, its attributes not decoded.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) attributes: Vec<u8>,
}

impl ParseableParametrized<[u8], GenlHeader> for Reply {
    fn parse_with_param(buffer: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self {
            attributes: buffer.to_vec(),
        })
    }
}

impl Reply {
    /// The value of the first attribute of a kind.
    pub(crate) fn find(&self, kind: u16) -> Option<Vec<u8>> {
        attribute::all(&self.attributes)
            .filter_map(Result::ok)
            .find(|attribute| attribute.kind() == kind)
            .map(|attribute| attribute.value().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::{bytes, emit, nest};
    use crate::spec::{connection, drops, process, refused, service, stats};
    use crate::{
        address, Address, Connection, Drops, Net, Owner, Process, Refused, RefusedReason, Service,
        Stats, TcpState, Traffic,
    };
    use proptest::prelude::*;
    use std::net::IpAddr;

    /// An attribute that a later kernel may add.
    const UNKNOWN: u16 = 200;

    /// As the kernel encodes it: 4 bytes if they suffice.
    fn uint(kind: u16, value: u64) -> Attribute {
        match u32::try_from(value) {
            Ok(short) => bytes(kind, &short.to_ne_bytes()),
            Err(_) => bytes(kind, &value.to_ne_bytes()),
        }
    }

    fn encode_stats(kind: u16, counters: &Stats) -> Attribute {
        nest(
            kind,
            &[
                uint(stats::CONNECTIONS, counters.connections),
                uint(stats::PACKETS_IN, counters.packets_in),
                bytes(UNKNOWN, b"?"),
                uint(stats::BYTES_IN, counters.bytes_in),
                uint(stats::PACKETS_OUT, counters.packets_out),
                uint(stats::BYTES_OUT, counters.bytes_out),
            ],
        )
    }

    fn encode_drops(kind: u16, counters: &Drops) -> Attribute {
        nest(
            kind,
            &[
                uint(drops::NO_PROCESS, counters.no_process),
                uint(drops::CONNECTION_LIMIT, counters.connection_limit),
                uint(drops::CONFLICT, counters.conflict),
                uint(drops::NO_MEMORY, counters.no_memory),
                uint(drops::OUTSIDE, counters.outside),
                uint(drops::NO_CONNECTION, counters.no_connection),
                uint(drops::SIGNED, counters.signed),
            ],
        )
    }

    prop_compose! {
        fn any_address()(ip: IpAddr, port: u16) -> Address {
            Address::new(ip, port)
        }
    }

    prop_compose! {
        fn any_stats()(counters: [u64; 5]) -> Stats {
            let [connections, packets_in, bytes_in, packets_out, bytes_out] = counters;
            Stats { connections, packets_in, bytes_in, packets_out, bytes_out }
        }
    }

    prop_compose! {
        fn any_drops()(counters: [u64; 7]) -> Drops {
            let [no_process, connection_limit, conflict, no_memory, outside, no_connection, signed] =
                counters;
            Drops {
                no_process, connection_limit, conflict, no_memory, outside, no_connection, signed
            }
        }
    }

    prop_compose! {
        fn any_traffic()(connections: u64, stats in any_stats(), drops in any_drops()) -> Traffic {
            Traffic { connections, stats, drops }
        }
    }

    proptest! {
        #[test]
        fn a_service_is_read_as_the_kernel_wrote_it(
            service_address in any_address(),
            processes: u32,
            traffic in any_traffic(),
        ) {
            let reply = emit(&[
                bytes(UNKNOWN, b"of a later version"),
                address::encode(service::SERVICE_ADDRESS, service_address),
                bytes(service::PROCESSES, &processes.to_ne_bytes()),
                uint(service::CONNECTIONS, traffic.connections),
                encode_stats(service::STATS, &traffic.stats),
                encode_drops(service::DROPS, &traffic.drops),
            ]);
            let mut expected = Service::new(service_address);
            expected.processes = processes;
            expected.traffic = traffic;
            prop_assert_eq!(Service::decode(&reply).unwrap(), expected);
        }

        #[test]
        fn a_process_is_read_as_the_kernel_wrote_it(
            service_address in any_address(),
            process_address in any_address(),
            traffic in any_traffic(),
            numbers: [u32; 4],
        ) {
            let [pid, uid, queue, max] = numbers;
            let number = |kind, value: u32| bytes(kind, &value.to_ne_bytes());
            let reply = emit(&[
                address::encode(process::SERVICE_ADDRESS, service_address),
                address::encode(process::PROCESS_ADDRESS, process_address),
                uint(process::CONNECTIONS, traffic.connections),
                encode_stats(process::STATS, &traffic.stats),
                encode_drops(process::DROPS, &traffic.drops),
                number(process::OWNER, 2),
                number(process::PID, pid),
                number(process::UID, uid),
                number(process::ACCEPT_QUEUE, queue),
                number(process::ACCEPT_QUEUE_MAX, max),
            ]);
            let mut expected = Process::new(service_address, process_address);
            expected.traffic = traffic;
            expected.owner = Owner::Pid;
            expected.pid = Some(pid);
            expected.uid = Some(uid);
            expected.accept_queue = Some(queue);
            expected.accept_queue_max = Some(max);
            prop_assert_eq!(Process::decode(&reply).unwrap(), expected);
        }

        #[test]
        fn a_refusal_is_read_as_the_kernel_wrote_it(
            service_address in any_address(),
            client_address in any_address(),
            reason in 0u32..4,
            count: u64,
        ) {
            let event = emit(&[
                address::encode(refused::SERVICE_ADDRESS, service_address),
                address::encode(refused::CLIENT_ADDRESS, client_address),
                bytes(refused::REASON, &reason.to_ne_bytes()),
                uint(refused::COUNT, count),
            ]);
            let reason = RefusedReason::from(reason);
            let expected = Refused { service_address, client_address, reason, count };
            prop_assert_eq!(Refused::decode(&event).unwrap(), expected);
        }

        #[test]
        fn a_connection_is_read_as_the_kernel_wrote_it(
            client_address in any_address(),
            service_address in any_address(),
            process_address in any_address(),
            state in 0u32..20,
            age: u64,
        ) {
            let reply = emit(&[
                address::encode(connection::CLIENT_ADDRESS, client_address),
                address::encode(connection::SERVICE_ADDRESS, service_address),
                address::encode(connection::PROCESS_ADDRESS, process_address),
                bytes(connection::STATE, &state.to_ne_bytes()),
                uint(connection::AGE, age),
            ]);
            let state = TcpState::from(state);
            let expected =
                Connection { client_address, service_address, process_address, state, age };
            prop_assert_eq!(Connection::decode(&reply).unwrap(), expected);
        }

        #[test]
        fn no_reply_makes_a_decoder_panic(
            attributes in prop::collection::vec(
                (0u16..17, prop::collection::vec(any::<u8>(), 0..40)),
                0..6,
            ),
            cut in 0usize..8,
        ) {
            let attributes: Vec<_> =
                attributes.iter().map(|(kind, value)| bytes(*kind, value)).collect();
            let mut reply = emit(&attributes);
            reply.truncate(reply.len().saturating_sub(cut));
            let _ = Service::decode(&reply);
            let _ = Process::decode(&reply);
            let _ = Connection::decode(&reply);
            let _ = Net::decode(&reply);
            let _ = Refused::decode(&reply);
        }
    }

    #[test]
    fn an_object_whose_reply_has_its_name_alone_is_as_it_is_without_settings() {
        for (address, bits) in [("192.0.2.1:80", 32), ("[2001:db8::1]:80", 128)] {
            let address: Address = address.parse().unwrap();
            let named = address::encode(service::SERVICE_ADDRESS, address);
            let decoded = Service::decode(&emit(&[named])).unwrap();
            assert_eq!(decoded, Service::new(address));
            assert_eq!(decoded.affinity_prefix_len, bits);
        }
    }

    #[test]
    fn json_has_the_counters_beside_the_name() {
        let address: Address = "192.0.2.1:80".parse().unwrap();
        let shown = serde_norway::to_string(&Process::new(address, address)).unwrap();
        assert!(shown.contains("\nconnections: 0\n"), "{shown}");
        assert!(shown.contains("\nstate: active\n"), "{shown}");
        let address: Address = "[2001:db8::1]:80".parse().unwrap();
        let shown = serde_norway::to_string(&Process::new(address, address)).unwrap();
        assert!(shown.contains("'[2001:db8::1]:80'"), "{shown}");
    }

    #[test]
    fn a_reply_without_the_objects_name_is_refused() {
        let error = Service::decode(&[]).unwrap_err();
        assert_eq!(error.to_string(), "the reply has no service-address");
    }
}
