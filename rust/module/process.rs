// SPDX-License-Identifier: GPL-2.0

//! A process: a daemon that is registered to serve a service.

use crate::{
    family::Family,
    ports::PortInUse,
    service::Service,
    stats::{Drop, Drops, Stats},
    tcp_dispatch_core::{AnySocketAddress, Ipv4Address, Ipv6Address, SocketAddress, Tuple},
    wrappers::{
        clock,
        cpus::Cpus,
        cred::Uid,
        net::Net,
        pid::Pid,
        rcu::{read_once, RcuArc, RcuCell},
        sock::Listener,
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
};

/// Whether a process gets new connections. The numbers are the specification's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum State {
    /// It does.
    Active,
    /// It doesn't, and keeps those that it has.
    Draining,
    /// It doesn't, and has none, but for those that are being reset.
    Down,
}

impl State {
    /// The state of a number of the specification's.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Active, Self::Draining, Self::Down]
            .into_iter()
            .find(|state| *state as u32 == number)
    }
}

/// Whom a registration belongs to, and ends with.
pub(crate) enum Owner {
    /// Nobody.
    None,
    /// The generic netlink socket with this port, in the same namespace.
    Socket(u32),
    /// A process of the kernel's.
    Pid {
        /// Itself.
        pid: Pid,
        /// Its number, as who registered it saw it.
        number: u32,
    },
}

impl Owner {
    /// Whether the owner is there still. Nobody always is; of a socket's end there is word.
    #[inline]
    pub(crate) fn is_there(&self, guard: &Guard) -> bool {
        match self {
            Self::Pid { pid, .. } => pid.is_alive(guard),
            _ => true,
        }
    }
}

/// What a registration says of a process.
pub(crate) struct Registration {
    /// Its share of new connections, compared with others'.
    pub(crate) weight: u16,
    /// Whether it gets any.
    pub(crate) state: State,
    /// Where it runs.
    pub(crate) cpus: Option<RcuArc<Cpus>>,
    /// Whom it belongs to.
    pub(crate) owner: Owner,
    /// Who registered it without being an administrator: only listeners of this user are its.
    pub(crate) registrant: Option<Uid>,
}

/// A registered process.
///
/// The service's plan refers to it while it is registered, each of its connections as long as that
/// lasts.
pub(crate) struct Process {
    /// The service that it serves.
    pub(crate) service: RcuArc<Service>,
    /// The address that it listens on.
    pub(crate) address: AnySocketAddress,
    /// As long as it has connections, which outsiders must not reach by its address.
    _port: PortInUse,
    /// Grows from registration to registration in a namespace. Dumps go by it.
    pub(crate) id: u64,
    /// Whom it belongs to.
    pub(crate) owner: Owner,
    /// See [`Registration::registrant`].
    pub(crate) registrant: Option<Uid>,
    /// See [`Registration::weight`]. Set under the control lock.
    weight: Atomic<u32>,
    /// A [`State`]. Set under the control lock.
    state: Atomic<u32>,
    /// When the connections that are left of a draining process are reset: milliseconds since boot,
    /// or [`NEVER`]. Used under the control lock.
    deadline: Atomic<i64>,
    /// The number of the last sweep that met a connection of it which the daemon is not done with, or
    /// that had begun when it began to drain.
    busy: Atomic<i64>,
    /// See [`Registration::cpus`]. Replaced under the control lock, read under RCU.
    pub(crate) cpus: RcuCell<Cpus>,
    /// How many connections the connection table holds for it.
    pub(crate) connections: Atomic<i64>,
    /// What went to it and came from it.
    pub(crate) stats: Stats,
    /// What didn't.
    pub(crate) drops: Drops,
}

/// No deadline.
const NEVER: i64 = i64::MAX;

impl Process {
    /// Makes a process that isn't registered yet. Process context.
    pub(crate) fn new(
        service: RcuArc<Service>,
        address: AnySocketAddress,
        id: u64,
        registration: Registration,
    ) -> Result<RcuArc<Self>> {
        let cpus = RcuCell::new();
        cpus.replace(registration.cpus);
        RcuArc::new(
            Self {
                service,
                address,
                _port: PortInUse::new(address.port()),
                id,
                owner: registration.owner,
                registrant: registration.registrant,
                weight: Atomic::new(registration.weight.into()),
                state: Atomic::new(registration.state as u32),
                deadline: Atomic::new(NEVER),
                busy: Atomic::new(0),
                cpus,
                connections: Atomic::new(0),
                stats: Stats::new(GFP_KERNEL)?,
                drops: Drops::new(GFP_KERNEL)?,
            },
            GFP_KERNEL,
        )
    }

    /// Its weight, whatever its state.
    pub(crate) fn weight(&self) -> u16 {
        read_once(&self.weight) as u16
    }

    /// Sets the weight. Under the control lock, by whoever replaces the plan afterwards.
    pub(crate) fn set_weight(&self, weight: u16) {
        self.weight.store(weight.into(), ordering::Relaxed);
    }

    /// Its weight for new connections: none unless it is active.
    #[inline]
    pub(crate) fn weight_now(&self) -> u16 {
        if self.state() == State::Active {
            self.weight()
        } else {
            0
        }
    }

    /// Its state.
    #[inline]
    pub(crate) fn state(&self) -> State {
        State::from_number(read_once(&self.state)).unwrap_or(State::Down)
    }

    /// Sets the state, and in how many milliseconds a draining process loses what is left. `sweep` is
    /// the number of the last sweep that has begun. Under the control lock, by whoever replaces the
    /// plan afterwards.
    pub(crate) fn set_state(&self, state: State, deadline: Option<u32>, sweep: i64) {
        self.busy.store(sweep, ordering::Relaxed);
        let deadline = deadline.map_or(NEVER, |after| {
            clock::milliseconds().saturating_add(after.into())
        });
        self.deadline.store(deadline, ordering::Relaxed);
        // Whoever takes the last connection out must see the state, or else we that it is out.
        self.state.xchg(state as u32, ordering::Full);
    }

    /// Notes that sweep number `sweep` has met a connection that the daemon is not done with.
    pub(crate) fn mark_busy(&self, sweep: i64) {
        if self.busy.load(ordering::Relaxed) != sweep {
            self.busy.store(sweep, ordering::Relaxed);
        }
    }

    /// Whether all that is left is the kernel's alone, TIME_WAIT: `sweep` is the number of the last
    /// sweep that is done.
    pub(crate) fn has_drained(&self, sweep: i64) -> bool {
        self.connections() == 0 || self.busy.load(ordering::Relaxed) < sweep
    }

    /// In how many milliseconds the connections that are left of a draining process are reset, if
    /// that is to be at all. Zero: it is time.
    pub(crate) fn time_left(&self) -> Option<u32> {
        match self.deadline.load(ordering::Relaxed) {
            NEVER => None,
            deadline => {
                let left = deadline.saturating_sub(clock::milliseconds()).max(0);
                Some(u32::try_from(left).unwrap_or(u32::MAX))
            }
        }
    }

    /// Forgets the deadline: it has been acted on.
    pub(crate) fn clear_deadline(&self) {
        self.deadline.store(NEVER, ordering::Relaxed);
    }

    /// How many connections the connection table holds for it.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(ordering::Relaxed).max(0) as u64
    }

    /// The listener that takes connections of `client`, which come by the device of index `iif`: not
    /// another user's who took a registrant's address. In an RCU read section.
    pub(crate) fn listener<'rcu, A: Family>(
        &self,
        net: &Net,
        client: SocketAddress<A>,
        iif: i32,
        guard: &'rcu Guard,
    ) -> Option<Listener<'rcu>> {
        let address = A::address(self.address)?;
        Listener::find(net, &Tuple::new(client, address), iif, guard)
            .filter(|listener| self.registrant.is_none_or(|user| user == listener.user))
    }

    /// Whether it is there for the client, though it may get no new connections: its owner lives, and
    /// it listens. See [`Self::listener`].
    pub(crate) fn listens<A: Family>(
        &self,
        net: &Net,
        client: SocketAddress<A>,
        iif: i32,
        guard: &Guard,
    ) -> bool {
        self.state() != State::Down
            && self.owner.is_there(guard)
            && self.listener(net, client, iif, guard).is_some()
    }

    /// The listener that takes connections of clients that nothing is known of. In an RCU read section.
    pub(crate) fn listener_for_anybody<'rcu>(
        &self,
        net: &Net,
        guard: &'rcu Guard,
    ) -> Option<Listener<'rcu>> {
        match self.address {
            AnySocketAddress::V4(_) => {
                self.listener(net, SocketAddress::<Ipv4Address>::default(), 0, guard)
            }
            AnySocketAddress::V6(_) => {
                self.listener(net, SocketAddress::<Ipv6Address>::default(), 0, guard)
            }
        }
    }

    /// Counts a packet of `bytes` from a client, here and at the service.
    #[inline]
    pub(crate) fn count_in(&self, bytes: u32) {
        self.stats.packet_in(&self.service.stats, bytes);
    }

    /// Counts a packet of `bytes` to a client, here and at the service.
    #[inline]
    pub(crate) fn count_out(&self, bytes: u32) {
        self.stats.packet_out(&self.service.stats, bytes);
    }

    /// Counts a packet that was dropped, here and at the service.
    pub(crate) fn count_drop(&self, reason: Drop) {
        self.drops.count(reason);
        self.service.drops.count(reason);
    }
}
