//! Listening sockets, from redis.conf's `bind`.
//!
//! Owns: which addresses are bound, and accepting from them without ever losing an edge. Must not: know what a connection is for beyond its
//! port.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use super::stream::Stream;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The mio socket, non-blocking.
    pub socket: TcpListener,
    /// True if there may be more to accept: the edge was seen, and EAGAIN not yet.
    pub pending: bool,
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
}

/// Listens on `port` at every address of `bind`; one with a leading `-` may be missing on this host.
pub fn listen(bind: &[String], port: u16, backlog: u32) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for typed in bind {
        let (address, optional) = typed.strip_prefix('-').map_or((typed.as_str(), false), |rest| (rest, true));
        match listen_on(address, port, backlog) {
            Ok(found) => listeners.extend(found),
            Err(reason) if optional && is_missing(&reason) => log::debug!("not listening on {address}:{port}: {reason}"),
            Err(reason) => return Err(ListenError::Bind { address: address.to_owned(), port, reason }),
        }
    }
    if listeners.is_empty() { Err(ListenError::Nothing(bind.join(" "))) } else { Ok(listeners) }
}

/// The host has no such address or family: what an optional address is forgiven, unlike a port in use.
fn is_missing(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    use rustix::io::Errno;
    matches!(code, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::PFNOSUPPORT | Errno::PROTONOSUPPORT))
}

fn listen_on(address: &str, port: u16, backlog: u32) -> io::Result<Vec<Listener>> {
    let targets: Vec<SocketAddr> = match address {
        "*" => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        "::*" => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        name => (name, port).to_socket_addrs()?.collect(),
    };
    targets.into_iter().map(|target| open(target, backlog)).collect()
}

fn open(target: SocketAddr, backlog: u32) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    if target.is_ipv6() {
        // `*` and `::*` are two sockets, as in Redis; a dual one would collide with the first.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&target.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(Listener { socket: TcpListener::from_std(socket.into()), pending: false })
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
