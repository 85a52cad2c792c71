//! The link of a replica to its primary: the handshake, and its data in the place of the own.
//!
//! Owns: what is said first, and what a sync that is complete changes. Must not: decide whom to follow, or when to dial (role does), or run
//! the stream (the node does: it is commands). Contract: docs/protocol.md, "Replication".

use crate::node::dataset::Dataset;
use crate::node::io::sessions::{Kind, Phase, PrimaryLink, StreamReader};
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::replication::{Fresh, Introduction, STREAMED, Sync, Synced};
use crate::session::Client;
use crate::types::{ConnId, REDIS_VERSION};
use crate::wire::Parser;
use std::net::SocketAddr;

impl Dataset {
    /// The link to the primary is up: the handshake begins.
    pub fn primary_connected(&mut self, conn: ConnId, local: SocketAddr, metadata: &Metadata, view: &View, out: &mut Effects) {
        let seed = out.rng.next_u64();
        let (Some(primary), Some(session)) = (self.following.primary(), out.io.sessions.get_mut(conn)) else { return };
        let Kind::Primary(link) = &mut session.kind else { return };
        let config = &view.config;
        let introduction = Introduction {
            user: &config.primaryuser,
            password: &config.primaryauth,
            cluster: metadata.state.cluster_id(),
            primary,
            port: if config.replica_announce_port == 0 { config.announced_port() } else { config.replica_announce_port },
            ip: &config.replica_announce_ip,
            version: REDIS_VERSION,
            me: metadata.me,
            process: view.nonce,
        };
        // Who has nothing has nothing to go on with.
        let has = (!self.keyspace.is_empty() || self.stream.backlog().is_some()).then(|| self.stream.history());
        link.local = Some(local);
        let fresh = Fresh { seed, thresholds: config.thresholds, now: view.now.wall };
        link.heard = view.now.mono;
        link.phase = Phase::Syncing(Box::new(Sync::begin(&introduction, has, fresh, session.transmit.end())));
        out.io.sessions.queue_output(conn);
    }

    /// The primary's data is whole, or its stream goes on.
    pub fn take_up(&mut self, synced: Synced, reign: u64) {
        match synced {
            Synced::Partial(id) => {
                log::info!("The primary's stream goes on at offset {} of history {id}", self.stream.offset());
                self.stream.rename(id);
            }
            Synced::Full(keyspace, history) => {
                log::info!("The primary's {} keys are here, at offset {} of history {}", keyspace.len(), history.offset, history.id);
                self.keyspace.replace(*keyspace);
                self.stream.restart(history);
            }
        }
        self.following.synced(reign);
        self.forget_final_offset();
    }

    /// Runs the stream from here on.
    pub fn stream_reader(&mut self, link: &PrimaryLink, view: &View, out: &mut Effects) -> Box<StreamReader> {
        let local = link.local.unwrap_or(link.socket);
        let client = Client { is_primary: true, ..Client::new(out.io.next_client(), link.socket, local, view.now, true) };
        Box::new(StreamReader { client, parser: Parser::new(STREAMED), unfinished: Vec::new(), failed: false, is_closing: false })
    }
}
