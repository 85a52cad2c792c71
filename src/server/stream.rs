//! The path of bytes between this process and another: a socket, of whatever kind, and the channel that is spoken on it.
//!
//! Owns: connecting, reading, writing, closing, addresses, options, registering with mio. The only file that names a kind of socket, but
//! for the listener, which accepts them. Must not: look at the bytes (the channel does), or know whose they are (connection does).

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::channel::{Channel, Fault};

/// What one read(2) takes for a channel: a record and more.
const SEALED_A_READ: usize = 64 << 10;

/// A socket that does not wait.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    /// None: bytes are as they come.
    channel: Option<Box<Channel>>,
    /// The channel has ended with this.
    fault: Option<Fault>,
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self { socket, channel: None, fault: None }
    }
}

/// What one read came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes were put into the buffer, none perhaps. `emptied`: no more is there for now.
    Bytes {
        /// How many.
        count: usize,
        /// An edge will tell of more.
        emptied: bool,
    },
    /// The end.
    End,
}

/// What a dialled socket has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Dialled {
    /// Not decided yet.
    Pending,
    /// It is up, from this own address.
    Up(SocketAddr),
    /// The peer's kernel said no.
    Refused,
    /// It failed in another way.
    Failed,
}

/// True if this error says that nobody listens there.
pub fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

impl Stream {
    /// The number that this process knows it by.
    pub fn number(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    /// All that is said from now on is said by this channel.
    pub fn speak_by(&mut self, channel: Channel) {
        self.channel = Some(Box::new(channel));
    }

    /// The channel, until it has turned out that there is none.
    pub fn channel(&mut self) -> Option<&mut Channel> {
        self.channel.as_deref_mut()
    }

    /// Why the channel has ended, if it has by itself.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// The system's, which may be a refusal already ([`is_refusal`]).
    pub fn dial(target: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // Our own end takes a port that some node, restarted, may want to listen on: with this set on both, it may.
        socket.set_reuse_address(true)?;
        match socket.connect(&target.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(TcpStream::from_std(socket.into()).into())
    }

    /// Looks at a dialled socket after an event.
    pub fn dialled(&self) -> Dialled {
        let socket = &self.socket;
        match socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return if is_refusal(&error) { Dialled::Refused } else { Dialled::Failed },
        }
        let (own, peer) = match (socket.local_addr(), socket.peer_addr()) {
            (Ok(own), Ok(peer)) => (own, peer),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotConnected => return Dialled::Pending,
            _ => return Dialled::Failed,
        };
        // A dial to a dead port of this host may meet itself, when the kernel picks that very port for our end; kept, it would also hold
        // the port.
        if own == peer { Dialled::Refused } else { Dialled::Up(own) }
    }

    /// Our end's address.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// No delay for small messages, and keepalive probes as `tcp-keepalive` says. A failure harms nothing but comfort.
    pub fn tune(&self, keepalive_seconds: u64) {
        let socket = SockRef::from(&self.socket);
        let mut result = socket.set_tcp_nodelay(true);
        if keepalive_seconds > 0 {
            let between = Duration::from_secs((keepalive_seconds / 3).max(1));
            let probes = TcpKeepalive::new().with_time(Duration::from_secs(keepalive_seconds)).with_interval(between).with_retries(3);
            result = result.and_then(|()| socket.set_tcp_keepalive(&probes));
        }
        if let Err(error) = result {
            log::debug!("socket options: {error}");
        }
    }

    /// Has mio tell of it by this name, once for both directions.
    ///
    /// # Errors
    /// The system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// One read(2) of at most so many bytes into the room that the buffer has.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there, `Interrupted` to be tried again; after any other the connection is broken, or its channel
    /// ([`Stream::fault`]).
    pub fn read(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<Got> {
        let Some(channel) = &mut self.channel else {
            let room = most.min(buffer.capacity() - buffer.len());
            let count = read_socket(&self.socket, buffer, most)?;
            return Ok(if count == 0 { Got::End } else { Got::Bytes { count, emptied: count < room } });
        };
        let (mut sealed, before) = (Vec::with_capacity(SEALED_A_READ), buffer.len());
        let count = read_socket(&self.socket, &mut sealed, SEALED_A_READ)?;
        if count == 0 {
            return Ok(Got::End);
        }
        if let Err(fault) = channel.receive(&sealed, buffer) {
            self.fault = Some(fault);
            return Err(io::ErrorKind::InvalidData.into());
        }
        if channel.is_plain() {
            self.channel = None;
        }
        Ok(Got::Bytes { count: buffer.len() - before, emptied: count < SEALED_A_READ })
    }

    /// One write(2), if nothing of before is left; how much of `bytes` was taken. What a channel has taken may not have left yet
    /// ([`Stream::is_behind`]).
    ///
    /// # Errors
    /// `WouldBlock` if none was, `Interrupted` to be tried again, `BrokenPipe` if the peer has closed; after any other the connection is
    /// broken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.channel.is_none() {
            return Ok(rustix::io::write(&self.socket, bytes)?);
        }
        self.catch_up()?;
        let Some(channel) = &mut self.channel else { return self.write(bytes) };
        let taken = channel.seal(bytes);
        match self.catch_up() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ if taken == 0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    /// Writes what the channel has taken, or has to say itself.
    ///
    /// # Errors
    /// As [`Stream::write`], if not all of it was; never `Interrupted`.
    pub fn catch_up(&mut self) -> io::Result<()> {
        let Some(channel) = &mut self.channel else { return Ok(()) };
        while !channel.unsent().is_empty() {
            match rustix::io::write(&self.socket, channel.unsent()) {
                Ok(count) => channel.sent(count),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if channel.is_plain() {
            self.channel = None;
        }
        Ok(())
    }

    /// Whether something of what was taken, or of the channel's own, has not left.
    pub fn is_behind(&self) -> bool {
        self.channel.as_ref().is_some_and(|channel| !channel.unsent().is_empty())
    }

    /// Tells the peer that nothing comes any more.
    ///
    /// # Errors
    /// The system's.
    pub fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Closes it so that the peer sees a reset; dropped, it is closed in order. One that has ended already sends nothing.
    pub fn reset(self) {
        if let Err(error) = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)) {
            log::debug!("resetting a connection: {error}");
        }
    }
}

fn read_socket(socket: &TcpStream, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    let len = buffer.len();
    if buffer.capacity() - len <= most {
        return Ok(rustix::io::read(socket, spare_capacity(buffer))?);
    }
    buffer.resize(len + most, 0);
    let read = rustix::io::read(socket, &mut buffer[len..]);
    buffer.truncate(len + read.unwrap_or(0));
    Ok(read?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_dial_says_up_or_refused() {
        let settled = |stream: &Stream| loop {
            match stream.dialled() {
                Dialled::Pending => {}
                result => return result,
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let stream = Stream::dial(target).unwrap();
        stream.tune(300);
        assert!(matches!(settled(&stream), Dialled::Up(own) if own != target));
        // Nobody listens on a port that is only bound, and nobody else can take it.
        let silent = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        match Stream::dial(silent.local_addr().unwrap().as_socket().unwrap()) {
            Ok(stream) => assert_eq!(settled(&stream), Dialled::Refused),
            Err(error) => assert!(is_refusal(&error)),
        }
    }
}
