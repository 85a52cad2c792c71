//! Listening sockets, from redis.conf's `bind`.
//!
//! Owns: which addresses are bound, and accepting from them without ever losing an edge. Must not: know what a connection is for beyond its
//! port.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpListener;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::stream::Stream;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The mio socket, non-blocking.
    pub socket: TcpListener,
    /// True if there may be more to accept: the edge was seen, and EAGAIN not yet.
    pub pending: bool,
    /// It is closed once those are accepted whose connections are up already.
    pub is_leaving: bool,
}

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// One address failed that may not.
    #[error("Could not create server TCP listening socket {address}:{port}: {reason}")]
    Bind {
        /// As typed.
        address: String,
        /// The port.
        port: u16,
        /// The system's reason.
        reason: io::Error,
    },
    /// Every address was optional and missing.
    #[error("no address of '{0}' is there to listen on")]
    Nothing(String),
    /// The system's event queue does not take it.
    #[error("event queue: {0}")]
    Queue(io::Error),
}

impl ListenError {
    /// None of these is there.
    pub fn nothing(targets: &[Target]) -> Self {
        Self::Nothing(targets.iter().map(|target| format!("-{}", target.typed)).collect::<Vec<_>>().join(" "))
    }
}

/// Where to listen, because of one word of `bind`.
#[derive(Debug)]
pub struct Target {
    typed: String,
    /// It may be missing on this host: the word has a leading `-`.
    is_optional: bool,
    /// The place.
    pub socket: SocketAddr,
}

/// Where `bind` says to listen; what is no address is looked up, which may take time.
pub fn targets(bind: &[String], port: u16) -> Result<Vec<Target>, ListenError> {
    let mut targets = Vec::new();
    for word in bind {
        let (typed, is_optional) = word.strip_prefix('-').map_or((word.as_str(), false), |rest| (rest, true));
        let found = resolve(typed, port).map_err(|reason| ListenError::Bind { address: typed.to_owned(), port, reason })?;
        targets.extend(found.into_iter().map(|socket| Target { typed: typed.to_owned(), is_optional, socket }));
    }
    Ok(targets)
}

fn resolve(address: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(match address {
        "*" => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        "::*" => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        name => (name, port).to_socket_addrs()?.collect(),
    })
}

impl Target {
    /// Listens there; none if the host has no such address, and need not.
    pub fn open(&self, backlog: u32) -> Result<Option<Listener>, ListenError> {
        let Self { typed, is_optional, socket } = self;
        match open(*socket, backlog) {
            Ok(listener) => Ok(Some(listener)),
            Err(reason) if is_forgiven(&reason, *is_optional) => {
                log::debug!("not listening on {socket}: {reason}");
                Ok(None)
            }
            Err(reason) => Err(ListenError::Bind { address: typed.clone(), port: socket.port(), reason }),
        }
    }
}

/// Listens on `port` at every address of `bind`; one with a leading `-` may be missing on this host.
pub fn listen(bind: &[String], port: u16, backlog: u32) -> Result<Vec<Listener>, ListenError> {
    let targets = targets(bind, port)?;
    let listeners: Vec<Listener> = targets.iter().filter_map(|target| target.open(backlog).transpose()).collect::<Result<_, _>>()?;
    if listeners.is_empty() { Err(ListenError::nothing(&targets)) } else { Ok(listeners) }
}

/// Whether nobody listens at an address because the host has none of its family, mostly IPv6, which charts name to all hosts
/// (`0.0.0.0 ::`); or has no such address, and need not. As in Redis; a port in use is never forgiven.
fn is_forgiven(error: &io::Error, is_optional: bool) -> bool {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AFNOSUPPORT | Errno::PFNOSUPPORT | Errno::PROTONOSUPPORT) => true,
        Some(Errno::ADDRNOTAVAIL) => is_optional,
        _ => false,
    }
}

/// Listens there.
pub fn open(target: SocketAddr, backlog: u32) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    if target.is_ipv6() {
        // `*` and `::*` are two sockets, as in Redis; a dual one would collide with the first.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&target.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(Listener { socket: TcpListener::from_std(socket.into()), pending: false, is_leaving: false })
}

/// What an accept came to.
#[derive(Debug)]
pub enum Accepted {
    /// A connection and its peer.
    Connection(Stream, SocketAddr),
    /// There is none; an edge will tell of the next.
    None,
    /// No file descriptor or memory is left: no edge will come for what waits, try again after a pause.
    Exhausted(io::Error),
}

impl Listener {
    /// Where it listens.
    pub fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// It stays if it is at one of these places; else it leaves, but nobody whose connection is up is reset.
    pub fn leave_unless(&mut self, wanted: &[SocketAddr]) {
        self.is_leaving = self.local().is_none_or(|local| !wanted.contains(&local));
        self.pending |= self.is_leaving;
    }

    /// Takes one waiting connection, and notes whether more may be there.
    pub fn accept(&mut self) -> Accepted {
        loop {
            match self.socket.accept() {
                Ok((stream, peer)) => return Accepted::Connection(stream.into(), peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending = false;
                    return Accepted::None;
                }
                // The peer went away before it was accepted, or a signal came: the next one, please.
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                Err(error) => return Accepted::Exhausted(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    /// On a port that the system has chosen: nobody else can take it meanwhile.
    fn listening() -> (Listener, u16) {
        let listener = listen(&words("127.0.0.1"), 0, 5).unwrap().remove(0);
        let port = listener.socket.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn optional_addresses_may_be_missing_and_others_may_not() {
        // 192.0.2.0/24 is for documentation: no host has it.
        assert_eq!(listen(&words("127.0.0.1 -192.0.2.1"), 0, 5).unwrap().len(), 1);
        let error = listen(&words("192.0.2.1"), 7000, 5).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:7000"), "{error}");
        assert!(matches!(listen(&words("-192.0.2.1"), 7000, 5), Err(ListenError::Nothing(_))));
    }

    #[test]
    fn a_family_that_the_host_does_not_have_is_forgiven_to_any_address() {
        let error = |code: Errno| io::Error::from_raw_os_error(code.raw_os_error());
        assert!(is_forgiven(&error(Errno::AFNOSUPPORT), false) && is_forgiven(&error(Errno::ADDRNOTAVAIL), true));
        assert!(!is_forgiven(&error(Errno::ADDRNOTAVAIL), false) && !is_forgiven(&error(Errno::ADDRINUSE), true));
    }

    #[test]
    fn a_port_in_use_is_an_error_even_for_an_optional_address() {
        let (first, port) = listening();
        assert!(matches!(listen(&words("-127.0.0.1"), port, 5), Err(ListenError::Bind { .. })));
        drop(first);
    }

    #[test]
    fn accepting_ends_with_none() {
        let (mut listener, port) = listening();
        let _client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        listener.pending = true;
        assert!(matches!(listener.accept(), Accepted::Connection(..)));
        assert!(matches!(listener.accept(), Accepted::None));
        assert!(!listener.pending);
    }
}
