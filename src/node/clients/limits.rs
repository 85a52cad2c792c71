//! What clients may leave unsent, and for how long they may say nothing.
//!
//! Owns: `client-output-buffer-limit`, `timeout`, and who is served again once it has read. Must not: know what was sent.
//! Contract: docs/operations.md; Redis' redis.conf, by these names.

use crate::cluster::State;
use crate::node::event_log::replica_named;
use crate::node::io::sessions::{Kind, MAX_UNSENT, Session};
use crate::node::view::{Effects, View};
use crate::replication::Stream;
use crate::session::Client;
use crate::types::ConnId;

impl Effects {
    /// A client that had too much unsent has read: what it asked meanwhile is served by the next turn, which follows at once.
    pub fn resume_held_up(&mut self, conn: ConnId) {
        let Some(session) = self.io.sessions.get_mut(conn).filter(|session| session.transmit.len() < MAX_UNSENT) else { return };
        if let Kind::Client(client) = &mut session.kind
            && std::mem::take(&mut client.held_up)
        {
            self.io.sessions.queue_input(conn);
        }
    }

    /// `client-output-buffer-limit`, by what is left after a flush: closes a client beyond the hard limit, or for too long beyond the soft
    /// one.
    pub fn check_output_limit(&mut self, conn: ConnId, stream: &Stream, state: &State, view: &View) {
        let (limits, now) = (view.config.client_output_buffer_limit, view.now.mono);
        let Some(session) = self.io.sessions.get_mut(conn) else { return };
        let Kind::Client(client) = &mut session.kind else { return };
        let behind = client.client.replica.as_ref().filter(|replica| replica.has_asked()).map(|replica| replica.behind(stream));
        let limit = match behind {
            Some(_) => limits.replica.at_least(view.config.repl_backlog_size),
            None if client.client.subscriptions.is_empty() => limits.normal,
            None => limits.pubsub,
        };
        // Of what a replica was sent only a bounded amount waits, and it may be of an RDB, which is not counted: the stream that it still
        // needs is.
        let unsent = behind.unwrap_or(session.transmit.len() as u64);
        let beyond = |bound: u64| bound > 0 && unsent > bound;
        client.behind_since = beyond(limit.soft).then(|| client.behind_since.unwrap_or(now));
        let too_long = client.behind_since.is_some_and(|since| now.saturating_sub(since) >= limit.soft_seconds.saturating_mul(1000));
        if too_long || beyond(limit.hard) {
            let who = match behind {
                Some(_) => format!("replica {}", replica_named(state, &client.client)),
                None => format!("client {} at {}", client.client.id, client.client.addr),
            };
            log::warn!("closing {who}: {unsent} bytes that it does not read are beyond client-output-buffer-limit");
            self.server.stats.output_limit_disconnections += 1;
            self.end(conn, stream);
        }
    }

    /// Cron: clients that have been silent for longer than the `timeout` option allows are closed.
    pub fn close_idle_clients(&mut self, stream: &Stream, view: &View) {
        let Some(limit) = view.config.timeout.checked_mul(1000).filter(|limit| *limit > 0) else { return };
        let is_idle = |client: &Client| client.may_be_idle() && view.now.mono.saturating_sub(client.last_active) > limit;
        let idle = self.io.sessions.iter().filter_map(|(conn, session)| match &session.kind {
            Kind::Client(client) if is_idle(&client.client) => Some(conn),
            _ => None,
        });
        idle.collect::<Vec<_>>().into_iter().for_each(|conn| self.end(conn, stream));
    }

    /// Cron: who reads nothing at all is never flushed.
    pub fn check_output_limits(&mut self, stream: &Stream, state: &State, view: &View) {
        let limits = view.config.client_output_buffer_limit;
        if limits.normal.soft == 0 && (limits.pubsub.soft == 0 || self.clients.publishing.pubsub.is_empty()) {
            return;
        }
        let behind = |session: &Session| matches!(session.kind, Kind::Client(_)) && !session.transmit.is_empty();
        let clients = self.io.sessions.iter().filter(|(_, session)| behind(session)).map(|(id, _)| id);
        for conn in clients.collect::<Vec<_>>() {
            self.check_output_limit(conn, stream, state, view);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::node::net::Net;

    #[test]
    fn who_does_not_read_a_long_reply_is_idle() {
        let mut net = Net::of(1);
        net.until("a cluster of one", |net| net.nodes[0].metadata.state.member_count() == 1);
        for line in ["CLUSTER ADDSLOTSRANGE 0 16383", "CONFIG SET timeout 1"] {
            assert_eq!(net.ask(0, line), "+OK\r\n");
        }
        assert_eq!(net.ask(0, "SETRANGE k 3000000 x"), ":3000001\r\n");
        let reader = net.say(0, "GET k");
        net.until("its end", |net| net.nodes[0].out.io.sessions.get(reader).is_none());
    }
}
