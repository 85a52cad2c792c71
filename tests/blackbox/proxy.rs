//! A port that stands before another one, so that a test can cut what goes through it.

use crate::ports::Port;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

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
    #[allow(clippy::disallowed_methods, reason = "somebody has to pass bytes on while the test waits")]
    pub fn run(&self, listener: TcpListener, target: u16) {
        let streams = Arc::clone(&self.streams);
        thread::spawn(move || {
            for near in listener.incoming().filter_map(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    pass(from, to);
                }
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

/// Passes on one direction until either end is gone.
#[allow(clippy::disallowed_methods, reason = "each direction may block by itself")]
fn pass(from: &TcpStream, to: &TcpStream) {
    let [mut from, mut to] = [from, to].map(|stream| stream.try_clone().expect("a handle can be cloned"));
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
