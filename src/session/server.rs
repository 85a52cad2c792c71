//! What is known of the process and counted about it.
//!
//! Owns: identity of the process and the counters behind INFO. Must not: read clocks or the system; the node and the shell tell.

use super::calls::{CallCounts, Calls, Stopwatch, Timed};
use super::client::Client;
use super::command::CommandId;
use super::persistence::Persistence;
use super::rate::{Rate, Traffic};
use crate::replication::Start;
use crate::types::{Millis, Now};

/// What this server calls itself.
pub const SERVER_NAME: &str = "pontoon";
/// Pontoon's own version.
pub const PONTOON_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The process, as INFO shows it.
#[derive(Debug, Default)]
pub struct Server {
    /// 40 hex digits, drawn at each start.
    pub run_id: String,
    /// When it started.
    pub started: Now,
    /// Its process id.
    pub process_id: u32,
    /// Path of the binary; empty if not known.
    pub executable: String,
    /// What the shell last measured of the process.
    pub usage: Usage,
    /// Resident memory in bytes before there was any key or client.
    pub startup_bytes: u64,
    /// The most that `used_memory` was seen to be, in bytes.
    pub peak_memory: u64,
    /// Counters.
    pub stats: Stats,
    /// Replicas that follow the stream and have said so within `min-replicas-max-lag`.
    pub good_replicas: u32,
    /// Saving and loading the keys.
    pub persistence: Persistence,
    /// An operator has given this node a config epoch, as tools do before it meets others; they must not do it twice.
    pub config_epoch_given: bool,
    /// CONFIG SET changed something: the node looks at its configuration again and clears this.
    pub config_changed: bool,
    /// When the log was last told of HTTP (mono ms).
    pub warned_of_attack: Option<Millis>,
}

/// The log is told of HTTP so often, however often it comes.
const ATTACK_WARNINGS: Millis = 60_000;

impl Server {
    /// A client has sent what a browser does when it is made to speak to other servers than the web's.
    pub fn warn_of_attack(&mut self, client: &Client, now: Now) {
        if self.warned_of_attack.is_some_and(|then| now.mono.saturating_sub(then) < ATTACK_WARNINGS) {
            return;
        }
        self.warned_of_attack = Some(now.mono);
        log::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Pontoon. This is likely due to \
             an attacker attempting to use Cross Protocol Scripting to compromise your Pontoon instance. Connection from {} aborted.",
            client.addr
        );
    }
}

/// What only the system knows of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// The machine's memory in bytes.
    pub system_bytes: u64,
    /// CPU time in the kernel, in microseconds.
    pub cpu_sys_us: u64,
    /// CPU time outside of it, in microseconds.
    pub cpu_user_us: u64,
}

/// Counters since the start or CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Stats {
    /// Client connections accepted.
    pub connections_received: u64,
    /// Client connections refused (`maxclients`).
    pub connections_rejected: u64,
    /// Commands run.
    pub commands_processed: u64,
    /// Bytes read from clients and from this node's primary.
    pub input: Traffic,
    /// Bytes written to clients and replicas.
    pub output: Traffic,
    /// Clients closed because they sent too much at once.
    pub input_limit_disconnections: u64,
    /// Clients closed because they did not read their replies.
    pub output_limit_disconnections: u64,
    /// Replicas that got all keys.
    pub sync_full: u64,
    /// Replicas that went on where they were.
    pub sync_partial_ok: u64,
    /// Of those that got all keys, the ones that had asked to go on.
    pub sync_partial_err: u64,
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Error replies.
    pub error_replies: u64,
    /// By command, and by error.
    calls: CallCounts,
    /// Commands a second.
    rate: Rate,
}

impl Stats {
    /// How the time that commands take is told.
    pub fn set_stopwatch(&mut self, stopwatch: Stopwatch) {
        self.calls.stopwatch = stopwatch;
    }

    /// A command begins to run.
    pub fn begin(&mut self, id: CommandId) -> Option<Timed> {
        self.calls.begin(id)
    }

    /// It has run; `timed` is what its beginning gave.
    pub fn end(&mut self, id: CommandId, timed: Option<Timed>, keep_latency: bool, now: Now) {
        self.commands_processed += 1;
        self.rate.add(1, now.mono);
        self.calls.end(id, timed, keep_latency);
    }

    /// A command was refused before it ran.
    pub fn rejected(&mut self, id: CommandId) {
        self.calls.of(id).rejected += 1;
    }

    /// A command ran and answered an error.
    pub fn failed(&mut self, id: CommandId) {
        self.calls.of(id).failed += 1;
    }

    /// A read looked for a key.
    pub fn looked_up(&mut self, found: bool) {
        *if found { &mut self.keyspace_hits } else { &mut self.keyspace_misses } += 1;
    }

    /// An error reply, without its leading `-`: its first word is the code.
    pub fn error_reply(&mut self, reply: &[u8]) {
        self.error_replies += 1;
        let end = reply.iter().position(|byte| matches!(byte, b' ' | b'\r' | b'\n')).unwrap_or(reply.len());
        let Ok(code) = std::str::from_utf8(&reply[..end]) else { return };
        self.calls.error(code);
    }

    /// A replica asked for data.
    pub fn sync_started(&mut self, start: Start) {
        match start {
            Start::Partial => self.sync_partial_ok += 1,
            Start::Full { in_place_of_partial } => {
                self.sync_full += 1;
                self.sync_partial_err += u64::from(in_place_of_partial);
            }
            Start::Later => {}
        }
    }

    /// Error replies by code, in alphabetical order.
    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.calls.errors()
    }

    /// How often this command came.
    pub fn calls(&self, id: CommandId) -> Calls {
        self.calls.get(id)
    }

    /// Nanoseconds within which so many percent of its calls ran; none if that was not kept.
    pub fn latency(&self, id: CommandId, percent: f64) -> Option<u64> {
        self.calls.latency(id, percent)
    }

    /// Commands in the last full second.
    pub fn commands_per_second(&self, now: Now) -> u64 {
        self.rate.per_second(now.mono)
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Self {
            rate: self.rate,
            input: self.input.restarted(),
            output: self.output.restarted(),
            calls: CallCounts::by(self.calls.stopwatch),
            ..Self::default()
        };
    }
}

/// Whole seconds between two points of one clock.
pub fn seconds(from: Millis, to: Millis) -> u64 {
    to.saturating_sub(from) / 1000
}
