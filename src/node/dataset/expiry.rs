//! Keys whose time is over, and what the keyspace did by itself.
//!
//! Owns: when they go, a slice a turn, and that replicas and subscribers are told. Must not: expire a key while nothing may change.
//! Contract: docs/architecture.md, "Decided once".

use crate::commands::notify;
use crate::config::Config;
use crate::keyspace::Wanted;
use crate::node::clients::pubsub_delivery::Others;
use crate::node::dataset::Dataset;
use crate::node::view::{Effects, View};
use crate::types::Millis;

/// Keys of which nobody is told when they expire go together (ms).
const EXPIRE_PATIENCE: Millis = 100;
/// Expired keys removed in one turn.
const EXPIRE_BUDGET: usize = 1000;
/// What is freed in one turn, in small allocations: some tenths of a millisecond.
const FREE_BUDGET: usize = 2000;
/// And one more for so many bytes that have come, which is twice as much: what is overwritten must not be dropped faster than it is freed.
const BYTES_FREED_FOR: u64 = 2048;

/// What this node wants to know of keys that expire, or are made.
fn wanted_notes(config: &Config) -> Wanted {
    notify::wanted(config.notify_keyspace_events)
}

impl Dataset {
    /// When the next key expires (mono ms), on time if that is to be told. Otherwise keys go when there is a turn anyway, or soon: they
    /// count until then.
    pub fn next_expiry(&self, view: &View, out: &Effects) -> Option<Millis> {
        let last = self.keyspace.next_expiry().filter(|_| self.may_expire_keys(out))?;
        let due = view.now.mono.saturating_add(last.saturating_sub(view.now.wall)).saturating_add(1);
        let is_told = wanted_notes(&view.config).expired;
        Some(if is_told { due } else { due.checked_next_multiple_of(EXPIRE_PATIENCE).unwrap_or(due) })
    }

    /// A command is about to run: how keys are to take it.
    pub fn prepare_keys(&mut self, touches: bool, view: &View, out: &Effects) {
        self.keyspace.want_notes(wanted_notes(&view.config));
        self.keyspace.prepare(view.now.wall, touches);
        self.keyspace.keep_still(!self.may_expire_keys(out));
    }

    /// To expire a key is to change it.
    fn may_expire_keys(&self, out: &Effects) -> bool {
        out.clients.pauses.in_force().is_none() && !self.role.is_handing_over()
    }

    /// Removes expired keys and frees what was cleared, a slice a turn; true if there is more to do.
    pub fn tend_keys(&mut self, view: &View, out: &mut Effects) -> bool {
        let came = out.server.stats.input.total;
        let brought = came.saturating_sub(std::mem::replace(&mut self.freed_for, came));
        let freed = self.keyspace.free_some(FREE_BUDGET + (brought / BYTES_FREED_FOR) as usize);
        if !self.may_expire_keys(out) {
            return !freed;
        }
        self.keyspace.want_notes(wanted_notes(&view.config));
        self.keyspace.expire_some(view.now.wall, EXPIRE_BUDGET);
        self.settle_notes(view, out);
        !freed || self.keyspace.next_expiry().is_some_and(|at| at <= view.now.wall)
    }

    /// What the keyspace did by itself since the last command is told, to replicas and as events.
    pub fn settle_notes(&mut self, view: &View, out: &mut Effects) {
        let notes = self.keyspace.take_notes();
        self.stream.feed_expired(&notes);
        let (events, limit) = (view.config.notify_keyspace_events, view.config.client_output_buffer_limit.pubsub.hard);
        let mut others = Others::new(&mut out.io.sessions, None, limit);
        notify::publish_notes(events, &notes, &mut out.clients.publishing.pubsub, &mut others);
        let overrun = others.overrun;
        out.close_overrun(&overrun, &self.stream);
    }
}

#[cfg(test)]
mod tests {
    use crate::keyspace::{Expiry, key_slot};
    use crate::node::net::Net;

    #[test]
    fn an_idle_node_wakes_for_keys_that_expire() {
        let mut net = Net::of(1);
        let node = &mut net.nodes[0];
        let now = node.view.now;
        node.dataset.keyspace.set_string(key_slot(b"k"), b"k", b"v", Expiry::At(now.wall + 1234), now.wall);
        let due = now.mono + 1235;
        let wakes = node.dataset.next_expiry(&node.view, &node.out).unwrap();
        assert!((due..due + 100).contains(&wakes), "{wakes}, {due}");
        node.view.config.set(&[("notify-keyspace-events", "Ex")]).unwrap();
        assert_eq!(node.dataset.next_expiry(&node.view, &node.out), Some(due));
    }

    /// To find it expired is no reason to change it while nothing may change: what is sent to replicas stands still.
    #[test]
    fn in_a_pause_no_key_goes_because_it_is_read() {
        let mut net = Net::with_members(1);
        for line in ["SET a 1 PX 20", "SET b 1 PX 20"] {
            assert_eq!(net.ask(0, line), "+OK\r\n", "{line}");
        }
        // What is left of the transaction writes in the pause.
        let pausing = net.ask(0, "MULTI\r\nCLIENT PAUSE 100000 WRITE\r\nSET c{b} 1 PX 20\r\nEXEC");
        assert!(pausing.ends_with("*2\r\n+OK\r\n+OK\r\n"), "{pausing}");
        let until = net.clock(0).mono + 50;
        net.until("the end of their lives", |net| net.clock(0).mono > until);
        for line in ["GET a", "GET b", "GETRANGE a 0 1 ", "EXISTS a", "TOUCH a", "TTL a"] {
            assert!(["$-1\r\n", "$0\r\n\r\n", ":0\r\n", ":-2\r\n"].contains(&net.ask(0, line.trim()).as_str()), "{line}");
        }
        assert_eq!((net.info(0, "expired_keys"), net.nodes[0].dataset.keyspace.len()), (0, 3));
        assert_eq!(net.ask(0, "CLIENT UNPAUSE"), "+OK\r\n");
        assert_eq!(net.ask(0, "GET a"), "$-1\r\n");
        net.until("them to be gone", |net| net.nodes[0].dataset.keyspace.is_empty());
        assert_eq!(net.info(0, "expired_keys"), 3);
    }

    #[test]
    fn what_is_overwritten_is_freed_as_fast_as_it_comes() {
        const LENGTH: usize = 3 << 19;
        let (mut net, value) = (Net::of(1), vec![b'x'; LENGTH]);
        let node = &mut net.nodes[0];
        for _ in 0..20 {
            for key in 0..20u8 {
                node.dataset.keyspace.set_string(key_slot(&[key]), &[key], &value, Expiry::Never, 0);
                node.out.server.stats.input.add(LENGTH as u64, false, 0);
            }
            node.dataset.tend_keys(&node.view, &mut node.out);
        }
        let left = (0..).take_while(|_| node.dataset.tend_keys(&node.view, &mut node.out)).count();
        assert!(left < 10, "{left} turns");
    }
}
