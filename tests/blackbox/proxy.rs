//! A port that stands before another one, so that a test can cut what goes through it.

use crate::ports::Port;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Takes what comes from the first to the second, until either end is gone.
type Carry = fn(&TcpStream, &TcpStream) -> io::Result<()>;

pub struct Proxy {
    pub port: Port,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// A port, and where connections to it wait until they are passed on.
    pub fn reserve() -> (Self, TcpListener) {
        let port = Port::reserve();
        let listener = TcpListener::bind(("127.0.0.1", port.number)).expect("the port is reserved");
        (Self { port, streams: Arc::default() }, listener)
    }

    /// Passes connections on to `target`, for as long as the test runs.
    pub fn run(&self, listener: TcpListener, target: u16) {
        self.run_with(listener, target, copy);
    }

    /// As [`Proxy::run`]; what goes to `target` is carried there by `carry`.
    #[allow(clippy::disallowed_methods, reason = "somebody has to pass bytes on while the test waits")]
    pub fn run_with(&self, listener: TcpListener, target: u16, carry: Carry) {
        let streams = Arc::clone(&self.streams);
        thread::spawn(move || {
            for near in listener.incoming().filter_map(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                pass(&near, &far, carry);
                pass(&far, &near, copy);
                streams.lock().expect("no holder has panicked").extend([near, far]);
            }
        });
    }

    /// Ends every connection that goes through here.
    pub fn cut(&self) {
        for stream in self.streams.lock().expect("no holder has panicked").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to).map(drop)
}

/// Passes on one direction until either end is gone.
#[allow(clippy::disallowed_methods, reason = "each direction may block by itself")]
fn pass(from: &TcpStream, to: &TcpStream, carry: Carry) {
    let [from, to] = [from, to].map(|stream| stream.try_clone().expect("a handle can be cloned"));
    thread::spawn(move || {
        let _ = carry(&from, &to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
