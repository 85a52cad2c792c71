//! INFO: what monitoring and the cluster tools read.
//!
//! Owns: the sections and their text. Must not: count anything itself. Contract: docs/operations.md, "What to watch".
//!
//! Tools search the text with strstr: `cluster_enabled:` must stand nowhere before its section, and `db0:` nowhere while there is no key.

use super::call_stats;
use super::info_text::Text;
use crate::cluster::Address;
use crate::commands::engine::parse::is;
use crate::commands::engine::replicas::{Shown, replicas};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, UpstreamLink};
use crate::replication::{Backlog, History};
use crate::session::{Client, Held, PONTOON_VERSION, SERVER_NAME, Scope, seconds};
use crate::types::{REDIS_VERSION, ReplId};
use crate::wire::Args;

/// The family's commands.
pub const COMMANDS: &[Command] = &[Command::new(
    "info",
    -1,
    &[Flag::Loading, Flag::Stale],
    Group::SERVER,
    "1.0.0",
    "Returns information and statistics about the server.",
    info,
)
.tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
.categories(&["@dangerous"])];

/// One `# Title` of the text.
struct Section {
    title: &'static str,
    /// Part of INFO without arguments.
    default: bool,
    write: fn(&Context<'_>, &mut Text),
}

const SECTIONS: &[Section] = &[
    Section { title: "Server", default: true, write: server },
    Section { title: "Clients", default: true, write: clients },
    Section { title: "Memory", default: true, write: memory },
    Section { title: "Persistence", default: true, write: persistence },
    Section { title: "Stats", default: true, write: stats },
    Section { title: "Replication", default: true, write: replication },
    Section { title: "CPU", default: true, write: cpu },
    Section { title: "Modules", default: true, write: |_, _| {} },
    Section { title: "Commandstats", default: false, write: call_stats::commandstats },
    Section { title: "Errorstats", default: true, write: call_stats::errorstats },
    Section { title: "Latencystats", default: false, write: call_stats::latencystats },
    Section { title: "Cluster", default: true, write: cluster },
    Section { title: "Keyspace", default: true, write: keyspace },
];

fn cluster(ctx: &Context<'_>, text: &mut Text) {
    text.line("cluster_enabled", 1);
    text.line("cluster_clocks_off", ctx.cluster.raft.clocks_off());
    text.line("cluster_lease_withheld", u8::from(ctx.cluster.lease_withheld));
}

fn info(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let asked = |section: &Section| {
        let names = || args.skip(1).iter();
        let named = |word: &str| names().any(|name| is(name, word));
        named(section.title) || named("all") || named("everything") || section.default && (args.len() == 1 || named("default"))
    };
    ctx.server.peak_memory = ctx.server.peak_memory.max(Used::by(ctx).all());
    let mut text = Text::default();
    for section in SECTIONS.iter().filter(|section| asked(section)) {
        text.section(section.title);
        (section.write)(ctx, &mut text);
    }
    ctx.reply.verbatim("txt", text.0.as_bytes());
    Flow::Done
}

/// The value of an option that Pontoon gives no typed field.
fn option(ctx: &Context<'_>, name: &str) -> String {
    ctx.config.get(name).into_iter().next().map(|(_, value)| String::from_utf8_lossy(&value).into_owned()).unwrap_or_default()
}

fn server(ctx: &Context<'_>, text: &mut Text) {
    let (now, server) = (ctx.now, &*ctx.server);
    let uptime = seconds(server.started.mono, now.mono);
    let hz = option(ctx, "hz");
    let file = ctx.config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    text.lines(&[
        ("redis_version", &REDIS_VERSION),
        ("server_name", &SERVER_NAME),
        ("pontoon_version", &PONTOON_VERSION),
        ("redis_git_sha1", &"00000000"),
        ("redis_git_dirty", &0),
        ("redis_build_id", &0),
        ("redis_mode", &"cluster"),
        ("server_mode", &"cluster"),
        ("os", &format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("arch_bits", &usize::BITS),
        ("monotonic_clock", &"POSIX clock_gettime"),
        ("multiplexing_api", &"mio"),
        ("process_id", &server.process_id),
        ("process_supervised", &"no"),
        ("run_id", &server.run_id),
        ("tcp_port", &ctx.config.port),
        ("server_time_usec", &(now.wall * 1000)),
        ("uptime_in_seconds", &uptime),
        ("uptime_in_days", &(uptime / 86400)),
        ("hz", &hz),
        ("configured_hz", &hz),
        // 24 bits of seconds, as in Redis.
        ("lru_clock", &((now.wall / 1000) & 0xff_ffff)),
        ("executable", &server.executable),
        ("config_file", &file),
        ("io_threads_active", &0),
        ("availability_zone", &ctx.config.availability_zone),
    ]);
}

fn clients(ctx: &Context<'_>, text: &mut Text) {
    let (mut normal, mut blocked, mut watching, mut watched, mut subscribed) = (0, 0, 0, 0, 0);
    let mut look = |client: &Client| {
        normal += usize::from(!client.is_replica());
        blocked += usize::from(client.is_blocked());
        watching += usize::from(!client.watched.is_empty());
        watched += client.watched.len();
        subscribed += usize::from(!client.subscriptions.is_empty());
    };
    look(ctx.client);
    ctx.clients.visit_others(&mut |client, _| look(client));
    let (reason, actions) = match ctx.pause {
        None => ("none", "none"),
        Some(pause) => ("client_pause", if pause.held == Held::All { "all" } else { "write" }),
    };
    text.lines(&[
        ("connected_clients", &normal),
        ("cluster_connections", &ctx.cluster.links.len()),
        ("maxclients", &ctx.config.maxclients),
        ("blocked_clients", &blocked),
        ("tracking_clients", &0),
        ("pubsub_clients", &subscribed),
        ("watching_clients", &watching),
        ("clients_in_timeout_table", &0),
        ("total_watched_keys", &watched),
        ("total_blocking_keys", &0),
        ("total_blocking_keys_on_nokey", &0),
        ("paused_reason", &reason),
        ("paused_actions", &actions),
        ("paused_timeout_milliseconds", &ctx.pause.map_or(0, |pause| pause.until.saturating_sub(ctx.now.mono))),
    ]);
}

/// What is counted, in bytes.
struct Used {
    keys: u64,
    backlog: u64,
    clients: u64,
    replicas: u64,
}

impl Used {
    fn by(ctx: &Context<'_>) -> Self {
        let (keys, backlog) = (ctx.keyspace.cost() as u64, ctx.stream.backlog().map_or(0, Backlog::len));
        let mut used = Self { keys, backlog, clients: 0, replicas: 0 };
        ctx.clients.visit_others(&mut |client, held| {
            let class = if client.is_replica() { &mut used.replicas } else { &mut used.clients };
            *class += (held.input + held.output) as u64;
        });
        used
    }

    fn overhead(&self) -> u64 {
        self.backlog + self.clients + self.replicas
    }

    fn all(&self) -> u64 {
        self.keys + self.overhead()
    }
}

/// `used_memory` is counted, and leaves out what the process took at its start, which is measured.
fn memory(ctx: &Context<'_>, text: &mut Text) {
    let (usage, used, startup, peak) = (ctx.server.usage, Used::by(ctx), ctx.server.startup_bytes, ctx.server.peak_memory);
    let part = |bytes: u64, of: u64| bytes as f64 / of.max(1) as f64;
    let links: usize = ctx.cluster.links.iter().map(|link| link.send_buffer).sum();
    text.bytes("used_memory", used.all());
    text.bytes("used_memory_rss", usage.resident_bytes);
    text.bytes("used_memory_peak", peak);
    text.lines(&[
        ("used_memory_peak_perc", &format_args!("{:.2}%", 100.0 * part(used.all(), peak))),
        ("used_memory_overhead", &used.overhead()),
        ("used_memory_startup", &startup),
        ("used_memory_dataset", &used.keys),
        ("used_memory_dataset_perc", &format_args!("{:.2}%", 100.0 * part(used.keys, used.all()))),
    ]);
    text.bytes("total_system_memory", usage.system_bytes);
    text.lines(&[("number_of_cached_scripts", &0), ("number_of_functions", &0), ("number_of_libraries", &0)]);
    // There is no limit and no eviction, whatever the option says.
    text.bytes("maxmemory", 0);
    text.lines(&[
        ("maxmemory_policy", &"noeviction"),
        ("mem_fragmentation_ratio", &format_args!("{:.2}", part(usage.resident_bytes, used.all() + startup))),
        ("mem_fragmentation_bytes", &(usage.resident_bytes.cast_signed() - (used.all() + startup).cast_signed())),
        ("mem_not_counted_for_evict", &0),
        ("mem_replication_backlog", &used.backlog),
        ("mem_total_replication_buffers", &(used.backlog + used.replicas)),
        ("mem_clients_slaves", &used.replicas),
        ("mem_clients_normal", &used.clients),
        ("mem_cluster_links", &links),
        ("mem_aof_buffer", &0),
        ("mem_allocator", &"libc"),
        ("active_defrag_running", &0),
        ("lazyfree_pending_objects", &ctx.keyspace.to_be_freed()),
    ]);
}

fn persistence(ctx: &Context<'_>, text: &mut Text) {
    let persistence = &ctx.server.persistence;
    let took = |ms: Option<u64>| ms.map_or(-1, |ms| (ms / 1000) as i64);
    let since = persistence.saving_since.map(|began| ctx.now.mono.saturating_sub(began));
    text.lines(&[
        ("loading", &u8::from(persistence.loading.is_some())),
        ("async_loading", &u8::from(ctx.cluster.upstream.is_some_and(|upstream| matches!(upstream.link, UpstreamLink::Loading { .. })))),
        ("rdb_changes_since_last_save", &(ctx.keyspace.dirty() - persistence.saved_dirty)),
        ("rdb_bgsave_in_progress", &u8::from(since.is_some() || persistence.save_asked)),
        ("rdb_last_save_time", &(persistence.saved_at / 1000)),
        ("rdb_last_bgsave_status", &if persistence.failed { "err" } else { "ok" }),
        ("rdb_last_bgsave_time_sec", &took(persistence.took)),
        ("rdb_current_bgsave_time_sec", &took(since)),
        ("rdb_saves", &persistence.saves),
        ("rdb_last_cow_size", &0),
        ("rdb_last_load_keys_expired", &0),
        ("rdb_last_load_keys_loaded", &persistence.keys_loaded),
        ("aof_enabled", &0),
        ("aof_rewrite_in_progress", &0),
        ("aof_rewrite_scheduled", &0),
        ("aof_last_rewrite_time_sec", &-1),
        ("aof_current_rewrite_time_sec", &-1),
        ("aof_last_bgrewrite_status", &"ok"),
        ("aof_last_write_status", &"ok"),
    ]);
    if let Some(progress) = persistence.loading {
        text.lines(&[
            ("loading_start_time", &(progress.began.wall / 1000)),
            ("loading_total_bytes", &progress.total),
            ("loading_loaded_bytes", &progress.done),
            ("loading_loaded_perc", &format_args!("{:.2}", progress.percent())),
            ("loading_eta_seconds", &progress.eta(ctx.now)),
        ]);
    }
}

fn stats(ctx: &Context<'_>, text: &mut Text) {
    let (stats, now) = (&ctx.server.stats, ctx.now.mono);
    let ((input, replica_input), (output, replica_output)) = (stats.input.kbps(now), stats.output.kbps(now));
    text.lines(&[
        ("total_connections_received", &stats.connections_received),
        ("total_commands_processed", &stats.commands_processed),
        ("instantaneous_ops_per_sec", &stats.commands_per_second(ctx.now)),
        ("total_net_input_bytes", &stats.input.total),
        ("total_net_output_bytes", &stats.output.total),
        ("total_net_repl_input_bytes", &stats.input.replication),
        ("total_net_repl_output_bytes", &stats.output.replication),
        ("instantaneous_input_kbps", &format_args!("{input:.2}")),
        ("instantaneous_output_kbps", &format_args!("{output:.2}")),
        ("instantaneous_input_repl_kbps", &format_args!("{replica_input:.2}")),
        ("instantaneous_output_repl_kbps", &format_args!("{replica_output:.2}")),
        ("rejected_connections", &stats.connections_rejected),
        ("sync_full", &stats.sync_full),
        ("sync_partial_ok", &stats.sync_partial_ok),
        ("sync_partial_err", &stats.sync_partial_err),
        ("expired_keys", &ctx.keyspace.expired_count()),
        // Nothing is sampled: keys go when their time is over.
        ("expired_stale_perc", &"0.00"),
        ("evicted_keys", &0),
        ("evicted_clients", &0),
        ("keyspace_hits", &stats.keyspace_hits),
        ("keyspace_misses", &stats.keyspace_misses),
        ("pubsub_channels", &ctx.pubsub.count(Scope::Channel)),
        ("pubsub_patterns", &ctx.pubsub.count(Scope::Pattern)),
        ("pubsubshard_channels", &ctx.pubsub.shard_channels().count()),
        ("latest_fork_usec", &0),
        ("total_forks", &0),
        ("migrate_cached_sockets", &0),
        ("total_error_replies", &stats.error_replies),
        ("client_query_buffer_limit_disconnections", &stats.input_limit_disconnections),
        ("client_output_buffer_limit_disconnections", &stats.output_limit_disconnections),
    ]);
}

fn replication(ctx: &Context<'_>, text: &mut Text) {
    let state = ctx.cluster.state;
    let primary = ctx.cluster.primary().and_then(|primary| state.member(&primary));
    text.line("role", if primary.is_some() { "slave" } else { "master" });
    if let Some(primary) = primary {
        upstream(ctx, &primary.address, text);
    }
    write_replicas(ctx, text);
    let History { id, second, offset } = *ctx.stream.history();
    let (second, second_offset) = second.map_or((ReplId::from_bytes([0; 20]), -1), |(id, offset)| (id, offset.cast_signed()));
    let backlog = ctx.stream.backlog();
    text.lines(&[
        ("master_failover_state", &"no-failover"),
        ("master_replid", &id),
        ("master_replid2", &second),
        ("master_repl_offset", &offset),
        ("second_repl_offset", &second_offset),
        ("repl_backlog_active", &u8::from(backlog.is_some())),
        ("repl_backlog_size", &ctx.config.repl_backlog_size),
        ("repl_backlog_first_byte_offset", &backlog.map_or(0, |backlog| backlog.start() + 1)),
        ("repl_backlog_histlen", &backlog.map_or(0, Backlog::len)),
    ]);
}

/// A replica's side.
fn upstream(ctx: &Context<'_>, primary: &Address, text: &mut Text) {
    let (mono, offset) = (ctx.now.mono, ctx.stream.offset());
    let heard = ctx.cluster.upstream.and_then(|upstream| upstream.heard);
    let link = ctx.cluster.upstream.map_or(UpstreamLink::Down { since: mono }, |upstream| upstream.link);
    text.lines(&[
        ("master_host", &primary.ip),
        ("master_port", &primary.port),
        ("master_link_status", if link == UpstreamLink::Up { &"up" } else { &"down" }),
        ("master_last_io_seconds_ago", &heard.map_or(-1, |heard| seconds(heard, mono).cast_signed())),
        ("master_sync_in_progress", &u8::from(matches!(link, UpstreamLink::Loading { .. }))),
        ("slave_read_repl_offset", &offset),
        ("slave_repl_offset", &offset),
    ]);
    if let UpstreamLink::Loading { read, total, .. } = link {
        let percent = total.filter(|total| *total > 0).map_or(0.0, |total| read as f64 * 100.0 / total as f64);
        text.lines(&[
            ("master_sync_total_bytes", &total.unwrap_or(0)),
            ("master_sync_read_bytes", &read),
            ("master_sync_left_bytes", &total.map_or(-1, |total| total.saturating_sub(read).cast_signed())),
            ("master_sync_perc", &format_args!("{percent:.2}")),
            ("master_sync_last_io_seconds_ago", &heard.map_or(-1, |heard| seconds(heard, mono).cast_signed())),
        ]);
    }
    if let UpstreamLink::Down { since } | UpstreamLink::Loading { since, .. } = link {
        text.line("master_link_down_since_seconds", seconds(since, mono));
    }
    text.lines(&[("slave_priority", &ctx.config.replica_priority), ("slave_read_only", &1), ("replica_announced", &1)]);
}

fn write_replicas(ctx: &Context<'_>, text: &mut Text) {
    let replicas = replicas(ctx);
    text.line("connected_slaves", replicas.len());
    if ctx.config.min_replicas_to_write > 0 && ctx.config.min_replicas_max_lag > 0 {
        text.line("min_slaves_good_slaves", ctx.server.good_replicas);
    }
    for (number, replica) in replicas.iter().enumerate() {
        let Shown { ip, port, state, acked, heard, .. } = replica;
        let lag = seconds(*heard, ctx.now.mono);
        text.put(format_args!("slave{number}:ip={ip},port={port},state={state},offset={acked},lag={lag}\r\n"));
    }
}

fn cpu(ctx: &Context<'_>, text: &mut Text) {
    let usage = ctx.server.usage;
    for (name, us) in [("used_cpu_sys", usage.cpu_sys_us), ("used_cpu_user", usage.cpu_user_us)] {
        text.put(format_args!("{name}:{}.{:06}\r\n", us / 1_000_000, us % 1_000_000));
    }
}

fn keyspace(ctx: &Context<'_>, text: &mut Text) {
    let keys = ctx.keyspace.len();
    if keys > 0 {
        text.put(format_args!("db0:keys={keys},expires={},avg_ttl=0\r\n", ctx.keyspace.volatile_len()));
    }
}
