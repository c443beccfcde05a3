// SPDX-License-Identifier: GPL-2.0

//! The client: one method for each of the family's operations.

use crate::attribute::Attribute;
use crate::dump::without_repeats;
use crate::family::Family;
use crate::message::{Decode, Reply, Request};
use crate::socket::{Attempt, Failure, Socket};
use crate::spec::{connection, process, service, AttributeSet, Command};
use crate::{
    address, Address, Connection, ConnectionFilter, Dump, Error, KernelError, Net, NetSettings,
    OwnedBy, Process, ProcessSettings, Service, ServiceSettings,
};
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_generic::GenlMessage;
use netlink_sys::protocols::NETLINK_GENERIC;

/// A connection to the module, in the network namespace of the thread that
/// made it.
pub struct Client {
    socket: Socket,
    family: u16,
}

impl Client {
    /// Finds the module's family. [`Error::NotLoaded`] if it isn't there.
    pub fn connect() -> Result<Self, Error> {
        let mut socket = Socket::open(NETLINK_GENERIC)?;
        let family = Family::resolve(&mut socket)?.id;
        Ok(Self { socket, family })
    }

    /// Adds a service.
    pub fn service_add(
        &mut self,
        service: Address,
        settings: &ServiceSettings,
    ) -> Result<(), Error> {
        let attributes = [names_service(service), settings.encode()].concat();
        self.change(Command::ServiceAdd, attributes)
    }

    /// Changes how a service works.
    pub fn service_set(
        &mut self,
        service: Address,
        settings: &ServiceSettings,
    ) -> Result<(), Error> {
        let attributes = [names_service(service), settings.encode()].concat();
        self.change(Command::ServiceSet, attributes)
    }

    /// Deletes a service and its registrations; its connections go on.
    pub fn service_del(&mut self, service: Address) -> Result<(), Error> {
        self.change(Command::ServiceDel, names_service(service))
    }

    /// Gets a service.
    pub fn service_get(&mut self, service: Address) -> Result<Service, Error> {
        self.get(Command::ServiceGet, names_service(service))
    }

    /// Gets all services, in the order of their registration.
    pub fn service_list(&mut self) -> Result<Dump<Service>, Error> {
        self.dump(Command::ServiceGet, Vec::new())
    }

    /// Registers a process for a service.
    pub fn process_add(
        &mut self,
        service: Address,
        process: Address,
        owner: OwnedBy<'_>,
        settings: &ProcessSettings,
    ) -> Result<(), Error> {
        let named = names_process(service, process);
        let attributes = [named, owner.encode(), settings.encode()].concat();
        self.change(Command::ProcessAdd, attributes)
    }

    /// Changes a registration.
    pub fn process_set(
        &mut self,
        service: Address,
        process: Address,
        settings: &ProcessSettings,
    ) -> Result<(), Error> {
        let attributes = [names_process(service, process), settings.encode()].concat();
        self.change(Command::ProcessSet, attributes)
    }

    /// Deletes a registration; the process's connections go on.
    pub fn process_del(&mut self, service: Address, process: Address) -> Result<(), Error> {
        self.change(Command::ProcessDel, names_process(service, process))
    }

    /// Gets a process.
    pub fn process_get(&mut self, service: Address, process: Address) -> Result<Process, Error> {
        self.get(Command::ProcessGet, names_process(service, process))
    }

    /// Gets the processes of a service, or all.
    pub fn process_list(&mut self, service: Option<Address>) -> Result<Dump<Process>, Error> {
        let attributes = service
            .map(|service| address::encode(process::SERVICE_ADDRESS, service))
            .into_iter()
            .collect();
        self.dump(Command::ProcessGet, attributes)
    }

    /// Assigns a client's connection to a process before its first packet.
    pub fn connection_add(
        &mut self,
        client: Address,
        service: Address,
        process: Address,
    ) -> Result<(), Error> {
        let mut attributes = names_connection(client, service);
        attributes.push(address::encode(connection::PROCESS_ADDRESS, process));
        self.change(Command::ConnectionAdd, attributes)
    }

    /// Deletes a connection's entry.
    pub fn connection_del(&mut self, client: Address, service: Address) -> Result<(), Error> {
        self.change(Command::ConnectionDel, names_connection(client, service))
    }

    /// Gets a connection.
    pub fn connection_get(
        &mut self,
        client: Address,
        service: Address,
    ) -> Result<Connection, Error> {
        self.get(Command::ConnectionGet, names_connection(client, service))
    }

    /// Gets a connection as its daemon knows it, by the accepted socket's `peer_addr()` and
    /// `local_addr()`: it tells which service address the client used.
    pub fn connection_at_process(
        &mut self,
        client: Address,
        process: Address,
    ) -> Result<Connection, Error> {
        // A socket of IPv6 shows IPv4 addresses as mapped ones.
        let canonical =
            |address: Address| Address::new(address.ip().to_canonical(), address.port());
        let attributes = vec![
            address::encode(connection::CLIENT_ADDRESS, canonical(client)),
            address::encode(connection::PROCESS_ADDRESS, canonical(process)),
        ];
        self.get(Command::ConnectionGet, attributes)
    }

    /// Gets the connections that a filter lets through.
    pub fn connection_list(&mut self, filter: ConnectionFilter) -> Result<Dump<Connection>, Error> {
        self.dump(Command::ConnectionGet, filter.encode())
    }

    /// Gets what holds for the whole network namespace.
    pub fn net(&mut self) -> Result<Net, Error> {
        self.get(Command::NetGet, Vec::new())
    }

    /// Sets the process prefix or the limit on connections.
    pub fn set_net(&mut self, settings: &NetSettings) -> Result<(), Error> {
        self.change(Command::NetSet, settings.encode())
    }

    fn message(&self, command: Command, attributes: Vec<Attribute>) -> GenlMessage<Request> {
        let mut message = GenlMessage::from_payload(Request {
            command,
            attributes,
        });
        message.set_resolved_family_id(self.family);
        message
    }

    fn change(&mut self, command: Command, attributes: Vec<Attribute>) -> Result<(), Error> {
        let message = self.message(command, attributes);
        self.socket
            .attempt::<_, GenlMessage<Reply>>(message, NLM_F_ACK)
            .map(|_| ())
            .map_err(|failure| resolve(failure, command.attribute_set()))
    }

    fn get<T: Decode>(&mut self, command: Command, attributes: Vec<Attribute>) -> Result<T, Error> {
        let message = self.message(command, attributes);
        let answer: Attempt<GenlMessage<Reply>> = self
            .socket
            .attempt(message, NLM_F_ACK)
            .map_err(|failure| resolve(failure, command.attribute_set()))?;
        let reply = answer.messages.first().ok_or(Error::NoReply)?;
        T::decode(&reply.payload.attributes).map_err(|error| Error::Decode(error.to_string()))
    }

    fn dump<T: Decode>(
        &mut self,
        command: Command,
        attributes: Vec<Attribute>,
    ) -> Result<Dump<T>, Error> {
        let family = self.family;
        let message = || {
            let mut message = GenlMessage::from_payload(Request {
                command,
                attributes: attributes.clone(),
            });
            message.set_resolved_family_id(family);
            message
        };
        let answer: Attempt<GenlMessage<Reply>> = self
            .socket
            .try_dump(message)
            .map_err(|failure| resolve(failure, command.attribute_set()))?;
        let items = answer
            .messages
            .iter()
            .map(|reply| T::decode(&reply.payload.attributes))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Dump {
            items: without_repeats(items),
            interrupted: answer.interrupted,
        })
    }
}

/// Gives the attributes that a refusal speaks of their names.
fn resolve(failure: Failure, set: &'static AttributeSet) -> Error {
    let Failure::Refused(refusal) = failure else {
        return failure.into();
    };
    Error::Kernel(KernelError {
        attribute: refusal.extack.attribute(&refusal.request, set),
        missing: refusal.extack.missing(&refusal.request, set),
        message: refusal.extack.message,
        ..KernelError::new(refusal.errno)
    })
}

fn names_service(service: Address) -> Vec<Attribute> {
    vec![address::encode(service::SERVICE_ADDRESS, service)]
}

fn names_process(service: Address, process: Address) -> Vec<Attribute> {
    vec![
        address::encode(process::SERVICE_ADDRESS, service),
        address::encode(process::PROCESS_ADDRESS, process),
    ]
}

fn names_connection(client: Address, service: Address) -> Vec<Attribute> {
    vec![
        address::encode(connection::CLIENT_ADDRESS, client),
        address::encode(connection::SERVICE_ADDRESS, service),
    ]
}
