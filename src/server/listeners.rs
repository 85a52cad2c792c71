//! The process's listening sockets: where the bus and clients are taken in, and what CONFIG SET's `port` and `bind` do to them.
//!
//! Owns: which of them stay, open and close when clients are to come elsewhere, and their tokens. Must not: decide where that is.

use std::io;
use std::net::SocketAddr;

use mio::{Interest, Registry, Token};

use super::listener::{self, Accepted, ListenError, Listener, Target};
use crate::node::Port;

/// See the module. A listener's token is its place, counted from the top down.
#[derive(Debug)]
pub struct Listeners {
    registry: Registry,
    /// The token of the first place.
    top: Token,
    places: Vec<Option<(Port, Listener)>>,
}

impl Listeners {
    /// None yet; tokens from there on down are theirs.
    pub const fn new(registry: Registry, top: Token) -> Self {
        Self { registry, top, places: Vec::new() }
    }

    /// Adds a listener, whose edges come from now on; its place.
    pub fn add(&mut self, port: Port, mut listener: Listener) -> io::Result<usize> {
        let at = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        self.registry.register(&mut listener.socket, Token(self.top.0 - at), Interest::READABLE)?;
        if at == self.places.len() {
            self.places.push(None);
        }
        self.places[at] = Some((port, listener));
        Ok(at)
    }

    /// Notes that there may be somebody to accept; whether this is the token of a place at all.
    pub fn note(&mut self, token: Token) -> bool {
        let Some(place) = self.top.0.checked_sub(token.0).and_then(|at| self.places.get_mut(at)) else { return false };
        place.iter_mut().for_each(|(_, listener)| listener.pending = true);
        true
    }

    /// Whether there may be somebody to accept.
    pub fn are_pending(&self) -> bool {
        self.places.iter().flatten().any(|(_, listener)| listener.pending)
    }

    /// How many places there are.
    pub const fn places(&self) -> usize {
        self.places.len()
    }

    /// Accepts one connection there, if there may be one. A listener that is leaving goes once it has no more.
    pub fn accept(&mut self, at: usize) -> Option<(Port, Accepted)> {
        let place = self.places.get_mut(at)?;
        let (port, listener) = place.as_mut().filter(|(_, listener)| listener.pending)?;
        let (port, accepted) = (*port, listener.accept());
        place.take_if(|(_, listener)| listener.is_leaving && !listener.pending);
        Some((port, accepted))
    }

    /// Closes all of them.
    pub fn clear(&mut self) {
        self.places.clear();
    }

    fn of_clients(&mut self) -> impl Iterator<Item = &mut Listener> {
        self.places.iter_mut().flatten().filter(|(port, _)| *port == Port::Client).map(|(_, listener)| listener)
    }

    /// Clients come to these addresses from now on, and nowhere else; if that is not possible, all is as it was. New listeners are opened
    /// before old ones leave, but for those that are in their way.
    pub fn move_clients(&mut self, bind: &[String], port: u16, backlog: u32) -> Result<(), ListenError> {
        let mut missing = listener::targets(bind, port)?;
        let wanted: Vec<SocketAddr> = missing.iter().map(|target| target.socket).collect();
        let here: Vec<SocketAddr> = self.of_clients().filter_map(|listener| listener.local()).collect();
        missing.retain(|target| !here.contains(&target.socket));
        let closed = self.make_way(&missing, &wanted);
        let is_anywhere = missing.len() < wanted.len();
        match self.open_all(&missing, backlog, is_anywhere) {
            Ok(()) => {
                self.of_clients().for_each(|listener| listener.leave_unless(&wanted));
                Ok(())
            }
            Err(error) => {
                closed.into_iter().for_each(|socket| self.reopen(socket, backlog));
                Err(error)
            }
        }
    }

    /// Closes what nobody wants and what keeps others from being opened: two sockets cannot listen on one port if one of them takes all
    /// addresses. Returns where it was.
    fn make_way(&mut self, missing: &[Target], wanted: &[SocketAddr]) -> Vec<SocketAddr> {
        let overlaps = |one: SocketAddr, other: SocketAddr| {
            let is_everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && is_everywhere
        };
        let is_in_the_way = |local: SocketAddr| !wanted.contains(&local) && missing.iter().any(|target| overlaps(local, target.socket));
        let mut closed = Vec::new();
        for place in &mut self.places {
            let gone = place.take_if(|(port, listener)| *port == Port::Client && listener.local().is_some_and(is_in_the_way));
            closed.extend(gone.filter(|(_, listener)| !listener.is_leaving).and_then(|(_, listener)| listener.local()));
        }
        closed
    }

    /// Opens all of these, or none. Those that may be missing on this host may, if clients can come anywhere else.
    fn open_all(&mut self, missing: &[Target], backlog: u32, is_anywhere: bool) -> Result<(), ListenError> {
        let opened: Vec<Listener> = missing.iter().filter_map(|target| target.open(backlog).transpose()).collect::<Result<_, _>>()?;
        if opened.is_empty() && !is_anywhere {
            return Err(ListenError::nothing(missing));
        }
        let mut added = Vec::new();
        for listener in opened {
            match self.add(Port::Client, listener) {
                Ok(at) => added.push(at),
                Err(reason) => {
                    added.into_iter().for_each(|at| self.places[at] = None);
                    return Err(ListenError::Queue(reason));
                }
            }
        }
        Ok(())
    }

    /// Listens again where one was closed for others that could not be opened.
    fn reopen(&mut self, socket: SocketAddr, backlog: u32) {
        let added = listener::open(socket, backlog).and_then(|listener| self.add(Port::Client, listener));
        if let Err(error) = added {
            log::error!("Clients are not taken in at {socket} any more: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Poll;
    use std::net::{TcpListener, TcpStream};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    /// Clients are taken in there, at a port that the system has chosen.
    fn taken_in(ip: &str) -> (Listeners, u16) {
        let mut listeners = Listeners::new(Poll::new().unwrap().registry().try_clone().unwrap(), Token(100));
        let listener = listener::open(SocketAddr::new(ip.parse().unwrap(), 0), 5).unwrap();
        let port = listener.local().unwrap().port();
        listeners.add(Port::Client, listener).unwrap();
        (listeners, port)
    }

    impl Listeners {
        /// What the loop does until nobody is left.
        fn accept_all(&mut self) -> usize {
            let mut count = 0;
            for at in 0..self.places() {
                while let Some((_, accepted)) = self.accept(at) {
                    count += usize::from(matches!(accepted, Accepted::Connection(..)));
                }
            }
            count
        }
    }

    fn reaches(ip: &str, port: u16) -> bool {
        TcpStream::connect((ip, port)).is_ok()
    }

    #[test]
    fn what_stays_stays_open_and_what_leaves_takes_in_whom_it_has() {
        let (mut listeners, port) = taken_in("127.0.0.2");
        let waiting = TcpStream::connect(("127.0.0.2", port)).unwrap();
        listeners.move_clients(&words("127.0.0.2 127.0.0.3"), port, 5).unwrap();
        assert!(reaches("127.0.0.2", port) && reaches("127.0.0.3", port));
        listeners.move_clients(&words("127.0.0.3"), port, 5).unwrap();
        assert!(listeners.are_pending(), "the next turn sees to it");
        assert_eq!(listeners.accept_all(), 2, "both that came to the old address");
        assert!(!reaches("127.0.0.2", port) && reaches("127.0.0.3", port));
        assert!(waiting.take_error().unwrap().is_none());
        // There and back before the old one is gone.
        listeners.move_clients(&words("127.0.0.2"), port, 5).unwrap();
        listeners.move_clients(&words("127.0.0.3"), port, 5).unwrap();
        listeners.accept_all();
        assert!(!reaches("127.0.0.2", port) && reaches("127.0.0.3", port));
    }

    #[test]
    fn one_that_takes_all_addresses_gives_way_and_comes_back() {
        let (mut listeners, port) = taken_in("0.0.0.0");
        listeners.move_clients(&words("127.0.0.2"), port, 5).unwrap();
        assert!(reaches("127.0.0.2", port) && !reaches("127.0.0.3", port));
        listeners.move_clients(&words("*"), port, 5).unwrap();
        assert!(reaches("127.0.0.2", port) && reaches("127.0.0.3", port));
        // 192.0.2.0/24 is for documentation: no host has it.
        for bind in ["127.0.0.3 192.0.2.1", "-192.0.2.1"] {
            assert!(listeners.move_clients(&words(bind), port, 5).is_err());
            assert!(reaches("127.0.0.2", port) && reaches("127.0.0.3", port), "{bind}");
        }
    }

    #[test]
    fn where_somebody_else_listens_nothing_changes() {
        let (mut listeners, port) = taken_in("127.0.0.2");
        let _other = TcpListener::bind(("127.0.0.3", port)).unwrap();
        let error = listeners.move_clients(&words("127.0.0.4 127.0.0.3"), port, 5).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.3:{port}")), "{error}");
        assert!(reaches("127.0.0.2", port) && !reaches("127.0.0.4", port));
        listeners.accept_all();
        assert!(reaches("127.0.0.2", port));
    }
}
