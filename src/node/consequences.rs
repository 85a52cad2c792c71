//! What the parts of a node do to each other: changes of the cluster become those of its keys and its clients.
//!
//! Owns: the order in which consequences are drawn. Must not: have work of its own; each is a small call into the part that does it.
//! Contract: docs/protocol.md, "What is replicated".

use crate::node::Node;
use crate::node::dataset::Dataset;
use crate::node::metadata::Metadata;
use crate::node::view::{Consequence, Effects, Held, View};
use crate::store::Disk;
use crate::types::{Extent, NodeId};

impl<D: Disk> Node<D> {
    /// Lets the metadata work, and draws what follows for the other parts.
    pub(in crate::node) fn with_metadata<R>(&mut self, work: impl FnOnce(&mut Metadata, &View, &mut Effects) -> R) -> R {
        self.look_at_keys();
        let result = work(&mut self.metadata, &self.view, &mut self.out);
        self.settle();
        result
    }

    /// Lets what looks after the keys work, likewise.
    pub(in crate::node) fn with_dataset<R>(&mut self, work: impl FnOnce(&mut Dataset, &mut Metadata, &View, &mut Effects) -> R) -> R {
        self.look_at_keys();
        let result = work(&mut self.dataset, &mut self.metadata, &self.view, &mut self.out);
        self.settle();
        result
    }

    /// What a part has left to do for the others: connections that it gave up, and what follows for them. Asked some forty times a turn,
    /// almost always in vain.
    #[inline]
    pub(in crate::node) fn settle(&mut self) {
        while !self.out.gone.is_empty() || !self.out.consequences.is_empty() {
            self.settle_next();
        }
    }

    #[cold]
    fn settle_next(&mut self) {
        for (conn, session) in std::mem::take(&mut self.out.gone) {
            self.session_ended(conn, session);
        }
        for consequence in std::mem::take(&mut self.out.consequences) {
            self.draw(consequence);
        }
    }

    /// Before the metadata is asked anything: what this node holds may have changed with every command, and with the last frame of its
    /// primary's stream.
    fn look_at_keys(&mut self) {
        self.view.held = Held {
            primary: self.dataset.role.primary(),
            extent: self.dataset.extent(),
            lacks_keys: self.dataset.role.lacks_keys(),
            goes: self.view.is_at_its_end() && !self.dataset.owes_final_offset(&self.metadata),
            is_awaited: self.dataset.role.is_awaited(),
            asks: self.dataset.takeover.asks(),
        };
    }

    /// What AE_ACK says of this node's keys, by how they are now.
    pub(in crate::node) fn promised_extent(&mut self) -> Extent {
        self.look_at_keys();
        self.metadata.promised_extent(&self.view)
    }

    fn draw(&mut self, consequence: Consequence) {
        match consequence {
            Consequence::SlotsOfOthers { index, ranges } => {
                self.with_dataset(|dataset, metadata, _, _| dataset.part_with(index, &ranges, metadata))
            }
            Consequence::TakesOver { primary, kind } => {
                self.with_dataset(|dataset, _, view, out| dataset.succeed(primary, kind, view, out))
            }
            Consequence::HandedOver { successor, kind } => {
                self.with_dataset(|dataset, _, _, out| dataset.handed_over(successor, kind, out))
            }
            Consequence::AnotherCluster => {
                self.out.server.config_epoch_given = false;
                self.part_from_primary();
                self.with_dataset(|dataset, _, _, out| dataset.part_from_replicas(out));
                self.with_dataset(|dataset, _, _, _| dataset.role.end_reign());
                self.with_dataset(|dataset, _, _, _| dataset.doubt_owners());
            }
            Consequence::Members => self.out.refresh_audience(&self.metadata),
            // Before anybody is served: its own changes are the stream from now on.
            Consequence::CaughtUp => {
                self.review_primary();
                self.with_dataset(|dataset, metadata, _, out| dataset.refresh_leaving(metadata, out));
                self.out.release_writes();
            }
            Consequence::SaveEnded { is_good } => self.saved_at_end(is_good),
            Consequence::ClaimsSettled => self.with_dataset(|dataset, metadata, _, _| dataset.drop_foreign_keys(metadata)),
        }
    }

    /// Step 3 of before-sleep: applies what is committed.
    pub(in crate::node) fn apply_committed(&mut self) {
        let before = self.metadata.state.last_applied();
        while self.with_metadata(Metadata::apply_next) {}
        self.with_metadata(|metadata, _, out| metadata.review_incarnation(out));
        self.metadata.raft.applied(self.metadata.state.last_applied());
        self.with_dataset(|dataset, _, _, _| dataset.tell_dropped());
        if self.metadata.state.last_applied() > before {
            self.with_dataset(|dataset, metadata, _, out| dataset.refresh_leaving(metadata, out));
        }
    }

    /// Step 9 of before-sleep: what applied entries mean for this node.
    pub(in crate::node) fn draw_consequences(&mut self) {
        if !std::mem::take(&mut self.out.todo.consequences) {
            return;
        }
        let changed = std::mem::take(&mut self.metadata.changed);
        if changed.members {
            self.with_metadata(Metadata::refresh_members);
            self.with_metadata(Metadata::announce_address);
        }
        if changed.members || changed.owners {
            self.with_metadata(Metadata::refresh_owners);
            self.out.end_foreign_subscriptions(&self.metadata);
        }
        self.review_primary();
        if changed.state {
            self.with_dataset(|dataset, metadata, _, _| dataset.drop_foreign_keys(metadata));
        }
        self.metadata.raft.set_max_lease(self.metadata.state.max_lease());
        if self.metadata.state.member(&self.metadata.me).is_some() {
            self.with_metadata(|metadata, _, out| metadata.joined(out));
            self.with_metadata(Metadata::make_claims);
        }
        self.with_metadata(|metadata, _, out| metadata.review_proposals(out));
        self.with_metadata(Metadata::review_requests);
        self.with_metadata(Metadata::continue_reset);
    }

    /// This node is another one from now on, or in another cluster: whoever was its primary may be so no more, and is asked again.
    pub(in crate::node) fn part_from_primary(&mut self) {
        if let Some(conn) = self.dataset.replica_link.conn() {
            self.close(conn);
        }
    }

    /// The state may name another primary by now, or none.
    pub(in crate::node) fn review_primary(&mut self) {
        if self.dataset.has_another_primary(&self.metadata) {
            // What has come from the former primary is run before that.
            self.part_from_primary();
            self.with_dataset(|dataset, metadata, view, out| dataset.change_primary(metadata, view, out));
        }
    }

    /// A node greets: if it is the primary, it need not be waited for any longer.
    pub(in crate::node) fn primary_greets(&mut self, id: &NodeId) {
        if self.dataset.role.primary() != Some(*id) {
            return;
        }
        if let Some(conn) = self.dataset.stale_dial(&self.view, &self.out) {
            self.close(conn);
        }
        self.dataset.dial_at_once(&self.view, &mut self.out);
    }
}
