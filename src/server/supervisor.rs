//! What a supervisor is told (`supervised`): systemd's notification protocol, sd_notify(3).
//!
//! Owns: the one datagram. Must not: wait for anybody.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::config::Supervision;

/// Where systemd listens, by its own name for it.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The node takes connections.
pub fn ready(supervision: Supervision) {
    let socket = env::var_os(NOTIFY_SOCKET);
    match (supervision, socket) {
        (Supervision::Systemd | Supervision::Auto, Some(path)) => {
            if let Err(error) = notify(&path, b"READY=1\n") {
                log::warn!("systemd supervision: can't send to {}: {error}", path.display());
            }
        }
        (Supervision::Systemd, None) => log::warn!("systemd supervision requested, but {NOTIFY_SOCKET} not found"),
        (Supervision::Upstart, _) => log::warn!("upstart supervision is not supported: nobody is told that the node is ready"),
        (Supervision::Auto, None) | (Supervision::No, _) => {}
    }
}

fn notify(path: &OsStr, line: &[u8]) -> io::Result<()> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(line, &address).map(drop)
}
