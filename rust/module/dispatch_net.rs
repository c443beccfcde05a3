// SPDX-License-Identifier: GPL-2.0

//! What a network namespace has of the layer.

use crate::{
    affinity::AffinityTable,
    connection::{Connection, ConnectionRef, ConnectionTable, InsertError},
    control::events,
    expire, module_parameters,
    plan::{Plan, Settings, MAX_PROCESSES},
    process::{self, Process, Registration, State},
    service::{ControlHeld, Service, ServiceKey, ServiceTable},
    settle,
    stats::Drops,
    tcp_dispatch_core::{Prefix, SocketAddress},
    wrappers::{
        delayed_work::{DelayedWork, HasDelayedWork},
        net::{Net, Owner, Pernet, PernetOperations},
        netlink_notifier::SocketReleased,
        pid::PidWatch,
        rcu::{read_once, RcuArc, RcuRef},
        trace,
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

/// Which work of a namespace is which, for [`HasDelayedWork`].
const SWEEP: usize = 0;
const SETTLE: usize = 1;

/// The state of a network namespace.
#[pin_data(PinnedDrop)]
pub(crate) struct DispatchNet {
    /// Ends connections, see [`expire`]. Before the rest, so that it is dropped while that is there.
    #[pin]
    sweep: DelayedWork<Self, SWEEP>,
    /// Ends processes, see [`settle`]. Behind `sweep`, which may schedule it.
    #[pin]
    settle: DelayedWork<Self, SETTLE>,
    /// [`Prefix::to_bits`]. Set under `control`, read by every packet.
    process_prefix: Atomic<u64>,
    /// Read under RCU, changed under `control`.
    #[pin]
    services: ServiceTable,
    /// Has rules of its own.
    #[pin]
    pub(crate) connections: ConnectionTable,
    /// Has rules of its own.
    #[pin]
    pub(crate) affinities: AffinityTable,
    /// How many sweeps have begun, and how many are done. Written by the sweep.
    pub(crate) sweeps: Atomic<i64>,
    pub(crate) sweeps_done: Atomic<i64>,
    /// Packets dropped that belong to no service.
    pub(crate) drops: Drops,
    /// How many registrations belong to netlink sockets. Changed under `control`; read without, by
    /// each netlink socket that is closed.
    socket_owned: Atomic<i32>,
    /// What only netlink and [`settle`] use. Taken in process context alone.
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
    /// For each registration that belongs to a process of the kernel's, by the registration's id.
    watches: KVec<(u64, Pin<KBox<PidWatch<DispatchNet, SETTLE>>>)>,
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
            settle <- DelayedWork::new(),
            process_prefix: Atomic::new(Prefix::EMPTY.to_bits()),
            services <- ServiceTable::new(),
            connections <- ConnectionTable::new(limit),
            affinities <- AffinityTable::new(),
            sweeps: Atomic::new(0),
            sweeps_done: Atomic::new(0),
            drops: Drops::new(GFP_KERNEL)?,
            socket_owned: Atomic::new(0),
            control <- new_mutex!(Control {
                services: KVec::new(),
                next_id: 1,
                generation: 1,
                watches: KVec::new(),
            }, "tcp_dispatch_control"),
            owner,
        }? Error)
    }
}

// SAFETY: `sweep` is at this offset.
unsafe impl HasDelayedWork<SWEEP> for DispatchNet {
    const OFFSET: usize = offset_of!(Self, sweep);

    fn run(&self) -> Option<Msecs> {
        expire::sweep(self)
    }
}

// SAFETY: `settle` is at this offset.
unsafe impl HasDelayedWork<SETTLE> for DispatchNet {
    const OFFSET: usize = offset_of!(Self, settle);

    fn run(&self) -> Option<Msecs> {
        settle::settle(self)
    }
}

impl SocketReleased for DispatchNet {
    fn released(net: &Net, portid: u32) {
        let state = Self::of(net, &Guard::new());
        if state.socket_owned.load(ordering::Relaxed) != 0 {
            state.control().remove_of_socket(portid);
        }
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
        Prefix::from_bits(read_once(&self.process_prefix))
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

    /// Takes a connection out of the table. Any context. `false` if somebody else did.
    pub(crate) fn remove(&self, connection: ConnectionRef<'_>) -> bool {
        let Some(last) = self.connections.remove(connection) else {
            return false;
        };
        if !connection.is_in_the_making() {
            trace::expired(
                connection.client(),
                connection.service_address(),
                connection.process_address(),
            );
        }
        if last && connection.process.state() == State::Draining {
            self.settle.expedite();
        }
        true
    }

    /// Lets [`settle`] run.
    pub(crate) fn settle(&self) {
        self.settle.expedite();
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
    /// `EBUSY` if a registered process has an address that isn't of it, `EADDRINUSE` if a service
    /// has one that is.
    pub(crate) fn set_process_prefix(&mut self, prefix: Prefix) -> Result {
        for service in self.services() {
            if prefix.contains(service.address().ip) {
                return Err(EADDRINUSE);
            }
            let plan = service.whole_plan()?;
            if plan
                .processes
                .iter()
                .any(|p| !prefix.contains(p.address.ip))
            {
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
    pub(crate) fn add_service(&mut self, address: SocketAddress, settings: Settings) -> Result {
        let id = self.next_id();
        let service = Service::new(address, id, settings)?;
        self.control.services.reserve(1, GFP_KERNEL)?;
        self.net.services.insert(service.clone())?;
        events::service(self.net, events::SERVICE_ADDED, &service);
        // There is room, so this can't fail.
        self.control.services.push(service, GFP_KERNEL)?;
        self.changed();
        Ok(())
    }

    /// Changes the settings of a service.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn set_service(&mut self, service: &Service, settings: Settings) -> Result {
        let processes = processes_of(&*service.whole_plan()?, 0)?;
        service.set_plan(settings, processes, self.held())?;
        self.changed();
        events::service(self.net, events::SERVICE_CHANGED, service);
        Ok(())
    }

    /// Deletes a service and its registrations. Its connections stay.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none at the address.
    pub(crate) fn remove_service(&mut self, address: SocketAddress) -> Result {
        let service = self.service(address).ok_or(ENOENT)?;
        let plan = service.whole_plan()?;
        for process in &plan.processes {
            self.disown(process);
            events::process(self.net, events::PROCESS_DELETED, process);
        }
        events::service(self.net, events::SERVICE_DELETED, &service);
        service.clear_plan(self.held());
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
    /// `EEXIST` if it is registered for it already, `ENOSPC` if the service has as many as it may,
    /// `ESRCH` if its owner is gone, `ENOMEM`.
    pub(crate) fn add_process(
        &mut self,
        service: &RcuArc<Service>,
        address: SocketAddress,
        registration: Registration,
    ) -> Result {
        let plan = service.whole_plan()?;
        if plan.processes.iter().any(|p| p.address == address) {
            return Err(EEXIST);
        }
        if plan.processes.len() >= MAX_PROCESSES {
            return Err(ENOSPC);
        }
        let id = self.next_id();
        let process = Process::new(service.clone(), address, id, registration)?;
        let mut processes = processes_of(&plan, 1)?;
        processes.push(process.clone(), GFP_KERNEL)?;
        self.control.watches.reserve(1, GFP_KERNEL)?;
        if let process::Owner::Pid { pid, .. } = &process.owner {
            // SAFETY: All watches are dropped before `settle` is, in `DispatchNet::drop()`.
            let watch = unsafe { PidWatch::new(pid.clone(), &self.net.settle) }?;
            if !pid.is_alive(&Guard::new()) {
                return Err(ESRCH);
            }
            self.control.watches.push((id, watch), GFP_KERNEL)?;
        }
        if let Err(error) = service.set_plan(plan.settings, processes, self.held()) {
            self.control.watches.retain(|(of, _)| *of != id);
            return Err(error);
        }
        if let process::Owner::Socket(_) = process.owner {
            self.net.socket_owned.fetch_add(1, ordering::Relaxed);
        }
        self.changed();
        events::process(self.net, events::PROCESS_ADDED, &process);
        Ok(())
    }

    /// The process of `service` that is registered with `address`.
    pub(crate) fn process(
        &self,
        service: &Service,
        address: SocketAddress,
    ) -> Option<RcuArc<Process>> {
        let plan = service.whole_plan().ok()?;
        let process = plan.processes.iter().find(|p| p.address == address);
        process.cloned()
    }

    /// Makes known what was changed of a registration.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: by Maglev hashing, new connections still come as before.
    pub(crate) fn process_changed(&mut self, process: &Process) -> Result {
        self.changed();
        let plan = process.service.whole_plan()?;
        let planned = processes_of(&plan, 0)
            .and_then(|all| process.service.set_plan(plan.settings, all, self.held()));
        events::process(self.net, events::PROCESS_CHANGED, process);
        // Perhaps it drains, and has nothing left; perhaps there is a deadline now.
        self.net.settle.expedite();
        planned
    }

    /// Ends the registration of a process. Its connections stay.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it has ended already, `ENOMEM`.
    pub(crate) fn remove_process(&mut self, process: &RcuArc<Process>) -> Result {
        let service = &process.service;
        let plan = service.whole_plan()?;
        let mut processes = processes_of(&plan, 0)?;
        let at = plan.position(process).ok_or(ENOENT)?;
        processes.remove(at).map_err(|_| ENOENT)?;
        service.set_plan(plan.settings, processes, self.held())?;
        self.disown(process);
        self.changed();
        events::process(self.net, events::PROCESS_DELETED, process);
        Ok(())
    }

    /// Forgets the owner of a registration that ends.
    fn disown(&mut self, process: &Process) {
        match process.owner {
            process::Owner::None => {}
            process::Owner::Socket(_) => {
                self.net.socket_owned.fetch_sub(1, ordering::Relaxed);
            }
            process::Owner::Pid { .. } => {
                self.control.watches.retain(|(of, _)| *of != process.id);
            }
        }
    }

    /// Ends the registrations that belong to the netlink socket with this port.
    fn remove_of_socket(&mut self, portid: u32) {
        self.remove_all(
            |process| matches!(process.owner, process::Owner::Socket(owner) if owner == portid),
        );
    }

    /// Ends the registrations whose owner has died.
    pub(crate) fn remove_orphans(&mut self) {
        if !self.control.watches.is_empty() {
            self.remove_all(|process| !process.owner.is_there(&Guard::new()));
        }
    }

    /// Ends all registrations that `over` is true of. What there is no memory to remove stays, and is
    /// given no new connections if its owner is a process; it is tried again with the next.
    fn remove_all(&mut self, over: impl Fn(&Process) -> bool) {
        let mut at = 0;
        while let Some(service) = self.control.services.get(at).cloned() {
            at += 1;
            let Ok(plan) = service.whole_plan() else {
                continue;
            };
            for process in plan.processes.iter().filter(|process| over(process)) {
                if self.remove_process(process).is_err() {
                    pr_warn!("no memory to end a registration whose owner is gone\n");
                }
            }
        }
    }

    /// Puts draining processes down that are done with their last connection.
    pub(crate) fn finish_draining(&mut self) {
        let done = self.net.sweeps_done.load(ordering::Acquire);
        let mut at = 0;
        while let Some(service) = self.control.services.get(at).cloned() {
            at += 1;
            let Ok(plan) = service.whole_plan() else {
                continue;
            };
            for process in &plan.processes {
                if process.state() == State::Draining && process.has_drained(done) {
                    process.set_state(State::Down, None, done);
                    self.changed();
                    events::process(self.net, events::PROCESS_DRAINED, process);
                }
            }
        }
    }

    /// The draining processes whose time is over, and in how many milliseconds the next one's is.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn deadlines(&self) -> Result<(KVec<RcuArc<Process>>, Option<Msecs>)> {
        let mut overdue = KVec::new();
        let mut next: Option<Msecs> = None;
        for service in self.services() {
            for process in &service.whole_plan()?.processes {
                match process.time_left() {
                    None => {}
                    Some(0) => overdue.push(process.clone(), GFP_KERNEL)?,
                    Some(left) => next = Some(next.map_or(left, |next| next.min(left))),
                }
            }
        }
        Ok((overdue, next))
    }
}

/// The processes of a plan as a list of one's own, with room for `more`.
fn processes_of(plan: &Plan, more: usize) -> Result<KVec<RcuArc<Process>>> {
    let mut processes = KVec::with_capacity(plan.processes.len() + more, GFP_KERNEL)?;
    for process in &plan.processes {
        processes.push(process.clone(), GFP_KERNEL)?;
    }
    Ok(processes)
}

#[pinned_drop]
impl PinnedDrop for DispatchNet {
    /// The namespace is gone, or the module is about to be: nobody else refers to the state.
    fn drop(self: Pin<&mut Self>) {
        // The tables drop their entries. Only services and their processes would keep each other.
        let mut control = self.control();
        // Nothing may schedule work any longer when that is dropped, right after this.
        control.control.watches.clear();
        for service in control.services() {
            service.clear_plan(control.held());
        }
    }
}
