// SPDX-License-Identifier: GPL-2.0

//! A connection: which process serves which client. The data that every packet looks for.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    process::Process,
    tcp_dispatch_core::{Ipv4Address, Ipv6Address, SocketAddress, Tuple},
    wrappers::{
        dst::{Dst, DstCache, DstRef},
        net::Net,
        rcu::{read_once, RcuArc, RcuBox, RcuRef},
        rhashtable::{Functions, Node, RhashTable, Table},
    },
};
use core::{
    marker::PhantomData,
    mem::{offset_of, size_of},
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
    time::{Instant, Monotonic},
};
use pin_init::{init, pin_data, PinInit};

/// A connection.
///
/// Both tables refer to it, each by a counted reference, and readers find it under RCU. Nothing that
/// a packet of an established connection does writes to it: the keys and the process never change,
/// `stage` is written with the first packet, `route` when routing changed.
pub(crate) struct Connection<A> {
    /// Client to service.
    by_client: Node<Tuple<A>>,
    /// Client to process.
    by_process: Node<Tuple<A>>,
    /// Who serves it.
    pub(crate) process: RcuArc<Process>,
    /// The way back to the client, if the client is not on this computer.
    route: DstCache,
    /// When it was assigned.
    created: Instant<Monotonic>,
    /// The index of the device that its first packet came by.
    pub(crate) iif: i32,
    /// A [`Stage`].
    stage: Atomic<i32>,
    /// How many times in a row the sweep found no socket. The sweep's alone.
    pub(crate) misses: Atomic<i32>,
}

/// What the documentation says that an entry takes.
const _: () = {
    assert!(size_of::<RcuBox<Connection<Ipv4Address>>>() <= 128);
    assert!(size_of::<RcuBox<Connection<Ipv6Address>>>() <= 192);
};

/// How far an entry has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// TCP has not seen the first packet yet: whether a socket comes of it is open.
    Making,
    /// It was assigned before its first packet, which has not come yet.
    Reserved,
    /// TCP has seen the first packet: if there is no socket, the connection is over.
    Begun,
}

impl<A: Family> Connection<A> {
    /// Makes an entry that is in no table yet, for a packet that TCP has not seen. Any context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EAFNOSUPPORT` if the process has no address of the family.
    pub(crate) fn new(
        client: SocketAddress<A>,
        service: SocketAddress<A>,
        process: RcuArc<Process>,
        iif: i32,
    ) -> Result<RcuArc<Self>> {
        let address = A::address(process.address).ok_or(EAFNOSUPPORT)?;
        let to_process = Tuple::new(client, address);
        RcuArc::new_atomic(init!(Self {
            by_client: Node::new(Tuple::new(client, service)),
            by_process: Node::new(to_process),
            process,
            route: DstCache::new(),
            created: Instant::now(),
            iif,
            stage: Atomic::new(Stage::Making as i32),
            misses: Atomic::new(0),
        }))
    }

    /// How long ago it was assigned, in milliseconds.
    pub(crate) fn age(&self) -> i64 {
        self.created.elapsed().as_millis().max(0)
    }

    /// The client's own address.
    pub(crate) fn client(&self) -> SocketAddress<A> {
        self.by_client.key().source()
    }

    /// The address that the client connected to.
    #[inline]
    pub(crate) fn service_address(&self) -> SocketAddress<A> {
        self.by_client.key().destination()
    }

    /// The address of the process.
    #[inline]
    pub(crate) fn process_address(&self) -> SocketAddress<A> {
        self.by_process.key().destination()
    }

    /// Client to process, as TCP's socket tables know the connection.
    pub(crate) fn to_process(&self) -> &Tuple<A> {
        self.by_process.key()
    }

    /// The route to the client from the service address; where none is kept it is looked up with
    /// `mark`, the packet's.
    #[inline]
    pub(crate) fn route<'rcu>(
        &self,
        net: &Net,
        mark: u32,
        guard: &'rcu Guard,
    ) -> Option<DstRef<'rcu>> {
        self.route.get_or(guard, || self.look_up_route(net, mark))
    }

    /// The route to the client whose SYN this is, from the service address. Before the SYN had a route
    /// itself, it may have been looked up already.
    pub(crate) fn route_of_syn<'rcu>(
        &self,
        net: &DispatchNet,
        guard: &'rcu Guard,
    ) -> Option<DstRef<'rcu>> {
        self.route.get_or(guard, || {
            let ways_back = A::of(net).ways_back.read(guard);
            ways_back
                .and_then(|ways_back| ways_back.take(self.by_client.key(), self.iif))
                .or_else(|| self.look_up_route(net.net(), 0))
        })
    }

    #[cold]
    #[inline(never)]
    fn look_up_route(&self, net: &Net, mark: u32) -> Option<Dst> {
        let (service, client) = (self.service_address(), self.client());
        Dst::route(net, service, client, mark, self.iif)
    }

    fn is_at(&self, stage: Stage) -> bool {
        read_once(&self.stage) == stage as i32
    }

    /// Whether TCP has not seen its first packet yet, so that it may come to nothing.
    pub(crate) fn is_in_the_making(&self) -> bool {
        self.is_at(Stage::Making)
    }

    /// Whether it was assigned before its first packet, and that has not come yet.
    pub(crate) fn is_reserved(&self) -> bool {
        self.is_at(Stage::Reserved)
    }

    /// Whether TCP has seen its first packet, so that it is over if there is no socket.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_at(Stage::Begun)
    }

    /// Has the entry wait for its first packet. To be called before it is in a table.
    pub(crate) fn reserve(&self) {
        self.stage.store(Stage::Reserved as i32, ordering::Relaxed);
    }

    /// Notes that TCP has seen the first packet, or does now.
    pub(crate) fn begin(&self) {
        if !self.has_begun() {
            self.stage.store(Stage::Begun as i32, ordering::Relaxed);
        }
    }
}

/// Connections by client and service address.
pub(crate) struct ByClient<A>(PhantomData<A>);

// SAFETY: The node is at its offset, and the functions are those of the table with this key.
unsafe impl<A: Family> Table for ByClient<A> {
    type Key = Tuple<A>;
    type Entry = Connection<A>;
    const NODE: usize = offset_of!(Connection<A>, by_client);
    const FUNCTIONS: Functions = A::CONNECTIONS_BY_CLIENT;
}

/// Connections by client and process address.
pub(crate) struct ByProcess<A>(PhantomData<A>);

// SAFETY: The node is at its offset, and the functions are those of the table with this key.
unsafe impl<A: Family> Table for ByProcess<A> {
    type Key = Tuple<A>;
    type Entry = Connection<A>;
    const NODE: usize = offset_of!(Connection<A>, by_process);
    const FUNCTIONS: Functions = A::CONNECTIONS_BY_PROCESS;
}

/// A connection found under RCU.
pub(crate) type ConnectionRef<'rcu, A> = RcuRef<'rcu, Connection<A>>;

/// Why a connection was not put into the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InsertError {
    /// The client has this connection already: another CPU was faster.
    Exists,
    /// The client has a connection of another service to this process address, from the same port.
    Conflict,
    /// The table holds as many as it may.
    Limit,
    /// No memory.
    NoMemory,
}

/// How many connections a namespace has, of both families, and may have.
pub(crate) struct ConnectionCount {
    /// Written when one comes or goes.
    count: Atomic<i64>,
    /// Set under the control lock.
    limit: Atomic<u32>,
}

impl ConnectionCount {
    /// None yet.
    pub(crate) const fn new(limit: u32) -> Self {
        Self {
            count: Atomic::new(0),
            limit: Atomic::new(limit),
        }
    }

    /// How many connections there are.
    pub(crate) fn get(&self) -> u64 {
        self.count.load(ordering::Relaxed).max(0) as u64
    }

    /// How many there may be.
    pub(crate) fn limit(&self) -> u32 {
        read_once(&self.limit)
    }

    /// Lets there be `limit` connections. Those above it stay.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, ordering::Relaxed);
    }
}

/// The connections of a namespace and family, found from both directions.
///
/// # Locking
///
/// Readers hold RCU and nothing else. Inserting and removing is safe from any context and against
/// each other: `by_client` decides. An entry is put into `by_process` first, so that whoever finds
/// it by its client can count on its way back; and it belongs to whoever takes it out of
/// `by_client`, who then takes it out of `by_process`.
#[pin_data]
pub(crate) struct ConnectionTable<A: Family> {
    #[pin]
    by_client: RhashTable<ByClient<A>>,
    #[pin]
    by_process: RhashTable<ByProcess<A>>,
}

impl<A: Family> ConnectionTable<A> {
    /// Makes an empty table. Process context.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init!(Self {
            by_client <- RhashTable::new(),
            by_process <- RhashTable::new(),
        }? Error)
    }

    /// The connection of a packet from client to service.
    #[inline]
    pub(crate) fn find_by_client<'rcu>(
        &self,
        tuple: &Tuple<A>,
        guard: &'rcu Guard,
    ) -> Option<ConnectionRef<'rcu, A>> {
        self.by_client.lookup(tuple, guard)
    }

    /// The connection whose packets to the process bear `tuple`.
    #[inline]
    pub(crate) fn find_by_process<'rcu>(
        &self,
        tuple: &Tuple<A>,
        guard: &'rcu Guard,
    ) -> Option<ConnectionRef<'rcu, A>> {
        self.by_process.lookup(tuple, guard)
    }

    /// Puts a connection into the table, if the namespace may have one more. Any context. Returns how
    /// many there were before.
    pub(crate) fn insert(
        &self,
        connection: &RcuArc<Connection<A>>,
        total: &ConnectionCount,
        guard: &Guard,
    ) -> Result<i64, InsertError> {
        let count = total.count.fetch_add(1, ordering::Full);
        let inserted = if count >= i64::from(total.limit()) {
            Err(InsertError::Limit)
        } else {
            self.insert_both(connection, guard)
        };
        if inserted.is_err() {
            total.count.fetch_sub(1, ordering::Relaxed);
        }
        inserted.map(|()| count)
    }

    fn insert_both(
        &self,
        connection: &RcuArc<Connection<A>>,
        guard: &Guard,
    ) -> Result<(), InsertError> {
        if let Err(error) = self.by_process.insert(connection.clone()) {
            let there = self.by_process.lookup(connection.to_process(), guard);
            return Err(match (error, there) {
                (EEXIST, Some(there)) if there.by_client.key() == connection.by_client.key() => {
                    InsertError::Exists
                }
                (EEXIST, _) => InsertError::Conflict,
                _ => InsertError::NoMemory,
            });
        }
        if let Err(error) = self.by_client.insert(connection.clone()) {
            if let Some(entry) = self.by_process.lookup(connection.to_process(), guard) {
                drop(self.by_process.remove(entry));
            }
            return Err(match error {
                EEXIST => InsertError::Exists,
                _ => InsertError::NoMemory,
            });
        }
        let process = &connection.process;
        process.connections.fetch_add(1, ordering::Relaxed);
        process.service.connections.fetch_add(1, ordering::Relaxed);
        Ok(())
    }

    /// Takes a connection out. Any context. `None` if somebody else did; else whether it was the last
    /// of its process.
    pub(crate) fn remove(
        &self,
        connection: ConnectionRef<'_, A>,
        total: &ConnectionCount,
    ) -> Option<bool> {
        let owned = self.by_client.remove(connection)?;
        drop(self.by_process.remove(connection));
        total.count.fetch_sub(1, ordering::Relaxed);
        let process = &owned.process;
        process.service.connections.fetch_sub(1, ordering::Relaxed);
        Some(process.connections.fetch_sub(1, ordering::Full) == 1)
    }

    /// The table to walk through.
    pub(crate) fn walkable(&self) -> &RhashTable<ByClient<A>> {
        &self.by_client
    }
}

#[kernel::macros::kunit_tests(tcp_dispatch_connection_table)]
mod tests {
    use super::*;
    use crate::{
        plan::Settings,
        process::{Owner, Registration, State},
        service::Service,
    };

    const CLIENT: SocketAddress<Ipv4Address> = SocketAddress::new([198, 51, 100, 2], 40000);
    const SERVICE: SocketAddress<Ipv4Address> = SocketAddress::new([192, 0, 2, 1], 80);
    const OTHER_SERVICE: SocketAddress<Ipv4Address> = SocketAddress::new([192, 0, 2, 2], 80);
    const PROCESS: SocketAddress<Ipv4Address> = SocketAddress::new([10, 77, 0, 1], 80);
    const OTHER_PROCESS: SocketAddress<Ipv4Address> = SocketAddress::new([10, 77, 0, 2], 80);

    /// A table, and how many connections it may have.
    struct Limited(Pin<KBox<ConnectionTable<Ipv4Address>>>, ConnectionCount);

    impl Limited {
        fn insert(&self, connection: RcuArc<Connection<Ipv4Address>>) -> Result<i64, InsertError> {
            self.0.insert(&connection, &self.1, &Guard::new())
        }

        fn remove(&self, connection: ConnectionRef<'_, Ipv4Address>) -> Option<bool> {
            self.0.remove(connection, &self.1)
        }

        fn len(&self) -> u64 {
            self.1.get()
        }
    }

    impl core::ops::Deref for Limited {
        type Target = ConnectionTable<Ipv4Address>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    fn table(limit: u32) -> Result<Limited> {
        let table = KBox::pin_init(ConnectionTable::new(), GFP_KERNEL)?;
        Ok(Limited(table, ConnectionCount::new(limit)))
    }

    fn process(
        service: SocketAddress<Ipv4Address>,
        process: SocketAddress<Ipv4Address>,
    ) -> Result<RcuArc<Process>> {
        let registration = Registration {
            weight: 1,
            state: State::Active,
            cpus: None,
            owner: Owner::None,
            registrant: None,
        };
        let service = Service::new(service.into(), 1, Settings::DEFAULT)?;
        Process::new(service, process.into(), 1, registration)
    }

    fn connection(
        service: SocketAddress<Ipv4Address>,
        process: &RcuArc<Process>,
    ) -> Result<RcuArc<Connection<Ipv4Address>>> {
        Connection::new(CLIENT, service, process.clone(), 1)
    }

    #[test]
    fn a_connection_is_found_from_both_directions_until_it_is_removed() -> Result {
        let table = table(10)?;
        let process = process(SERVICE, PROCESS)?;
        assert_eq!(table.insert(connection(SERVICE, &process)?), Ok(0));
        let guard = Guard::new();
        let to_service = Tuple::new(CLIENT, SERVICE);
        let to_process = Tuple::new(CLIENT, PROCESS);
        let found = table.find_by_client(&to_service, &guard).ok_or(ENOENT)?;
        assert!(found.process_address() == PROCESS);
        let back = table.find_by_process(&to_process, &guard).ok_or(ENOENT)?;
        assert!(back.service_address() == SERVICE);
        assert_eq!(process.connections.load(ordering::Relaxed), 1);
        assert_eq!(table.remove(found), Some(true));
        assert_eq!(table.remove(found), None);
        assert!(table.find_by_client(&to_service, &guard).is_none());
        assert!(table.find_by_process(&to_process, &guard).is_none());
        assert_eq!(process.connections.load(ordering::Relaxed), 0);
        assert_eq!(table.len(), 0);
        Ok(())
    }

    #[test]
    fn a_second_entry_of_a_connection_is_refused_whichever_process_it_names() -> Result {
        let table = table(10)?;
        let first = process(SERVICE, PROCESS)?;
        let other = process(SERVICE, OTHER_PROCESS)?;
        assert!(table.insert(connection(SERVICE, &first)?).is_ok());
        let again = table.insert(connection(SERVICE, &first)?);
        assert_eq!(again, Err(InsertError::Exists));
        let elsewhere = table.insert(connection(SERVICE, &other)?);
        assert_eq!(elsewhere, Err(InsertError::Exists));
        // Nothing of the refused ones is left.
        let guard = Guard::new();
        let to_other = Tuple::new(CLIENT, OTHER_PROCESS);
        assert!(table.find_by_process(&to_other, &guard).is_none());
        assert_eq!(table.len(), 1);
        assert_eq!(other.connections.load(ordering::Relaxed), 0);
        Ok(())
    }

    #[test]
    fn two_services_cannot_use_one_client_port_at_one_process() -> Result {
        let table = table(10)?;
        let one = process(SERVICE, PROCESS)?;
        let two = process(OTHER_SERVICE, PROCESS)?;
        assert!(table.insert(connection(SERVICE, &one)?).is_ok());
        let conflict = table.insert(connection(OTHER_SERVICE, &two)?);
        assert_eq!(conflict, Err(InsertError::Conflict));
        assert_eq!(table.len(), 1);
        Ok(())
    }

    #[test]
    fn a_full_table_refuses_and_keeps_what_it_has() -> Result {
        let table = table(1)?;
        let one = process(SERVICE, PROCESS)?;
        let two = process(OTHER_SERVICE, OTHER_PROCESS)?;
        assert!(table.insert(connection(SERVICE, &one)?).is_ok());
        let refused = table.insert(connection(OTHER_SERVICE, &two)?);
        assert_eq!(refused, Err(InsertError::Limit));
        assert_eq!(table.len(), 1);
        let to_service = Tuple::new(CLIENT, SERVICE);
        assert!(table.find_by_client(&to_service, &Guard::new()).is_some());
        Ok(())
    }
}
