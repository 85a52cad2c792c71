//! What an operator asks of the leader, who turns it into entries of its own: they carry no id \[N16 voting-entries\], so the request must
//! say itself what it means.
//!
//! Owns: [`LeaderRequest`], and what a state says to it. Must not: change anything. Contract: docs/protocol.md, "At most once".

use super::outcome::Reason;
use super::state::State;
use crate::types::NodeId;

/// What is to become of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaderRequestKind {
    /// `ADDVOTER`.
    AddVoter,
    /// `DELVOTER`.
    DelVoter,
    /// `FORGET`.
    Forget,
    /// `HANDOVER`: the best of its replicas takes over from it.
    HandOver,
}

impl LeaderRequestKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::AddVoter, Self::DelVoter, Self::Forget, Self::HandOver];

    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddVoter => "ADDVOTER",
            Self::DelVoter => "DELVOTER",
            Self::Forget => "FORGET",
            Self::HandOver => "HANDOVER",
        }
    }
}

/// A request about a member as its asker knows it. Who has left and joined again meanwhile has another join nonce, and is not meant
/// \[N37 join-nonce\].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderRequest {
    /// What.
    pub kind: LeaderRequestKind,
    /// Of whom.
    pub id: NodeId,
    /// The member's join nonce; none for a founder.
    pub join_nonce: Option<u64>,
}

impl LeaderRequest {
    /// A request about the member that this state knows by `id`.
    pub fn new(kind: LeaderRequestKind, id: NodeId, state: &State) -> Self {
        Self { kind, id, join_nonce: state.member(&id).and_then(|member| member.address.join_nonce()) }
    }

    /// Whether the member that is meant is there; not if it is another one under the same id.
    pub fn is_about_a_member(self, state: &State) -> bool {
        state.member(&self.id).is_some_and(|member| member.address.join_nonce() == self.join_nonce)
    }

    /// Whether nothing is left to be done.
    pub fn is_granted(self, state: &State) -> bool {
        let is_member = self.is_about_a_member(state);
        match self.kind {
            LeaderRequestKind::AddVoter => is_member && state.voters().contains(&self.id),
            LeaderRequestKind::DelVoter => !is_member && state.member(&self.id).is_some() || !state.voters().contains(&self.id),
            LeaderRequestKind::Forget => !is_member,
            LeaderRequestKind::HandOver => !is_member || state.slot_count_of(&self.id) == 0,
        }
    }

    /// Why it cannot be granted, as far as this state shows.
    pub fn refused_by(self, state: &State) -> Option<Reason> {
        match self.kind {
            LeaderRequestKind::AddVoter => (!self.is_about_a_member(state)).then_some(Reason::UnknownNode),
            LeaderRequestKind::DelVoter => state.member(&self.id).is_none().then_some(Reason::UnknownNode),
            LeaderRequestKind::Forget if state.slot_count_of(&self.id) > 0 => Some(Reason::OwnsSlots),
            LeaderRequestKind::Forget => (!state.replicas_of(&self.id).is_empty()).then_some(Reason::HasReplicas),
            LeaderRequestKind::HandOver => state.willing_replicas(&self.id).next().is_none().then_some(Reason::NoSuccessor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::Change;
    use super::super::scene::{Scene, id, join};
    use super::*;
    use crate::cluster::change::{NodeFail, NodeJoin};

    #[test]
    fn who_hands_over_needs_somebody_to_take_it() {
        let mut scene = Scene::of(3);
        let request = LeaderRequest::new(LeaderRequestKind::HandOver, id(0), &scene.state);
        assert_eq!((request.is_granted(&scene.state), request.refused_by(&scene.state)), (false, Some(Reason::NoSuccessor)));
        scene.do_(&scene.replica_of(2, 0));
        assert_eq!((request.is_granted(&scene.state), request.refused_by(&scene.state)), (false, None));
        scene.do_(&Change::NodeFail(NodeFail { id: id(2) }));
        assert_eq!(request.refused_by(&scene.state), None, "the leader knows whether it is coming back");
        assert!(
            LeaderRequest::new(LeaderRequestKind::HandOver, id(2), &scene.state).is_granted(&scene.state),
            "who has no slots has nothing to give"
        );
    }

    #[test]
    fn a_request_is_about_one_life_of_a_member() {
        let mut scene = Scene::of(3);
        let forget = LeaderRequest::new(LeaderRequestKind::Forget, id(2), &scene.state);
        assert!(forget.is_about_a_member(&scene.state) && !forget.is_granted(&scene.state));
        scene.do_(&scene.forget(2));
        assert!(forget.is_granted(&scene.state));
        let mut again = join(2, false);
        if let Change::NodeJoin(NodeJoin { address, .. }) = &mut again {
            address.set_join_nonce(Some(7));
        }
        scene.do_(&again);
        assert!(!forget.is_about_a_member(&scene.state));
        for kind in [LeaderRequestKind::DelVoter, LeaderRequestKind::Forget] {
            assert!(LeaderRequest { kind, ..forget }.is_granted(&scene.state), "{kind:?} of an earlier life is nobody's business");
        }
        let add = LeaderRequest { kind: LeaderRequestKind::AddVoter, ..forget };
        assert_eq!((add.is_granted(&scene.state), add.refused_by(&scene.state)), (false, Some(Reason::UnknownNode)));
        let anew = LeaderRequest::new(LeaderRequestKind::Forget, id(2), &scene.state);
        assert!(anew.is_about_a_member(&scene.state) && !anew.is_granted(&scene.state));
    }
}
