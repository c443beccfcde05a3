// SPDX-License-Identifier: GPL-2.0

//! What a daemon needs: the registration of its own listening socket.

use crate::{address, Address, Client, Drain, DrainEnd, Error, OwnedBy, Process, ProcessSettings};
use nix::errno::Errno;
use nix::sys::socket::{getsockname, getsockopt, sockopt, SockaddrStorage};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// A listening socket of this program, registered as a process of a service.
///
/// The registration belongs to a netlink socket that this value holds, so that
/// it ends however the program ends. Dropping the value unregisters: there are
/// no new connections, and those that there are go on.
///
/// The socket is one of IPv4 or of IPv6, as the service is. One of IPv6 that
/// is bound to an IPv4 address, as in `::ffff:10.77.0.1`, is one of IPv4.
///
/// A child that was forked and runs on without an `execve` holds the netlink
/// socket, too; the registration then ends with the last of them.
///
/// ```no_run
/// use std::net::TcpListener;
/// use std::time::Duration;
/// use tcp_dispatch_netlink::Registration;
///
/// let listener = TcpListener::bind("10.77.0.1:80")?;
/// let service = "192.0.2.1:80".parse()?;
/// let mut registration = Registration::of(&listener, service).weight(2).register()?;
/// // … accept and serve; then, to end without resetting anybody:
/// registration.drain(Some(Duration::from_secs(30)))?;
/// registration.wait_drained(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registration {
    client: Client,
    service: Address,
    process: Address,
    drain: Option<Drain>,
    registered: bool,
}

/// A registration that is about to be made.
#[must_use = "nothing is registered before `register` is called"]
pub struct Registering<'listener> {
    listener: BorrowedFd<'listener>,
    service: Address,
    settings: ProcessSettings,
}

impl Registering<'_> {
    /// How many new connections it gets, compared with others. Zero is none.
    pub fn weight(mut self, weight: u16) -> Self {
        self.settings = self.settings.weight(weight);
        self
    }

    /// The CPUs that the program runs on, as a list such as `0-3,8`.
    pub fn cpus(mut self, cpus: &str) -> Self {
        self.settings = self.settings.cpus(cpus);
        self
    }

    /// Registers the address that the socket listens on. From then on it gets
    /// connections.
    pub fn register(self) -> Result<Registration, Error> {
        let process = listening_address(self.listener)?;
        let mut client = Client::connect()?;
        client.process_add(self.service, process, OwnedBy::Client, &self.settings)?;
        Ok(Registration {
            client,
            service: self.service,
            process,
            drain: None,
            registered: true,
        })
    }
}

impl Registration {
    /// Prepares the registration of a listening socket for a service.
    pub fn of(listener: &impl AsFd, service: Address) -> Registering<'_> {
        Registering {
            listener: listener.as_fd(),
            service: address::plain(service),
            settings: ProcessSettings::default(),
        }
    }

    /// The service.
    pub fn service(&self) -> Address {
        self.service
    }

    /// The address that is registered.
    pub fn process(&self) -> Address {
        self.process
    }

    /// What the kernel knows of the process: state, connections, counters.
    pub fn get(&mut self) -> Result<Process, Error> {
        self.client.process_get(self.service, self.process)
    }

    /// Changes what was registered.
    pub fn set(&mut self, settings: &ProcessSettings) -> Result<(), Error> {
        self.client
            .process_set(self.service, self.process, settings)
    }

    /// Takes no new connections; keeps those that there are. With a timeout,
    /// those that are left afterwards are reset, at both ends.
    pub fn drain(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        let drain = Drain::start(&mut self.client, self.service, self.process, timeout)?;
        self.drain = Some(drain);
        Ok(())
    }

    /// Waits until the last connection has ended, at most for `timeout` if
    /// there is one. It doesn't matter who let it drain.
    pub fn wait_drained(&mut self, timeout: Option<Duration>) -> Result<DrainEnd, Error> {
        let (drain, client) = self.watched()?;
        drain.wait(client, timeout)
    }

    /// As [`Registration::wait_drained`], without a timeout:
    /// `tokio::time::timeout` may drop it at any time. Everything else here
    /// only asks the kernel, and doesn't block.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has I/O enabled.
    #[cfg(feature = "tokio")]
    pub async fn wait_drained_async(&mut self) -> Result<DrainEnd, Error> {
        let (drain, client) = self.watched()?;
        drain.wait_async(client).await
    }

    /// Unregisters, as dropping does, and tells if that failed.
    pub fn unregister(mut self) -> Result<(), Error> {
        self.registered = false;
        self.client.process_del(self.service, self.process)
    }

    fn watched(&mut self) -> Result<(&mut Drain, &mut Client), Error> {
        let drain = match self.drain.take() {
            Some(drain) => drain,
            None => Drain::watch(self.service, self.process)?,
        };
        Ok((self.drain.insert(drain), &mut self.client))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.registered {
            // It is gone already if somebody deleted it, and goes with the
            // socket otherwise.
            let _ = self.client.process_del(self.service, self.process);
        }
    }
}

/// What a socket is that has no IP address.
const NO_IP: &str = "it is no IPv4 socket, and no IPv6 socket either";

/// The address that a socket listens on, if it can be a process address.
fn listening_address(listener: BorrowedFd<'_>) -> Result<Address, Error> {
    let refuse = |cause: String| Err(Error::Listener(cause));
    match getsockopt(&listener, sockopt::AcceptConn) {
        Ok(true) => {}
        Ok(false) => return refuse("it doesn't listen; call `listen` first".to_owned()),
        Err(errno) => return refuse(errno.desc().to_owned()),
    }
    let bound: SockaddrStorage = match getsockname(listener.as_raw_fd()) {
        Ok(bound) => bound,
        Err(Errno::EINVAL) => return refuse(NO_IP.to_owned()),
        Err(errno) => return refuse(errno.desc().to_owned()),
    };
    // An IPv6 socket may listen on an IPv4 address. Then its clients are
    // clients of IPv4.
    let (ip, port) = match (bound.as_sockaddr_in(), bound.as_sockaddr_in6()) {
        (Some(bound), _) => (bound.ip().into(), bound.port()),
        (None, Some(bound)) => (bound.ip().to_canonical(), bound.port()),
        (None, None) => return refuse(NO_IP.to_owned()),
    };
    let address = Address::new(ip, port);
    if address.ip().is_unspecified() {
        return refuse(format!(
            "it is bound to {address}, which is no address of its own; \
             bind it to one of the range of process addresses"
        ));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    fn refusal(socket: &impl AsFd) -> String {
        listening_address(socket.as_fd()).unwrap_err().to_string()
    }

    #[test]
    fn a_listener_is_registered_under_the_address_that_it_is_bound_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening_address(listener.as_fd()).unwrap();
        assert_eq!(address, listener.local_addr().unwrap());
    }

    #[test]
    fn a_listener_of_ipv6_is_registered_under_its_address_as_well() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let address = listening_address(listener.as_fd()).unwrap();
        assert_eq!(address, listener.local_addr().unwrap());
    }

    #[test]
    fn a_listener_of_ipv6_on_an_ipv4_address_is_registered_as_one_of_ipv4() {
        let listener = TcpListener::bind("[::ffff:127.0.0.1]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = listening_address(listener.as_fd()).unwrap();
        assert_eq!(address, Address::from(([127, 0, 0, 1], port)));
    }

    #[test]
    fn a_listener_on_all_addresses_is_refused_with_what_to_do() {
        for all in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0"] {
            let listener = TcpListener::bind(all).unwrap();
            assert!(refusal(&listener).contains("bind it to one"), "{all}");
        }
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(
            refusal(&socket),
            "cannot register the listening socket: it doesn't listen; call `listen` first"
        );
    }

    #[test]
    fn a_listener_of_another_address_family_is_refused() {
        let directory = std::env::temp_dir().join(format!("listener-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&directory).unwrap();
        let shown = refusal(&listener);
        std::fs::remove_file(&directory).unwrap();
        assert!(shown.contains("no IPv4 socket"), "{shown}");
    }
}
