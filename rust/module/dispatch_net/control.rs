// SPDX-License-Identifier: GPL-2.0

//! What the control plane knows of a namespace, and changes under the control lock.
//!
//! Process context.

use super::{DispatchNet, SETTLE};
use crate::{
    control::events,
    family::Family,
    plan::{Plan, Settings, MAX_PROCESSES},
    process::{self, Process, Registration, State},
    service::{ControlHeld, Service},
    tcp_dispatch_core::{AnySocketAddress, Prefix},
    wrappers::{pid::PidWatch, rcu::RcuArc},
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering,
        lock::{mutex::MutexBackend, Guard as LockGuard},
        rcu::Guard,
    },
    time::Msecs,
};

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

impl Control {
    pub(super) const fn new() -> Self {
        Self {
            services: KVec::new(),
            next_id: 1,
            generation: 1,
            watches: KVec::new(),
        }
    }
}

impl DispatchNet {
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
    pub(crate) fn service(&self, address: AnySocketAddress) -> Option<RcuArc<Service>> {
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

    /// Sets the range of process addresses of a family.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a registered process has an address that isn't of it, `EADDRINUSE` if a service
    /// has one that is, `ENOMEM`.
    pub(crate) fn set_process_prefix<A: Family>(&mut self, prefix: Prefix<A>) -> Result {
        for service in self.services() {
            let Some(address) = A::address(service.address()) else {
                continue;
            };
            if prefix.contains(address.ip) {
                return Err(EADDRINUSE);
            }
            let plan = service.whole_plan()?;
            let mut addresses = plan.processes.iter().map(|p| A::address(p.address));
            if addresses.any(|address| address.is_some_and(|of| !prefix.contains(of.ip))) {
                return Err(EBUSY);
            }
        }
        A::of(self.net).set_process_prefix(prefix)
    }

    /// Adds a service.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is one at the address, `ENOMEM`.
    pub(crate) fn add_service(&mut self, address: AnySocketAddress, settings: Settings) -> Result {
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
    pub(crate) fn remove_service(&mut self, address: AnySocketAddress) -> Result {
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
        address: AnySocketAddress,
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
        address: AnySocketAddress,
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
    pub(super) fn remove_of_socket(&mut self, portid: u32) {
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
        self.for_each_process(|control, process| {
            if over(process) && control.remove_process(process).is_err() {
                pr_warn!("no memory to end a registration whose owner is gone\n");
            }
        });
    }

    /// Calls `act` with each process there is now. It may end registrations.
    fn for_each_process(&mut self, mut act: impl FnMut(&mut Self, &RcuArc<Process>)) {
        let mut at = 0;
        while let Some(service) = self.control.services.get(at).cloned() {
            at += 1;
            let Ok(plan) = service.whole_plan() else {
                continue;
            };
            for process in &plan.processes {
                act(self, process);
            }
        }
    }

    /// Puts draining processes down that are done with their last connection.
    pub(crate) fn finish_draining(&mut self) {
        let done = self.net.sweeps_done.load(ordering::Acquire);
        self.for_each_process(|control, process| {
            if process.state() == State::Draining && process.has_drained(done) {
                process.set_state(State::Down, None, done);
                control.changed();
                events::process(control.net, events::PROCESS_DRAINED, process);
            }
        });
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

    /// Forgets all services and who owns their processes.
    pub(super) fn clear(&mut self) {
        self.control.watches.clear();
        for service in self.services() {
            service.clear_plan(self.held());
        }
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
