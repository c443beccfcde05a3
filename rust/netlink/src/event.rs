// SPDX-License-Identifier: GPL-2.0

//! Events: what the kernel tells without being asked.

use crate::answer::next_message;
use crate::message::{Decode, Reply};
use crate::spec::Command;
use crate::{Address, Process, Refused, Service};
use netlink_packet_core::{DecodeError, NetlinkMessage, NetlinkPayload};
use netlink_packet_generic::GenlMessage;

/// What happened in the network namespace. Objects are as they were then; one
/// that was deleted is as it was last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A service was added.
    ServiceAdded(Service),
    /// A service was changed.
    ServiceChanged(Service),
    /// A service was deleted.
    ServiceDeleted(Service),
    /// A process was registered.
    ProcessAdded(Process),
    /// A registration was changed.
    ProcessChanged(Process),
    /// A registration has ended, by request or with its owner.
    ProcessDeleted(Process),
    /// The last connection of a draining process has ended; it is down.
    ProcessDrained(Process),
    /// New connections were refused. At most one a second and service.
    Refused(Refused),
    /// The reader was too slow: events were lost before this, and perhaps
    /// among those that came last. What is known of the objects must be asked
    /// for again, now.
    Lost,
}

impl Event {
    /// The specification's name of the event; that of [`Event::Lost`], which
    /// is none of its, is `lost`.
    pub fn name(&self) -> &'static str {
        let command = match self {
            Self::ServiceAdded(_) => Command::ServiceAddNtf,
            Self::ServiceChanged(_) => Command::ServiceSetNtf,
            Self::ServiceDeleted(_) => Command::ServiceDelNtf,
            Self::ProcessAdded(_) => Command::ProcessAddNtf,
            Self::ProcessChanged(_) => Command::ProcessSetNtf,
            Self::ProcessDeleted(_) => Command::ProcessDelNtf,
            Self::ProcessDrained(_) => Command::ProcessDrainedNtf,
            Self::Refused(_) => Command::RefusedNtf,
            Self::Lost => return "lost",
        };
        command.name()
    }

    /// Whether something may have changed for a process of a service.
    pub(crate) fn concerns(&self, service: Address, process: Address) -> bool {
        match self {
            Self::ServiceAdded(object)
            | Self::ServiceChanged(object)
            | Self::ServiceDeleted(object) => object.service_address == service,
            Self::ProcessAdded(object)
            | Self::ProcessChanged(object)
            | Self::ProcessDeleted(object)
            | Self::ProcessDrained(object) => object.key() == (service, process),
            Self::Refused(_) => false,
            Self::Lost => true,
        }
    }

    /// Decodes an event's attributes; none if the command is no event.
    fn decode(command: u8, attributes: &[u8]) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match Command::from_number(command) {
            Some(Command::ServiceAddNtf) => Self::ServiceAdded(Service::decode(attributes)?),
            Some(Command::ServiceSetNtf) => Self::ServiceChanged(Service::decode(attributes)?),
            Some(Command::ServiceDelNtf) => Self::ServiceDeleted(Service::decode(attributes)?),
            Some(Command::ProcessAddNtf) => Self::ProcessAdded(Process::decode(attributes)?),
            Some(Command::ProcessSetNtf) => Self::ProcessChanged(Process::decode(attributes)?),
            Some(Command::ProcessDelNtf) => Self::ProcessDeleted(Process::decode(attributes)?),
            Some(Command::ProcessDrainedNtf) => Self::ProcessDrained(Process::decode(attributes)?),
            Some(Command::RefusedNtf) => Self::Refused(Refused::decode(attributes)?),
            // Of a later version of the family.
            _ => return Ok(None),
        }))
    }
}

/// The events of a datagram.
pub(crate) fn decode_datagram(mut datagram: &[u8], family: u16) -> Result<Vec<Event>, DecodeError> {
    let mut events = Vec::new();
    while let Some(message) = next_message(&mut datagram)? {
        let message = NetlinkMessage::<GenlMessage<Reply>>::deserialize(message)?;
        if message.header.message_type != family {
            continue;
        }
        if let NetlinkPayload::InnerMessage(message) = message.payload {
            events.extend(Event::decode(
                message.header.cmd,
                &message.payload.attributes,
            )?);
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address;
    use crate::attribute::{emit, Attribute};
    use crate::spec::{process, refused, service};
    use proptest::prelude::*;

    const FAMILY: u16 = 30;

    fn at(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// An event as the kernel sends it.
    fn message(family: u16, command: u8, attributes: &[Attribute]) -> Vec<u8> {
        let body = emit(attributes);
        let mut message = (20 + body.len() as u32).to_ne_bytes().to_vec();
        message.extend(family.to_ne_bytes());
        message.extend([0; 10]);
        message.extend([command, 1, 0, 0]);
        message.extend(body);
        message
    }

    fn attributes(command: Command) -> Vec<Attribute> {
        let (service, process) = (at("192.0.2.1:80"), at("10.77.0.1:80"));
        match command.attribute_set().name {
            "service" => vec![address::encode(service::SERVICE_ADDRESS, service)],
            "process" => vec![
                address::encode(process::SERVICE_ADDRESS, service),
                address::encode(process::PROCESS_ADDRESS, process),
            ],
            _ => vec![
                address::encode(refused::SERVICE_ADDRESS, service),
                address::encode(refused::CLIENT_ADDRESS, process),
                crate::attribute::u32_value(refused::REASON, 1),
            ],
        }
    }

    #[test]
    fn every_event_of_the_specification_is_decoded_to_the_one_of_its_name() {
        let events = Command::ALL
            .iter()
            .filter(|command| command.name().ends_with("-ntf"));
        let mut count = 0;
        for command in events {
            let datagram = message(FAMILY, *command as u8, &attributes(*command));
            let decoded = decode_datagram(&datagram, FAMILY).unwrap();
            let names: Vec<_> = decoded.iter().map(Event::name).collect();
            assert_eq!(names, [command.name()]);
            count += 1;
        }
        assert_eq!(count, 8);
    }

    #[test]
    fn several_events_of_one_datagram_are_all_taken() {
        let command = Command::ServiceAddNtf;
        let one = message(FAMILY, command as u8, &attributes(command));
        let datagram = [one.clone(), one].concat();
        assert_eq!(decode_datagram(&datagram, FAMILY).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_event_of_ours_is_passed_over() {
        let unknown = message(FAMILY, 250, &[]);
        assert_eq!(decode_datagram(&unknown, FAMILY).unwrap(), []);
        let command = Command::ServiceAddNtf;
        let others = message(FAMILY + 1, command as u8, &attributes(command));
        assert_eq!(decode_datagram(&others, FAMILY).unwrap(), []);
    }

    #[test]
    fn an_event_concerns_the_process_that_it_names_and_a_loss_all() {
        let (service, process) = (at("192.0.2.1:80"), at("10.77.0.1:80"));
        let drained = Event::ProcessDrained(Process::new(service, process));
        assert!(drained.concerns(service, process));
        assert!(!drained.concerns(service, at("10.77.0.2:80")));
        assert!(!drained.concerns(at("192.0.2.2:80"), process));
        let deleted = Event::ServiceDeleted(Service::new(service));
        assert!(deleted.concerns(service, process));
        assert!(Event::Lost.concerns(service, process));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_decoder_panic(
            command: u8,
            body: Vec<u8>,
            lie in 0usize..60,
        ) {
            let mut datagram = message(FAMILY, command, &[]);
            datagram.extend(body);
            let length = lie as u32;
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = decode_datagram(&datagram, FAMILY);
        }
    }
}
