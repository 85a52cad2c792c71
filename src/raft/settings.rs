//! The timing and sizes that a node is run with.
//!
//! Owns: what follows from the settings. Must not: read any configuration. Contract: docs/protocol.md, "Elections, leases, and who may
//! write".

use crate::types::Millis;

/// What the configuration says to Raft.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// E: elections start after [E, 2E) without a leader.
    pub election_timeout: Millis,
    /// W: the write lease that this node grants as a leader; it goes into its NOOP.
    pub lease: Millis,
    /// When a silent node is taken for failed.
    pub node_timeout: Millis,
    /// How many voters the leader works toward.
    pub voters: usize,
}

/// What a peer needs heartbeats for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Class {
    pub(super) voter: bool,
    pub(super) slot_owner: bool,
}

impl Settings {
    /// The time between two heartbeats: voters E/10, slot owners W/20, others node-timeout/10 but at least one a second.
    pub(super) fn beat(&self, class: Class, lease: Millis) -> Millis {
        let mut beat = (self.node_timeout / 10).min(1000);
        if class.voter {
            beat = beat.min(self.election_timeout / 10);
        }
        if class.slot_owner {
            beat = beat.min(lease / 20);
        }
        beat.max(1)
    }

    /// Who has not answered a round of so long ago is not counted on: E, or three heartbeats of the rarest kind.
    pub(super) fn answer_span(&self) -> Millis {
        self.election_timeout.max(3 * self.beat(Class { voter: false, slot_owner: false }, 0))
    }

    /// For how long one round number is sent: short against every timer that counts rounds, long enough to remember E worth of them.
    pub(super) fn round_spacing(&self) -> Millis {
        (self.election_timeout / 100).clamp(1, 10)
    }
}

/// 0.98 times a lease: for so long a primary serves under it.
pub(super) fn usable(lease: Millis) -> Millis {
    lease - lease.div_ceil(50)
}

/// 1.02 times a lease: what a leader waits for, so that clocks may run apart by 2 % on either side.
pub(super) fn outlast(lease: Millis) -> Millis {
    lease + lease.div_ceil(50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_by_class() {
        let settings = Settings { election_timeout: 1000, lease: 5000, node_timeout: 15000, voters: 5 };
        let beat = |voter, slot_owner| settings.beat(Class { voter, slot_owner }, 1000);
        assert_eq!((beat(true, false), beat(true, true), beat(false, true), beat(false, false)), (100, 50, 50, 1000));
        assert_eq!((usable(5000), outlast(5000)), (4900, 5100));
        assert_eq!((usable(1), outlast(1)), (0, 2));
    }
}
