//! The connections by the place that the core gave them.
//!
//! Owns: finding a connection only under its own generation, so that a stale event never reaches a new connection in the same place. Must
//! not: open or read anything.

use super::connection::Connection;
use crate::types::ConnId;

/// All open connections.
#[derive(Debug, Default)]
pub struct Connections {
    places: Vec<Option<Connection>>,
}

impl Connections {
    /// Puts a connection at its place. One of an earlier generation that is still there is closed: the core has let it go.
    pub fn insert(&mut self, connection: Connection) {
        let place = connection.id.place as usize;
        if place >= self.places.len() {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(connection);
    }

    /// The connection of this very id.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.places.get_mut(id.place as usize)?.as_mut().filter(|connection| connection.id == id)
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.places.iter_mut().flatten()
    }

    /// Says on every connection that nothing comes any more: its end comes before the reset by which a kernel closes what has not been
    /// read.
    pub fn end_all(&self) {
        for connection in self.places.iter().flatten().filter(|connection| !connection.dialling) {
            if let Err(error) = connection.stream.shutdown() {
                log::debug!("Shutdown a connection: {error}");
            }
        }
    }

    /// Takes a connection out; dropping it closes the socket.
    pub fn remove(&mut self, id: ConnId) -> Option<Connection> {
        self.places.get_mut(id.place as usize)?.take_if(|connection| connection.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connection::Class;
    use crate::server::stream::Stream;
    use std::io::{ErrorKind, Read, Write};

    #[test]
    fn who_ends_with_something_unread_is_heard_to_end_in_order() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for says_so in [true, false] {
            let near = Stream::dial(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            far.write_all(b"unread").unwrap();
            let mut table = Connections::default();
            table.insert(Connection::new(ConnId { place: 0, generation: 0 }, Class::Bus, near, false));
            if says_so {
                table.end_all();
            }
            drop(table);
            assert_eq!(far.read(&mut [0; 1]).map_err(|error| error.kind()), says_so.then_some(0).ok_or(ErrorKind::ConnectionReset));
        }
    }

    #[test]
    fn a_stale_id_finds_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = |generation| {
            let stream = Stream::dial(listener.local_addr().unwrap()).unwrap();
            Connection::new(ConnId { place: 3, generation }, Class::Client, stream, true)
        };
        let mut table = Connections::default();
        table.insert(connection(1));
        table.insert(connection(2));
        let (old, new) = (ConnId { place: 3, generation: 1 }, ConnId { place: 3, generation: 2 });
        assert!(table.get_mut(old).is_none() && table.remove(old).is_none());
        assert!(table.get_mut(new).is_some() && table.remove(new).is_some() && table.get_mut(new).is_none());
        assert!(table.get_mut(ConnId { place: 9, generation: 0 }).is_none());
    }
}
