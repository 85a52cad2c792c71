//! What the node has the shell do within a command: where clients are taken in, and by which secrets nodes are.
//!
//! Owns: what both hold of it. Must not: decide it (CONFIG SET does).

use std::cell::RefCell;
use std::rc::Rc;

use super::keys::Keys;
use super::listeners::Listeners;
use crate::config::Config;
use crate::node::Listening;

/// The same for the loop, and for the node.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The listening sockets.
    pub listeners: Rc<RefCell<Listeners>>,
    /// The cluster's secrets.
    pub keys: Rc<RefCell<Keys>>,
}

impl Listening for Shared {
    fn read_secrets(&mut self, config: &Config) -> Result<(), String> {
        self.keys.borrow_mut().prepare(config)
    }

    fn take_secrets(&mut self) {
        self.keys.borrow_mut().take_up();
    }

    fn move_clients(&mut self, bind: &[String], port: u16, backlog: u32) -> bool {
        let moved = self.listeners.borrow_mut().move_clients(bind, port, backlog);
        match &moved {
            Ok(()) => log::info!("Clients are taken in at port {port} of '{}' from now on", bind.join(" ")),
            Err(error) => log::warn!("{error}"),
        }
        moved.is_ok()
    }
}
