// SPDX-License-Identifier: GPL-2.0

//! What a network namespace has of the layer.

use crate::{
    connection::{Connection, ConnectionTable, InsertError},
    expire, module_parameters,
    process::Process,
    service::{ControlHeld, Service, ServiceKey, ServiceTable},
    stats::Drops,
    tcp_dispatch_core::{Prefix, SocketAddress},
    wrappers::{
        delayed_work::{DelayedWork, HasDelayedWork},
        net::{Net, Owner, Pernet, PernetOperations},
        rcu::{RcuArc, RcuRef},
    },
};
use core::mem::offset_of;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        lock::{mutex::MutexBackend, Guard as LockGuard},
        rcu::Guard,
        Mutex,
    },
    time::Msecs,
};
use pin_init::{pin_data, pinned_drop, PinInit};

/// The state of a network namespace.
#[pin_data(PinnedDrop)]
pub(crate) struct DispatchNet {
    /// Ends connections, see [`expire`]. First, so that it is dropped while the rest is there.
    #[pin]
    sweep: DelayedWork<Self>,
    /// [`Prefix::to_bits`]. Set under `control`, read by every packet.
    process_prefix: Atomic<u64>,
    /// Read under RCU, changed under `control`.
    #[pin]
    services: ServiceTable,
    /// Has rules of its own.
    #[pin]
    pub(crate) connections: ConnectionTable,
    /// Packets dropped that belong to no service.
    pub(crate) drops: Drops,
    /// What only netlink uses. Taken in process context alone.
    #[pin]
    control: Mutex<Control>,
    /// Points back.
    owner: Owner,
}

/// What the control plane knows of a namespace.
pub(crate) struct Control {
    /// All services, by growing id.
    services: KVec<RcuArc<Service>>,
    /// The id that the next service or process gets.
    next_id: u64,
    /// Grows with each change, so that dumps can tell.
    generation: u32,
}

static OPERATIONS: PernetOperations<DispatchNet> = PernetOperations::new();

impl Pernet for DispatchNet {
    fn operations() -> &'static PernetOperations<Self> {
        &OPERATIONS
    }

    fn new(owner: Owner) -> impl PinInit<Self, Error> {
        let limit = module_parameters::max_connections.value();
        pin_init::pin_init!(Self {
            sweep <- DelayedWork::new(),
            process_prefix: Atomic::new(Prefix::EMPTY.to_bits()),
            services <- ServiceTable::new(),
            connections <- ConnectionTable::new(limit),
            drops: Drops::new(GFP_KERNEL)?,
            control <- new_mutex!(Control {
                services: KVec::new(),
                next_id: 1,
                generation: 1,
            }, "tcp_dispatch_control"),
            owner,
        }? Error)
    }
}

// SAFETY: `sweep` is at this offset.
unsafe impl HasDelayedWork for DispatchNet {
    const OFFSET: usize = offset_of!(Self, sweep);

    fn run(&self) -> Option<Msecs> {
        expire::sweep(self)
    }
}

impl DispatchNet {
    /// The state of `net`. Any context.
    #[inline]
    pub(crate) fn of<'a>(net: &'a Net, guard: &Guard) -> &'a Self {
        OPERATIONS.get(net, guard)
    }

    /// The namespace.
    pub(crate) fn net(&self) -> &Net {
        self.owner.net()
    }

    /// The range of process addresses.
    #[inline]
    pub(crate) fn process_prefix(&self) -> Prefix {
        Prefix::from_bits(self.process_prefix.load(ordering::Relaxed))
    }

    /// The service at `address`.
    #[inline]
    pub(crate) fn find_service<'rcu>(
        &self,
        address: SocketAddress,
        guard: &'rcu Guard,
    ) -> Option<RcuRef<'rcu, Service>> {
        self.services.lookup(&ServiceKey::new(address), guard)
    }

    /// Puts a connection into the table, and sees to it that it is ended one day. Any context.
    pub(crate) fn insert(&self, connection: RcuArc<Connection>) -> Result<(), InsertError> {
        if self.connections.insert(connection)? == 0 {
            self.sweep.schedule(expire::INTERVAL);
        }
        Ok(())
    }

    /// Takes the control lock. Process context.
    pub(crate) fn control(&self) -> ControlGuard<'_> {
        ControlGuard {
            net: self,
            control: self.control.lock(),
        }
    }
}

/// The control lock, held.
pub(crate) struct ControlGuard<'a> {
    net: &'a DispatchNet,
    control: LockGuard<'a, Control, MutexBackend>,
}

impl ControlGuard<'_> {
    fn held(&self) -> ControlHeld {
        ControlHeld::new()
    }

    /// Which state of the services and processes this is.
    pub(crate) fn generation(&self) -> u32 {
        self.control.generation
    }

    /// The services, by growing id.
    pub(crate) fn services(&self) -> &[RcuArc<Service>] {
        &self.control.services
    }

    /// The service at `address`.
    pub(crate) fn service(&self, address: SocketAddress) -> Option<RcuArc<Service>> {
        self.net.find_service(address, &Guard::new())?.upgrade()
    }

    fn changed(&mut self) {
        self.control.generation = self.control.generation.wrapping_add(1);
    }

    fn next_id(&mut self) -> u64 {
        let id = self.control.next_id;
        self.control.next_id += 1;
        id
    }

    /// Sets the range of process addresses.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a registered process has an address that isn't of it.
    pub(crate) fn set_process_prefix(&mut self, prefix: Prefix) -> Result {
        let guard = Guard::new();
        for service in self.services() {
            if prefix.contains(service.address().ip) {
                return Err(EADDRINUSE);
            }
            let processes = service.registered(&guard);
            if processes.iter().any(|p| !prefix.contains(p.address.ip)) {
                return Err(EBUSY);
            }
        }
        self.net
            .process_prefix
            .store(prefix.to_bits(), ordering::Relaxed);
        Ok(())
    }

    /// Adds a service.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is one at the address, `ENOMEM`.
    pub(crate) fn add_service(&mut self, address: SocketAddress) -> Result {
        let id = self.next_id();
        let service = Service::new(address, id)?;
        self.control.services.reserve(1, GFP_KERNEL)?;
        self.net.services.insert(service.clone())?;
        // There is room, so this can't fail.
        self.control.services.push(service, GFP_KERNEL)?;
        self.changed();
        Ok(())
    }

    /// Deletes a service and its registrations. Its connections stay.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none at the address, `ENOMEM`.
    pub(crate) fn remove_service(&mut self, address: SocketAddress) -> Result {
        let service = self.service(address).ok_or(ENOENT)?;
        service.clear_processes(self.held());
        let guard = Guard::new();
        if let Some(found) = self.net.find_service(address, &guard) {
            drop(self.net.services.remove(found));
        }
        drop(guard);
        self.control
            .services
            .retain(|other| !other.ptr_eq(&service));
        self.changed();
        Ok(())
    }

    /// Registers a process for a service.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it is registered for it already, `ENOMEM`.
    pub(crate) fn add_process(
        &mut self,
        service: RcuArc<Service>,
        address: SocketAddress,
    ) -> Result {
        if service
            .registered(&Guard::new())
            .iter()
            .any(|process| process.address == address)
        {
            return Err(EEXIST);
        }
        let id = self.next_id();
        let process = Process::new(service.clone(), address, id)?;
        service.add_process(process, self.held())?;
        self.changed();
        Ok(())
    }

    /// Ends the registration of a process. Its connections stay.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none, `ENOMEM`.
    pub(crate) fn remove_process(&mut self, service: &Service, address: SocketAddress) -> Result {
        service.remove_process(address, self.held())?;
        self.changed();
        Ok(())
    }
}

#[pinned_drop]
impl PinnedDrop for DispatchNet {
    /// The namespace is gone, or the module is about to be: nobody else refers to the state.
    fn drop(self: Pin<&mut Self>) {
        // The tables drop their entries. Only services and their processes would keep each other.
        let control = self.control();
        for service in control.services() {
            service.clear_processes(control.held());
        }
    }
}
