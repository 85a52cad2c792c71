//! CLUSTER RAFT: looking into the consensus, and asking to lead it.
//!
//! Owns: the words after RAFT, and the log and the followers as replies. Must not: change anything. Contract: docs/operations.md, "Looking
//! inside".

use super::topology::write_pair;
use super::{help, transfer, wrong_arguments};
use crate::cluster::{ClusterEntry, format_body, view};
use crate::commands::engine::parse::{NOT_AN_INTEGER, integer, is};
use crate::commands::engine::{Context, Flow};
use crate::raft::Progress;
use crate::types::{LogIndex, NodeId};
use crate::wire::{Args, Reply};
use std::fmt::Write;

/// How many entries RAFT LOG shows if it is not told.
const SHOWN: usize = 10;
/// How many it shows at most: a log that cannot commit grows, and so would the reply.
const MAX_SHOWN: usize = 1000;

pub(super) fn raft(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match args.get(2) {
        word if is(word, "help") && args.len() == 3 => help::raft(ctx),
        word if is(word, "log") && args.len() <= 4 => log(ctx, args.nth(3)),
        word if is(word, "peers") && args.len() == 3 => peers(ctx),
        word if is(word, "transfer") && args.len() == 3 => transfer::transfer(ctx),
        _ => wrong_arguments(ctx, args.get(1)),
    }
}

fn log(ctx: &mut Context<'_>, count: Option<&[u8]>) -> Flow {
    let count = match count.map(integer) {
        None => SHOWN,
        Some(None) => return ctx.fail(NOT_AN_INTEGER),
        Some(Some(count)) => match usize::try_from(count) {
            Ok(count) => count.min(MAX_SHOWN),
            Err(_) => return ctx.fail("ERR value is out of range, must be positive"),
        },
    };
    let (raft, applied) = (ctx.cluster.raft, ctx.cluster.state.last_applied());
    let entries = raft.log().iter_from((raft.log().last_index() + 1).saturating_sub(count as LogIndex));
    ctx.reply.array(entries.len());
    for (index, entry) in entries {
        let line = line(index, standing(index, applied, raft.commit_index()), entry);
        ctx.reply.bulk(line.as_bytes());
    }
    Flow::Done
}

/// How far an entry has come.
fn standing(index: LogIndex, applied: LogIndex, commit: LogIndex) -> &'static str {
    if index <= applied {
        "applied"
    } else if index <= commit {
        "committed"
    } else {
        "appended"
    }
}

/// `index term standing id|- TYPE args`.
fn line(index: LogIndex, standing: &str, entry: &ClusterEntry) -> String {
    let mut line = format!("{index} {} {standing} ", entry.term);
    // Writing to a String never fails.
    let _ = match &entry.origin {
        Some(origin) => write!(line, "{origin} "),
        None => write!(line, "- "),
    };
    format_body(&entry.body, &mut line);
    line
}

fn peers(ctx: &mut Context<'_>) -> Flow {
    let raft = ctx.cluster.raft;
    if raft.is_leader() {
        ctx.reply.array(raft.followers().len());
        raft.followers().for_each(|(id, progress)| write_follower(ctx, id, progress));
        return Flow::Done;
    }
    // Who follows knows nothing of the others' logs, but whom it follows and since when it has heard nothing.
    ctx.reply.array(usize::from(raft.leader().is_some()));
    if let Some(leader) = raft.leader() {
        ctx.reply.map(6);
        write_node(ctx, &leader);
        write_pair(&mut ctx.reply, "state", "leader");
        let heard = ctx.cluster.last_contact.map(|at| ctx.now.mono.saturating_sub(at));
        write_number(&mut ctx.reply, "last-contact-ms", heard);
    }
    Flow::Done
}

fn write_follower(ctx: &mut Context<'_>, id: &NodeId, progress: &Progress) {
    ctx.reply.map(12);
    write_node(ctx, id);
    let (rate, faster) = ctx.cluster.raft.clock_rate(id);
    let answered = (progress.acked_round() > 0).then(|| ctx.now.mono.saturating_sub(progress.last_ack_sent_at()));
    let reply = &mut ctx.reply;
    write_pair(reply, "state", progress.flow_name());
    write_number(reply, "match", Some(progress.match_index()));
    write_number(reply, "next", Some(progress.next_index()));
    write_number(reply, "in-flight", Some(progress.in_flight() as u64));
    write_number(reply, "last-ack-ms", answered);
    write_number(reply, "linked", Some(u64::from(progress.is_linked())));
    write_pair(reply, "clock", rate.name());
    reply.bulk(b"clock-millionths");
    reply.int(faster.unwrap_or(0));
}

/// What every row says of its node, four pairs. Who is no member (yet, or any more) has no address.
fn write_node(ctx: &mut Context<'_>, id: &NodeId) {
    let member = ctx.cluster.state.member(id);
    let address = member.map_or("-".to_owned(), |member| view::Shown(&member.address).to_string());
    let role = if ctx.cluster.raft.is_voter(id) { "voter" } else { "learner" };
    write_pair(&mut ctx.reply, "node", &id.to_string());
    write_pair(&mut ctx.reply, "address", &address);
    write_pair(&mut ctx.reply, "role", role);
    write_number(&mut ctx.reply, "failed", Some(u64::from(member.is_some_and(|member| member.failed))));
}

/// A number; -1 for none.
fn write_number(reply: &mut Reply<'_>, key: &str, value: Option<u64>) {
    reply.bulk(key.as_bytes());
    reply.int(value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX)));
}

#[cfg(test)]
mod tests {
    use crate::cluster::Change;
    use crate::cluster::change::NodeFail;
    use crate::commands::tests::{Desk, ME, OTHER};
    use crate::raft::message::{Append, AppendAck};
    use crate::raft::{Durable, Message, Origin, ProposalId, Step, Token};
    use crate::types::{ConnId, Extent, NodeId};

    const VIA: ConnId = ConnId { place: 0, generation: 0 };
    const STRANGER: NodeId = NodeId::from_bytes([0xcc; 20]);

    /// Everything is on the leader's disk, and what may be committed is.
    fn persist(desk: &mut Desk) {
        let last_index = desk.raft.log().last_index();
        desk.raft.persisted(Durable { term: desk.raft.term(), voted_for: Some(ME), last_index });
        desk.raft.advance_commit(desk.now.mono);
    }

    fn hear(desk: &mut Desk, message: Message<Change>) {
        assert_eq!(desk.raft.step(VIA, OTHER, message, desk.now.mono), Ok(Step::Done));
    }

    fn append(desk: &mut Desk, n: u64) {
        let origin = Origin { id: ProposalId { proposer: OTHER, incarnation: 4, n }, lowest: 7 };
        desk.raft.append(Some(origin), Change::NodeFail(NodeFail { id: OTHER })).unwrap();
    }

    /// The lines of an array of bulk strings.
    fn lines(reply: &str) -> Vec<&str> {
        let lines: Vec<_> = reply.split_terminator("\r\n").collect();
        assert_eq!(lines[0], format!("*{}", lines.len() / 2));
        lines[1..].chunks(2).map(|pair| pair[1]).collect()
    }

    #[test]
    fn log_shows_the_last_entries_and_how_far_they_have_come() {
        let mut desk = Desk::new();
        append(&mut desk, 8);
        persist(&mut desk);
        append(&mut desk, 9);
        let reply = desk.ask("cluster raft log");
        let lines = lines(&reply);
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with(&format!("1 1 applied - NODE_JOIN {ME} 127.0.0.1:7001@17001,")), "{lines:?}");
        let rest = [
            "2 1 applied - NOOP 5000".to_owned(),
            format!("3 1 committed {OTHER}:4.8:7 NODE_FAIL {OTHER}"),
            format!("4 1 appended {OTHER}:4.9:7 NODE_FAIL {OTHER}"),
        ];
        assert_eq!(lines[1..], rest);
    }

    #[test]
    fn log_shows_as_many_as_asked_for_within_bounds() {
        let mut desk = Desk::new();
        (1..=1100).for_each(|n| append(&mut desk, n + 6));
        for (count, shown) in [("", 10), (" 0", 0), (" 1", 1), (" 25", 25), (" 1000", 1000), (" 9223372036854775807", 1000)] {
            let reply = desk.ask(&format!("cluster RAFT LOG{count}"));
            let lines = lines(&reply);
            assert_eq!(lines.len(), shown, "{count}");
            assert!(lines.last().is_none_or(|line| line.starts_with("1102 1 appended ")), "the last ones, oldest first");
        }
        desk.raft.persisted(Durable { term: 1, voted_for: Some(ME), last_index: 1102 });
        desk.raft.advance_commit(desk.now.mono);
        desk.raft.compact_to(1099);
        assert_eq!(lines(&desk.ask("cluster raft log")).len(), 3, "what a snapshot covers is gone");
    }

    #[test]
    fn other_words_are_refused() {
        let mut desk = Desk::new();
        let wrong = "-ERR unknown subcommand or wrong number of arguments for 'raft'. Try CLUSTER HELP.\r\n";
        for (line, error) in [
            ("log x", "-ERR value is not an integer or out of range\r\n"),
            ("log -1", "-ERR value is out of range, must be positive\r\n"),
            ("log 1 2", wrong),
            ("peers 1", wrong),
            ("what", wrong),
        ] {
            assert_eq!(desk.ask(&format!("cluster raft {line}")), error, "{line}");
        }
        assert_eq!(desk.ask("cluster raft"), "-ERR wrong number of arguments for 'cluster|raft' command\r\n");
    }

    /// The rows of RAFT PEERS, each as `key value key value ...`.
    fn rows(desk: &mut Desk) -> Vec<String> {
        let reply = desk.ask("cluster raft peers");
        let texts = reply.split_terminator("\r\n").filter(|line| !line.starts_with(['$', '*', '%']));
        texts.collect::<Vec<_>>().join(" ").split("node ").skip(1).map(|row| row.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_leader_shows_how_far_the_others_are() {
        let mut desk = Desk::new();
        desk.add_other();
        persist(&mut desk);
        assert_eq!(desk.ask("cluster raft peers"), "*0\r\n", "nobody else is there yet");
        desk.raft.set_members([ME, OTHER, STRANGER].into_iter(), desk.now.mono);
        let unknown = "failed :0 state probe match :0 next :3 in-flight :0 last-ack-ms :-1 linked :0 clock unknown clock-millionths :0";
        let other = format!("{OTHER} address 127.0.0.1:7002@17002 role learner");
        assert_eq!(rows(&mut desk), [format!("{other} {unknown}"), format!("{STRANGER} address - role learner {unknown}")]);
        desk.raft.link_up(OTHER);
        desk.raft.replicate(desk.now.mono, &mut || None);
        assert_eq!(
            rows(&mut desk)[0],
            format!(
                "{other} failed :0 state probe match :0 next :3 in-flight :1 last-ack-ms :-1 linked :1 clock unknown clock-millionths :0"
            )
        );
        desk.now.mono += 40;
        let ack = AppendAck { term: 1, ok: true, index: 2, last_index: 2, round: 1, extent: Extent::default(), token: Token::default() };
        hear(&mut desk, Message::AppendAck(ack));
        desk.apply(Change::NodeFail(NodeFail { id: OTHER }));
        assert_eq!(
            rows(&mut desk)[0],
            format!(
                "{other} failed :1 state pipeline match :2 next :3 in-flight :0 last-ack-ms :40 linked :1 clock unknown clock-millionths :0"
            )
        );
        desk.client.resp3 = true;
        assert!(desk.ask("cluster raft peers").starts_with("*2\r\n%12\r\n$4\r\nnode\r\n"));
    }

    #[test]
    fn who_follows_shows_the_leader() {
        let mut desk = Desk::new();
        desk.add_other();
        let append = Append {
            leader: OTHER,
            term: 2,
            prev_index: 0,
            prev_term: 0,
            quorum: 0,
            commit: 0,
            round: 1,
            token: Token::default(),
            lease: 0,
            entries: Vec::new(),
        };
        hear(&mut desk, Message::Append(append));
        desk.now.mono += 70;
        let expected = format!("{OTHER} address 127.0.0.1:7002@17002 role learner failed :0 state leader last-contact-ms :70");
        assert_eq!(rows(&mut desk), [expected]);
        desk.client.resp3 = true;
        assert!(desk.ask("cluster raft peers").starts_with("*1\r\n%6\r\n"));
    }
}
