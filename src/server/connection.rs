//! One connection: its socket, and what is known of its readiness.
//!
//! Owns: reading into and writing out of the core's buffers, a bounded amount at a time. Must not: look at the bytes.
//!
//! mio is edge-triggered: `readable` and `writable` say what the last edges and the last calls have shown, and only WouldBlock (or a short
//! read, which says the same) lowers them.

use std::io::{self, ErrorKind};

use super::stream::{Got, Stream};
use crate::node::{Node, Port};
use crate::store::Disk;
use crate::types::ConnId;

/// Room made in a receive buffer before a read.
const READ_ROOM: usize = 16 * 1024;

/// What it is for, as far as reading order and bounds go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A client.
    Client,
    /// Our end of a connection to another node's client port: what a replica loads.
    Primary,
    /// A bus link, either direction.
    Bus,
}

impl Class {
    /// Of who has connected to a port of this node.
    pub const fn accepted(port: Port) -> Self {
        match port {
            Port::Bus => Self::Bus,
            Port::Client => Self::Client,
        }
    }

    /// Of what this node dials.
    pub const fn dialled(port: Port) -> Self {
        match port {
            Port::Bus => Self::Bus,
            Port::Client => Self::Primary,
        }
    }

    /// How much one connection may bring in a turn, so that it cannot keep the others waiting. Pairs of a hash in an RDB take longer by the
    /// byte than anything that clients send. A bus frame is at most 16 MiB, mostly below 1 MiB.
    const fn budget(self) -> usize {
        match self {
            Self::Client => 64 * 1024,
            Self::Primary => 32 * 1024,
            Self::Bus => 1024 * 1024,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Its name in the core.
    pub id: ConnId,
    /// What it is for.
    pub class: Class,
    /// The socket.
    pub stream: Stream,
    /// Dialled, and not known to be up.
    pub dialling: bool,
    /// There may be something to read.
    pub readable: bool,
    /// The socket may take bytes.
    pub writable: bool,
    /// The peer has closed its direction: no further edge will come for what is left to read.
    pub hung_up: bool,
    /// Stands in the event loop's list of connections to read.
    pub listed: bool,
    /// Stands in the event loop's list of those to write to.
    pub unblocked: bool,
}

/// How a turn's reading of one connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// Nothing is left; an edge will tell of more.
    Drained,
    /// The budget is used up, or the end is near: read on in the next turn.
    More,
    /// The core takes nothing now.
    Held,
    /// The peer has closed.
    Eof,
    /// The connection broke.
    Broken,
}

/// Why nothing can be written any more.
#[derive(Debug)]
pub enum WriteError {
    /// The peer had closed, and its kernel has refused what came after that. What it said before is still to be read, and then its end.
    Closed,
    /// The connection broke. The socket has said so now, and a read would take that for an end in order.
    Broken(io::Error),
}

impl Connection {
    /// A connection that is up, or is being dialled.
    pub fn new(id: ConnId, class: Class, stream: Stream, dialling: bool) -> Self {
        Self { id, class, stream, dialling, readable: false, writable: !dialling, hung_up: false, listed: false, unblocked: false }
    }

    /// Reads up to the budget, into the buffers that the core gives, as long as it does; it is told of each arrival.
    pub fn read(&mut self, core: &mut impl Receiver) -> ReadEnd {
        let mut taken = 0;
        while taken < self.class.budget() {
            let Some(buffer) = core.buffer(self.id) else { return ReadEnd::Held };
            if buffer.capacity() - buffer.len() < READ_ROOM / 4 {
                buffer.reserve(READ_ROOM);
            }
            // A long request has room for much more than one turn is to read.
            let room = (buffer.capacity() - buffer.len()).min(self.class.budget() - taken);
            match self.stream.read(buffer, room) {
                Ok(Got::End) => return ReadEnd::Eof,
                Ok(Got::Bytes { count, emptied }) => {
                    if count > 0 {
                        core.received(self.id, count);
                    }
                    taken += count;
                    if emptied {
                        return self.after_short_read();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return ReadEnd::Drained;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return ReadEnd::Broken,
            }
        }
        ReadEnd::More
    }

    /// A short read has emptied the socket. If the peer has closed, its end comes in the next turn, after what came before it has been
    /// answered.
    fn after_short_read(&mut self) -> ReadEnd {
        if self.hung_up {
            return ReadEnd::More;
        }
        self.readable = false;
        ReadEnd::Drained
    }

    /// One write(2) of `bytes`, not empty; how many were taken. Once the socket takes no more, `writable` is lowered, and an edge will
    /// tell.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        match self.stream.write(bytes) {
            Ok(0) => Err(WriteError::Broken(ErrorKind::WriteZero.into())),
            Ok(count) => {
                self.writable &= !self.stream.is_behind();
                Ok(count)
            }
            Err(error) => self.not_written(error).map(|()| 0),
        }
    }

    /// Writes what the channel has taken before.
    pub fn catch_up(&mut self) -> Result<(), WriteError> {
        self.stream.catch_up().or_else(|error| self.not_written(error))
    }

    fn not_written(&mut self, error: io::Error) -> Result<(), WriteError> {
        match error.kind() {
            ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(())
            }
            ErrorKind::Interrupted => Ok(()),
            ErrorKind::BrokenPipe => {
                self.hung_up = true;
                Err(WriteError::Closed)
            }
            _ => Err(WriteError::Broken(error)),
        }
    }
}

/// The core, as far as a reading connection sees it.
pub trait Receiver {
    /// The buffer to append to; `None` while nothing is taken.
    fn buffer(&mut self, id: ConnId) -> Option<&mut Vec<u8>>;
    /// So many bytes were appended.
    fn received(&mut self, id: ConnId, count: usize);
}

impl<D: Disk> Receiver for Node<D> {
    fn buffer(&mut self, id: ConnId) -> Option<&mut Vec<u8>> {
        self.receive_buffer(id)
    }

    fn received(&mut self, id: ConnId, count: usize) {
        Node::received(self, id, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Channel, Keyring, Otherwise, Secret};
    use socket2::SockRef;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream as StdStream};
    use std::time::Duration;

    #[derive(Default)]
    struct Core {
        bytes: Vec<u8>,
        noted: usize,
        held: bool,
    }

    impl Receiver for Core {
        fn buffer(&mut self, _: ConnId) -> Option<&mut Vec<u8>> {
            (!self.held).then_some(&mut self.bytes)
        }
        fn received(&mut self, _: ConnId, count: usize) {
            self.noted += count;
        }
    }

    fn pair(class: Class) -> (Connection, StdStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = mio::net::TcpStream::from_std(near).into();
        let mut connection = Connection::new(ConnId { place: 1, generation: 0 }, class, near, false);
        connection.readable = true;
        (connection, far)
    }

    /// Reads until the end differs from `Drained`, as edges would have it: loopback delivers at once, but not in no time.
    fn read_until(connection: &mut Connection, core: &mut Core, enough: impl Fn(&Core, &ReadEnd) -> bool) -> ReadEnd {
        loop {
            let end = connection.read(core);
            if enough(core, &end) {
                return end;
            }
        }
    }

    #[test]
    fn reads_what_is_there_and_is_told_of_the_end_in_a_turn_of_its_own() {
        let (mut connection, mut far) = pair(Class::Client);
        let mut core = Core::default();
        assert_eq!(connection.read(&mut core), ReadEnd::Drained);
        far.write_all(b"PING\r\n").unwrap();
        read_until(&mut connection, &mut core, |core, _| core.noted == 6);
        assert_eq!(core.bytes, b"PING\r\n");
        far.write_all(b"QUIT\r\n").unwrap();
        drop(far);
        connection.hung_up = true;
        assert_eq!(read_until(&mut connection, &mut core, |core, _| core.noted == 12), ReadEnd::More);
        assert_eq!(connection.read(&mut core), ReadEnd::Eof);
    }

    #[test]
    fn a_turn_takes_a_bounded_amount_and_nothing_while_held() {
        let (mut connection, mut far) = pair(Class::Client);
        let mut core = Core::default();
        far.set_nonblocking(true).unwrap();
        while far.write(&[b'x'; 65536]).is_ok() {}
        let end = read_until(&mut connection, &mut core, |core, _| core.noted > 0);
        assert!(core.noted < 2 * 1024 * 1024 && end != ReadEnd::Eof, "{}", core.noted);
        core.held = true;
        assert_eq!(connection.read(&mut core), ReadEnd::Held);
    }

    /// Writes until that fails.
    fn write_error(connection: &mut Connection) -> WriteError {
        loop {
            if let Err(error) = connection.write(b"x") {
                return error;
            }
        }
    }

    #[test]
    fn a_write_tells_a_reset_from_an_end_in_order() {
        let (mut connection, far) = pair(Class::Bus);
        SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        assert!(matches!(write_error(&mut connection), WriteError::Broken(_)));
        // What was said before is not lost with it.
        let (mut connection, mut far) = pair(Class::Bus);
        far.write_all(b"CLOSING").unwrap();
        drop(far);
        assert!(matches!(write_error(&mut connection), WriteError::Closed));
        assert!(connection.writable, "no edge need come after it: the next write is to say it again");
        let mut core = Core::default();
        assert_eq!(read_until(&mut connection, &mut core, |_, end| *end != ReadEnd::More), ReadEnd::Eof);
        assert_eq!(core.bytes, b"CLOSING");
    }

    /// What one end says by a channel comes out at the other, however the socket takes it.
    #[test]
    fn a_channel_keeps_what_a_full_socket_does_not_take() {
        let fill: fn(&mut [u8]) -> bool = |bytes| {
            bytes.fill(3);
            true
        };
        let keys = Keyring::new(vec![Secret::new(&[b'a'; 32]).unwrap()], true);
        let (mut near, far) = pair(Class::Bus);
        far.set_nonblocking(true).unwrap();
        let far = mio::net::TcpStream::from_std(far).into();
        let mut far = Connection::new(ConnId { place: 2, generation: 0 }, Class::Bus, far, false);
        far.readable = true;
        far.stream.speak_by(Channel::offer(&keys, fill).unwrap().unwrap());
        near.stream.speak_by(Channel::await_offer(keys, Otherwise::Refused, fill));
        let (mut heard, mut answered) = (Core::default(), Core::default());
        while !far.stream.channel().unwrap().is_proven() {
            for (connection, core) in [(&mut far, &mut answered), (&mut near, &mut heard)] {
                connection.catch_up().unwrap();
                connection.read(core);
            }
        }
        let bytes: Vec<u8> = (0..8_000_000u32).map(|n| (n % 251) as u8).collect();
        let (mut said, mut was_full) = (0, false);
        while heard.bytes.len() < bytes.len() {
            while said < bytes.len() && far.writable {
                said += far.write(&bytes[said..]).unwrap();
            }
            was_full |= far.stream.is_behind();
            assert_eq!(far.stream.is_behind(), !far.writable, "an edge will tell");
            near.read(&mut heard);
            // As the edge has it.
            far.writable = true;
            far.catch_up().unwrap();
        }
        assert!(heard.bytes == bytes && heard.noted == bytes.len() && was_full);
        assert!(answered.bytes.is_empty());
    }

    #[test]
    fn a_full_socket_keeps_the_rest() {
        let (mut connection, mut far) = pair(Class::Client);
        let bytes = vec![7; 64 << 20];
        let mut sent = 0;
        while connection.writable {
            sent += connection.write(&bytes[sent..]).unwrap();
        }
        assert!(sent < bytes.len());
        let mut got = 0;
        let mut room = vec![0; 1 << 20];
        while got < bytes.len() {
            got += far.read(&mut room).unwrap();
            if sent < bytes.len() {
                sent += connection.write(&bytes[sent..]).unwrap();
            }
        }
        assert_eq!(sent, bytes.len());
    }
}
