//! Every frame that a node can make. Strategies are boxed where they nest: a test's stack is small.

use super::super::*;
use crate::cluster::LeaderRequestKind;
use crate::raft::message::{Append, AppendAck, InstallSnapshot, Vote, VoteRequest};
use crate::raft::{Body, Entry, Origin, Payload, ProposalId, Token};
use crate::types::numbers::LEASE;
use crate::types::{Extent, Millis};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::from_bytes)
}

/// Terms, indices, rounds: what every field takes. How far each goes is walked in `replication::numbers`.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..100, 0..=LEASE.greatest, Just(LEASE.greatest)]
}

fn address() -> BoxedStrategy<Address> {
    let text = "[A-Za-z0-9._:-]{0,12}";
    let keys = btree_map("[a-z-]{1,12}", text, 0..4);
    (text, any::<u16>(), any::<u16>(), text, keys)
        .prop_map(|(ip, port, bus_port, hostname, keys)| Address { ip, port, bus_port, hostname, keys })
        .boxed()
}

fn origin() -> impl Strategy<Value = Origin> {
    (id(), number(), number(), any::<u64>())
        .prop_map(|(proposer, incarnation, n, lowest)| Origin { id: ProposalId { proposer, incarnation, n }, lowest: lowest % (n + 1) })
}

fn entry() -> BoxedStrategy<ClusterEntry> {
    let body = prop_oneof![
        1 => number().prop_map(|lease: Millis| Body::Noop { lease }),
        1 => btree_set(id(), 1..=2).prop_map(|ids| Body::AddVoter { ids: ids.into_iter().collect() }),
        1 => (id(), any::<bool>()).prop_map(|(id, by_hand)| Body::DelVoter { id, by_hand }),
        8 => Change::samples().prop_map(Body::App),
    ];
    (number(), option::of(origin()), body)
        .prop_map(|(term, origin, body)| {
            // Only a change of somebody's own making has an origin.
            let proposable = matches!(&body, Body::App(change) if change.founding_voter().is_none());
            Entry { term, origin: origin.filter(|_| proposable), body }
        })
        .boxed()
}

fn token() -> impl Strategy<Value = Token> {
    option::of((1..=u64::MAX, number())).prop_map(|token| token.map_or(Token::default(), |(nonce, clock)| Token { nonce, clock }))
}

fn append() -> BoxedStrategy<Append<Change>> {
    let heads = (id(), number(), number(), number());
    (heads, number(), number(), number(), token(), number(), vec(entry(), 0..6))
        .prop_map(|((leader, term, prev_index, prev_term), quorum, commit, round, token, lease, entries)| Append {
            leader,
            term,
            prev_index,
            prev_term,
            quorum,
            commit,
            round,
            token,
            lease,
            entries,
        })
        .boxed()
}

fn extent() -> impl Strategy<Value = Extent> {
    (number(), number()).prop_map(|(reign, offset)| Extent { reign, offset })
}

fn append_ack() -> impl Strategy<Value = AppendAck> {
    (number(), any::<bool>(), number(), number(), number(), extent(), token())
        .prop_map(|(term, ok, index, last_index, round, extent, token)| AppendAck { term, ok, index, last_index, round, extent, token })
}

fn vote_request() -> impl Strategy<Value = VoteRequest> {
    (any::<bool>(), id(), number(), number(), number(), number(), any::<bool>()).prop_map(
        |(pre, candidate, term, last_index, last_term, round, transfer)| VoteRequest {
            pre,
            candidate,
            term,
            last_index,
            last_term,
            round,
            transfer,
        },
    )
}

fn snapshot() -> impl Strategy<Value = InstallSnapshot> {
    (id(), number(), number(), number(), number(), any::<Vec<u8>>()).prop_map(|(leader, term, last_index, last_term, round, bytes)| {
        InstallSnapshot { leader, term, last_index, last_term, round, bytes }
    })
}

fn message() -> BoxedStrategy<Message<Change>> {
    prop_oneof![
        append().prop_map(Message::Append),
        append_ack().prop_map(Message::AppendAck),
        vote_request().prop_map(Message::VoteRequest),
        (any::<bool>(), number(), any::<bool>(), number(), vec((id(), number()), 0..4))
            .prop_map(|(pre, term, granted, round, ages)| Message::Vote(Vote { pre, term, granted, round, ages })),
        snapshot().prop_map(Message::InstallSnapshot),
        number().prop_map(|term| Message::TimeoutNow { term }),
    ]
    .boxed()
}

fn reason() -> impl Strategy<Value = RejectReason> {
    prop_oneof![
        Just(RejectReason::Conflict),
        option::of(prop::sample::select(Reason::ALL)).prop_map(RejectReason::Rejected),
        Just(RejectReason::NotLeader),
        Just(RejectReason::Busy),
    ]
}

fn greeting() -> BoxedStrategy<Greeting> {
    (id(), address(), any::<[u8; 20]>(), any::<u32>())
        .prop_map(|(id, address, cluster, version)| Greeting {
            id,
            address,
            cluster: ClusterId::from_bytes(cluster),
            version,
            join_nonce: version.is_multiple_of(2).then_some(u64::from(version)),
            ancestors: (0..version % 4).map(|n| ClusterId::from_bytes([n as u8; 20])).collect(),
            process: version.is_multiple_of(3).then_some(u64::from(version) + 1),
        })
        .boxed()
}

fn leader_request() -> impl Strategy<Value = LeaderRequest> {
    (prop::sample::select(LeaderRequestKind::ALL.to_vec()), id(), option::of(number())).prop_map(|(kind, id, join_nonce)| LeaderRequest {
        kind,
        id,
        join_nonce,
    })
}

fn finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        option::of((1..=u64::MAX, number(), any::<bool>()).prop_map(|(process, age, of_stream)| Ended { process, age, of_stream }))
            .prop_map(Finding::Dead),
        Just(Finding::Alive),
        Just(Finding::Unknown)
    ]
}

fn about_failovers() -> BoxedStrategy<Frame> {
    prop_oneof![
        (id(), number()).prop_map(|(id, number)| Frame::Probe { id, number }),
        (id(), number(), finding()).prop_map(|(id, number, finding)| Frame::Probed { id, number, finding }),
        Just(Frame::Closing),
        (number(), number()).prop_map(|(pause, number)| Frame::FailoverPrepare { pause, number }),
        (extent(), number()).prop_map(|(end, number)| Frame::FailoverOffset { end, number }),
        extent().prop_map(|has| Frame::FailoverDone { has }),
        vec((id(), number()), 0..6).prop_map(Frame::ReplOffsets),
        (any::<bool>(), number()).prop_map(|(slow, millionths)| Frame::ClockOff { slow, millionths }),
    ]
    .boxed()
}

pub(super) fn frame() -> impl Strategy<Value = Frame> {
    let meet_reason = "[ -~]{0,256}".prop_filter("a lone dash stands for none", |reason| reason != "-");
    prop_oneof![
        2 => greeting().prop_map(Frame::Hello),
        1 => greeting().prop_map(Frame::Hi),
        1 => any::<bool>().prop_map(|singleton| Frame::Meet { singleton }),
        1 => prop_oneof![Just(Frame::AddMe { join_nonce: None }), Just(Frame::AddMe { join_nonce: Some(7) }), Just(Frame::Welcome), (number(), number(), option::of(number())).prop_map(|(last_term, last_index, join_nonce)| Frame::Forgotten { last_term, last_index, join_nonce })],
        1 => meet_reason.prop_map(|reason| Frame::MeetRejected { reason }),
        12 => message().prop_map(Frame::Raft),
        2 => entry().prop_map(Frame::Propose),
        2 => (reason(), entry()).prop_map(|(reason, entry)| Frame::Reject { reason, entry }),
        1 => leader_request().prop_map(Frame::LeaderRequest),
        1 => (reason(), leader_request()).prop_map(|(reason, request)| Frame::LeaderRequestRefused { reason, request }),
        1 => number().prop_map(|term| Frame::TransferLeader { term }),
        2 => about_failovers(),
        1 => (any::<bool>(), any::<Vec<u8>>(), any::<Vec<u8>>()).prop_map(|(sharded, channel, message)| Frame::Publish { sharded, channel, message }),
    ]
}
