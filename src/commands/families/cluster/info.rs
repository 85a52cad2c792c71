//! CLUSTER INFO: Redis' fields, then `cluster_raft_*` and `cluster_lease_*`.
//!
//! Owns: the text. Must not: count anything itself. Lines end in CRLF, which clients split on. Contract: docs/protocol.md for what the
//! numbers mean.

use crate::cluster::view;
use crate::commands::engine::{Cluster, Context, Flow};
use crate::session::BusStats;
use crate::types::Millis;
use crate::wire::Args;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

pub(super) fn info(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let mut text = Text(String::new());
    slots_and_nodes(&ctx.cluster, &mut text);
    messages(ctx.cluster.stats, &mut text);
    raft(&ctx.cluster, &mut text);
    lease(&ctx.cluster, ctx.now.mono, &mut text);
    work(&ctx.cluster, ctx.now.mono, &mut text);
    ctx.reply.verbatim("txt", text.0.as_bytes());
    Flow::Done
}

struct Text(String);

impl Text {
    fn line(&mut self, name: &str, value: impl Display) {
        // Writing to a String never fails.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}

fn slots_and_nodes(cluster: &Cluster<'_>, text: &mut Text) {
    let state = cluster.state;
    let counts = view::counts(state, cluster.missed);
    text.line("cluster_state", if cluster.serves() { "ok" } else { "fail" });
    text.line("cluster_slots_assigned", counts.assigned);
    text.line("cluster_slots_ok", counts.assigned - counts.failed - counts.missed);
    text.line("cluster_slots_pfail", counts.missed);
    text.line("cluster_slots_fail", counts.failed);
    // redis-cli takes exactly one known node for "not in a cluster yet".
    text.line("cluster_known_nodes", (state.member_count() + cluster.outsiders.len()).max(1));
    text.line("cluster_size", counts.owners);
    text.line("cluster_current_epoch", state.max_epoch());
    text.line("cluster_my_epoch", state.epoch_of(&cluster.me).unwrap_or(0));
}

fn messages(stats: &BusStats, text: &mut Text) {
    let mut direction = |counts: &BTreeMap<&'static str, u64>, suffix: &str| {
        for (name, count) in counts.iter().filter(|(_, count)| **count > 0) {
            text.line(&format!("cluster_stats_messages_{name}_{suffix}"), count);
        }
        text.line(&format!("cluster_stats_messages_{suffix}"), counts.values().sum::<u64>());
    };
    direction(&stats.sent, "sent");
    direction(&stats.received, "received");
    text.line("cluster_stats_bytes_sent", stats.bytes_sent);
    text.line("cluster_stats_bytes_received", stats.bytes_received);
    text.line("cluster_stats_messages_foreign_dropped", stats.foreign);
    text.line("cluster_stats_links_turned_away", stats.turned_away);
    text.line("cluster_stats_messages_publish_dropped", stats.publish_dropped);
    text.line("cluster_stats_duplicate_ids_seen", stats.duplicates);
    text.line("total_cluster_links_buffer_limit_exceeded", stats.buffer_limit_exceeded);
}

fn raft(cluster: &Cluster<'_>, text: &mut Text) {
    let (raft, state) = (cluster.raft, cluster.state);
    let (log, voters) = (raft.log(), raft.voters());
    match cluster.joining {
        true => text.line("cluster_raft_role", "joiner"),
        false => text.line("cluster_raft_role", raft.role()),
    }
    text.line("cluster_raft_current_term", raft.term());
    match raft.leader() {
        Some(leader) => text.line("cluster_raft_leader", leader),
        None => text.line("cluster_raft_leader", "-"),
    }
    text.line("cluster_raft_commit_index", raft.commit_index());
    text.line("cluster_raft_last_applied", state.last_applied());
    text.line("cluster_raft_last_index", log.last_index());
    text.line("cluster_raft_first_index", log.first_index());
    text.line("cluster_raft_snapshot_index", log.snapshot_index());
    text.line("cluster_raft_snapshot_term", log.snapshot_term());
    text.line("cluster_raft_election_timeout_ms", raft.election_timeout());
    text.line("cluster_raft_voters", voters.len());
    text.line("cluster_raft_learners", state.members().filter(|member| !voters.contains(&member.id)).count());
    text.line("cluster_raft_log_entries", log.len());
    text.line("cluster_raft_cluster_id", state.cluster_id());
    text.line("cluster_raft_recoveries", state.ancestors().len());
    text.line("cluster_raft_state_hash", format_args!("{:016x}", state.hash()));
    let ids: Vec<String> = voters.iter().map(|id| id.to_string()).collect();
    text.line("cluster_raft_voter_ids", ids.join(","));
}

fn lease(cluster: &Cluster<'_>, now: Millis, text: &mut Text) {
    match cluster.raft.lease_end() {
        Millis::MAX => text.line("cluster_lease_remaining_ms", -1),
        end => text.line("cluster_lease_remaining_ms", end.saturating_sub(now)),
    }
    text.line("cluster_lease_lapses", cluster.lease_lapses);
    text.line("cluster_lease_withheld", u8::from(cluster.lease_withheld));
    text.line("cluster_clocks_off", cluster.raft.clocks_off());
}

fn work(cluster: &Cluster<'_>, now: Millis, text: &mut Text) {
    let (stats, store) = (cluster.stats, cluster.store);
    match cluster.last_contact {
        Some(at) => text.line("cluster_raft_last_contact_ms", now.saturating_sub(at)),
        None => text.line("cluster_raft_last_contact_ms", -1),
    }
    text.line("cluster_raft_proposals_pending", cluster.proposals_pending);
    text.line("cluster_raft_snapshots_sent", stats.snapshots_sent);
    text.line("cluster_raft_snapshots_installed", stats.snapshots_installed);
    text.line("cluster_raft_appends", store.appends);
    text.line("cluster_raft_rewrites", store.rewrites);
    text.line("cluster_raft_fsyncs", store.syncs.count());
    text.line("cluster_raft_fsync_p99_us", store.syncs.p99_us());
}
