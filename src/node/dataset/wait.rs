//! WAIT: clients that wait until replicas have acknowledged what they wrote.
//!
//! Owns: who waits for how many, and asking replicas how far they are. Must not: read acknowledgements (commands does).
//! Contract: docs/protocol.md, "Replication".

use crate::commands::WaitOutcome;
use crate::node::dataset::Dataset;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Extent, Millis};

const DEPOSED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// A client that waits for replicas.
pub(in crate::node) struct AckWait {
    pub client: ConnId,
    /// They are to have run the stream up to here; of another reign's end nothing is known.
    pub written: Extent,
    /// So many of them.
    pub count: u64,
    /// Or else it hears then how many there are (mono ms).
    pub until: Option<Millis>,
    /// Replicas were asked on its behalf.
    pub asked: bool,
}

impl Dataset {
    /// The client hears of it with the next step 10 that finds enough replicas.
    pub fn await_acks(&mut self, wait: AckWait, out: &mut Effects) {
        if let Some(until) = wait.until {
            out.timers.at_most(Timer::Acks, until);
        }
        self.feeding.waits.push(wait);
    }

    /// Before step 10 of before-sleep: who has waited for enough replicas, or long enough.
    pub fn count_acks(&mut self, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        let due = out.timers.take_due(Timer::Acks, now);
        if self.feeding.waits.is_empty() {
            return;
        }
        let acked: Vec<u64> = self.online_replicas(out).map(|replica| replica.acked).collect();
        let (replicates, reign) = (self.role.is_replica(), self.role.reign());
        let mut waits = std::mem::take(&mut self.feeding.waits);
        waits.retain_mut(|wait| {
            let deposed = replicates || (wait.written.offset > 0 && wait.written.reign != reign);
            let count = acked.iter().filter(|acked| **acked >= wait.written.offset).count() as u64;
            let over = count >= wait.count || wait.until.is_some_and(|until| until <= now);
            match (deposed, over) {
                (true, _) => out.clients.waiting.finish(wait.client, WaitOutcome::Failed(DEPOSED.to_owned())),
                (false, true) => out.clients.waiting.finish(wait.client, WaitOutcome::Replicas(count)),
                (false, false) => self.feeding.asks_acks |= !std::mem::replace(&mut wait.asked, true),
            }
            !deposed && !over && out.io.sessions.get(wait.client).is_some()
        });
        if due && let Some(until) = waits.iter().filter_map(|wait| wait.until).min() {
            out.timers.set(Timer::Acks, until);
        }
        self.feeding.waits = waits;
    }

    /// Replicas say by themselves how far they are, but only once a second.
    pub fn ask_for_acks(&mut self) {
        if std::mem::take(&mut self.feeding.asks_acks) {
            self.feed_words(&[b"REPLCONF", b"GETACK", b"*"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::FailoverKind;
    use crate::node::Port;
    use crate::node::net::Net;

    const P: usize = 0;
    const R: usize = 1;
    const LEADER: usize = 2;

    #[test]
    fn a_write_of_an_earlier_reign_is_not_counted_in_a_later_one() {
        let mut net = Net::with_a_leading_replica();
        for replica in [R, LEADER] {
            net.hold(P, replica, Port::Client);
        }
        let client = net.say(P, "SET lost 1");
        net.until("the write", |net| net.nodes[P].dataset.keyspace.len() == 51);
        net.fail_over(R, P, FailoverKind::Force);
        for replica in [R, LEADER] {
            net.release(P, replica, Port::Client);
        }
        net.all_equal(R);
        net.fail_over(P, R, FailoverKind::Manual);
        net.all_equal(P);
        for number in 0..10 {
            assert_eq!(net.ask(P, &format!("SET more:{number} 1")), "+OK\r\n");
        }
        net.all_equal(P);
        net.give(P, client, b"WAIT 1 200\r\nGET lost\r\n");
        net.until("both answers", |net| net.nodes[P].out.io.sessions.get(client).is_some_and(|session| session.transmit.len() > 9));
        assert_eq!(net.answer(P, client).as_deref(), Some("+OK\r\n:0\r\n$-1\r\n"));
        net.give(P, client, b"SET kept 1\r\nWAIT 2 2000\r\n");
        net.until("two replicas", |net| net.nodes[P].out.io.sessions.get(client).is_some_and(|session| session.transmit.len() > 22));
        assert_eq!(net.answer(P, client).as_deref(), Some("+OK\r\n:0\r\n$-1\r\n+OK\r\n:2\r\n"));
    }
}
