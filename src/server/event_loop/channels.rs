//! The channels of the loop's connections: a dialled one is up for the core once its offer is answered.
//!
//! Owns: from a dialled socket to a connection that the core uses, and what becomes of connections whose channel, or whose secret, has
//! ended. Must not: look at what is said.

use std::io;

use super::{Closed, ConnId, Disk, EventLoop};
use crate::channel::Fault;
use crate::server::stream::{Dialled, Got};

/// What may come together with the answer to an offer: nothing, of a node.
const ANSWER_ROOM: usize = 64 << 10;

impl<D: Disk> EventLoop<D> {
    /// The core hears how a dial ended.
    pub(super) fn settle_dial(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.stream.channel().is_some() {
            return self.read_answer(id);
        }
        match connection.stream.dialled() {
            Dialled::Pending => {}
            Dialled::Up(_) => {
                connection.stream.tune(self.node.config().tcp_keepalive);
                let offer = self.shared.keys.borrow().offer();
                match offer {
                    Ok(None) => self.is_up(id, &[]),
                    Ok(Some(channel)) => {
                        connection.stream.speak_by(channel);
                        // It says nothing of this node, and a new socket takes it at once.
                        if connection.catch_up().is_err() {
                            self.end(id, Closed::Error);
                        }
                    }
                    Err(fault) => self.break_off(id, fault),
                }
            }
            Dialled::Refused => self.end(id, Closed::Refused),
            Dialled::Failed => self.end(id, Closed::Error),
        }
    }

    /// The other end may have answered our offer.
    fn read_answer(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let mut said = Vec::new();
        loop {
            match connection.stream.read(&mut said, ANSWER_ROOM) {
                Ok(Got::Bytes { emptied: false, .. }) => {}
                Ok(Got::Bytes { .. }) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(Got::End) => return self.break_off(id, Fault::Unanswered),
                Err(_) => {
                    let fault = connection.stream.fault();
                    return self.break_off(id, fault.unwrap_or(Fault::Unanswered));
                }
            }
        }
        if connection.stream.channel().is_none_or(|channel| channel.is_proven()) {
            self.is_up(id, &said);
        }
    }

    /// A dialled connection may be used; the other end has said so much already.
    fn is_up(&mut self, id: ConnId, said: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Ok(local) = connection.stream.local_addr() else { return self.end(id, Closed::Error) };
        connection.dialling = false;
        self.node.connected(id, local);
        if let Some(buffer) = self.node.receive_buffer(id).filter(|_| !said.is_empty()) {
            buffer.extend_from_slice(said);
            self.node.received(id, said.len());
        }
    }

    /// The channel is no more.
    fn break_off(&mut self, id: ConnId, fault: Fault) {
        self.node.channel_ended(id, fault);
        self.end(id, Closed::Error);
    }

    /// An accepted connection has been read from: its channel may have something to say, or have shown who is there, or have ended.
    pub(super) fn after_read(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if let Some(fault) = connection.stream.fault() {
            // Its last word, if it has one: it takes some bytes of an empty socket.
            let _ = connection.catch_up();
            return self.node.channel_ended(id, fault);
        }
        if connection.stream.channel().is_some_and(|channel| channel.is_proven()) {
            self.node.is_keyed(id);
        }
        if connection.stream.is_behind() && !std::mem::replace(&mut connection.unblocked, true) {
            self.unblocked.push(id);
        }
    }

    /// SIGHUP.
    pub(super) fn read_secrets_anew(&mut self) {
        let mut keys = self.shared.keys.borrow_mut();
        match keys.prepare(self.node.config()) {
            Ok(()) => keys.take_up(),
            Err(error) => log::error!("{error}: the cluster's secrets stay as they are"),
        }
    }

    /// Others count now: whoever is connected by one that does not any more, or by none although it is required, comes again.
    pub(super) fn take_up_secrets(&mut self) {
        let Some(ring) = self.shared.keys.borrow_mut().changed() else { return };
        log::info!("The cluster's secrets were read anew");
        let stays = |connection: &mut super::Connection| match connection.stream.channel() {
            Some(channel) => channel.goes_on_with(&ring),
            None => connection.class == super::Class::Client || connection.dialling || !ring.requires(),
        };
        let ended: Vec<ConnId> =
            self.connections.iter_mut().filter_map(|connection| (!stays(connection)).then_some(connection.id)).collect();
        for id in ended {
            self.end(id, Closed::Error);
        }
        self.node.secrets_changed();
    }
}
