//! The whole node, pure: given a [`Disk`], it turns what happened into bytes to send and connections to make.
//!
//! Owns: the state of a node and the order of one turn. Must not: do a system call; the server room and the simulator drive it alike.
//! Contract: docs/architecture.md, "One turn of the loop".
//!
//! The caller tells what happened ([`Node::accepted`], [`Node::connected`], [`Node::disconnected`], [`Node::received`]), then calls
//! [`Node::turn`] with a clock. If that fails, the process ends and no byte leaves. Otherwise it has a [`Turned`], with which it writes
//! what [`Node::next_dirty`] names from [`Node::transmit_buffer`] and takes every [`Action`]; then it sleeps until something happens or
//! [`Node::deadline`].

mod apply_config;
mod before_sleep;
mod clients;
mod connections;
mod consequences;
mod dataset;
mod errors;
mod event_log;
mod frames;
mod io;
mod machine;
mod metadata;
#[cfg(test)]
mod net;
mod outbox;
mod replica_stream;
mod serve;
mod shutdown;
mod timers;
mod todo;
mod view;
mod views;

pub use errors::{Fatal, KeysError, StartError};
pub use io::sessions::Port;
pub use io::transmit::{Transmit, Turned};
pub use shutdown::Signal;

use crate::cluster::{Address, Change, State};
use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::raft::Raft;
use crate::rng::Rng;
use crate::session::Server;
use crate::store::{Disk, Loaded, Standing, Store};
use crate::types::{ConnId, Millis, NodeId, Now, Slot};
use metadata::Metadata;
use std::net::SocketAddr;
use timers::Timer;

/// What the shell is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Connect a new socket; then [`Node::connected`] or [`Node::disconnected`].
    Dial {
        /// The session it is for.
        conn: ConnId,
        /// Where to.
        socket: SocketAddr,
        /// Which of a node's ports that is.
        port: Port,
    },
    /// Close the socket. Its session is gone already, with whatever was not written yet.
    Close {
        /// The session that it was for.
        conn: ConnId,
        /// What the other end is to see.
        how: Closing,
    },
    /// End the process with this code, once what is to be flushed is.
    Exit(i32),
}

/// How a connection is closed that is not to look as if this process had ended (docs/protocol.md, "Known dead").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// In order: nobody takes anything for granted.
    InOrder,
    /// In order, after these bytes. If the socket does not take all of them at once, by a reset.
    Saying(&'static [u8]),
    /// By a reset: what was said is incomplete, or the last word is not known.
    Reset,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The peer closed it in order, or its kernel did when its process ended. Whatever came before that was given to the core.
    Eof,
    /// Nothing listens there.
    Refused,
    /// Anything else: a reset above all. Where this side gives a connection up by itself the other end is sent a reset too.
    Error,
}

/// The shell's listeners and the cluster's secrets, as a node is given its disk.
pub trait Listening {
    /// Reads the secrets that this configuration names: they count from [`Listening::take_secrets`] on.
    ///
    /// # Errors
    /// What is wrong with them, for people; nothing has changed.
    fn read_secrets(&mut self, config: &Config) -> Result<(), String>;
    /// What was read counts.
    fn take_secrets(&mut self);
    /// From now on clients are taken in at these addresses (as `bind` has them) and at this port, and nowhere else; connections stay.
    /// False if that is not possible: then all is as it was, and the log has the reason.
    fn move_clients(&mut self, bind: &[String], port: u16, backlog: u32) -> bool;
}

/// What became of an accepted connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// Its session.
    Session(ConnId),
    /// Write this and close.
    Refused(&'static [u8]),
}

/// A node.
pub struct Node<D: Disk> {
    view: view::View,
    out: view::Effects,
    metadata: Metadata,
    dataset: dataset::Dataset,
    machine: machine::Machine,
    store: Store<D>,
    /// The disk, for files beside nodes.conf.
    files: D,
    /// None where nobody listens: in tests.
    listening: Option<Box<dyn Listening>>,
    views: views::Views,
    /// Keys are left to be expired or freed.
    busy: bool,
}

impl<D: Disk> Node<D> {
    /// Loads nodes.conf from the configured directory, or founds a one-node cluster where there is none.
    /// `seed` must be unpredictable in production. Nothing is written before the first [`Node::turn`].
    ///
    /// # Errors
    /// [`StartError`] if nodes.conf or the file of the keys is there and cannot be used.
    pub fn start(config: Config, disk: D, seed: u64, now: Now) -> Result<Self, StartError> {
        let mut rng = Rng::new(seed);
        let metadata::bootstrap::Origin { store, loaded, fresh } = metadata::bootstrap::open(&config, disk, &mut rng)?;
        let mut node = Self::as_loaded(config, store, loaded, rng, now)?;
        if fresh {
            let (cluster, shard) = (node.metadata.state.cluster_id(), node.out.rng.shard_id());
            node.with_metadata(|metadata, view, out| metadata.found_cluster(cluster, shard, view, out));
        }
        if !node.metadata.raft.has_term_left() {
            log::error!(
                "No node can be elected after term {}: CLUSTER RECOVER QUORUM begins anew at the last term of the log",
                node.metadata.raft.term()
            );
        }
        node.with_metadata(Metadata::refresh_members);
        node.with_metadata(|metadata, _, out| metadata.note_addresses_in_tail(out));
        node.with_metadata(Metadata::refresh_owners);
        node.out.io.guard.waive(&node.view.config, &node.metadata.state, &node.metadata.me);
        clients::protection::waive(&mut node.view.config, &node.metadata.state, &node.metadata.me);
        node.out.timers.set(Timer::Cron, now.mono);
        Ok(node)
    }

    /// The node that its file tells of, knowing nothing of others yet.
    fn as_loaded(mut config: Config, store: Store<D>, loaded: Loaded, mut rng: Rng, now: Now) -> Result<Self, KeysError> {
        config.settle_bus();
        let nonce = rng.next_u64() | 1;
        let settings = metadata::bootstrap::raft_settings(&config);
        let last_index = loaded.log.last_index();
        let (files, loading, persistence) = dataset::rdb_load::begin(&config, store.disk().beside(), &mut rng, now)?;
        let metadata = Metadata::new(&config, loaded, nonce, settings, rng.fork(), now);
        let server = Server { run_id: rng.node_id().to_string(), started: now, persistence, ..Server::default() };
        let keyspace = Keyspace::with_thresholds(rng.next_u64(), config.thresholds);
        let dataset = dataset::Dataset::new(keyspace, rng.repl_id(), last_index, loading);
        Ok(Self {
            view: view::View { config, nonce, now, held: view::Held::default(), shutdown: shutdown::Shutdown::No },
            out: view::Effects::new(rng, server),
            metadata,
            dataset,
            machine: machine::Machine::new(now),
            store,
            files,
            listening: None,
            views: views::Views::default(),
            busy: false,
        })
    }

    /// Where clients are taken in is up to these listeners, which are open as the configuration says.
    pub fn listen_by(&mut self, listening: Box<dyn Listening>) {
        self.listening = Some(listening);
    }

    /// One turn: bus frames first, then client commands, then timers, then before-sleep. The clock is read again for each client.
    ///
    /// # Errors
    /// [`Fatal`]: end the process. No byte can leave.
    pub fn turn(&mut self, clock: &mut dyn FnMut() -> Now) -> Result<Turned, Fatal> {
        self.read_clock(clock);
        self.out.clients.waiting.begin_turn();
        self.metadata.trim_log(&self.view);
        self.read_bus();
        self.arrange();
        self.with_metadata(Metadata::tend_failure_detector);
        self.with_metadata(Metadata::tend_failovers);
        self.read_publications();
        self.run_clients(clock);
        // After them: what a successor waits for may be the last of a stream, and then nothing else comes that would begin another turn.
        self.with_dataset(|dataset, metadata, view, out| dataset.tend_takeover_of_primary(metadata, view, out));
        self.with_dataset(|dataset, metadata, view, out| dataset.tend_awaited_failover(metadata, view, out));
        apply_config::take_up(&mut self.metadata, &mut self.dataset.keyspace, &mut self.view, &mut self.out);
        self.settle();
        // Before what it may ask for: the last save.
        self.tend_ending();
        self.run_timers();
        self.dataset.tend_loading(&mut self.files, &self.metadata, &self.view, &mut self.out)?;
        self.settle();
        self.arrange();
        self.with_metadata(Metadata::tend_takeover);
        self.before_sleep(clock)?;
        self.arrange();
        self.exit_if_ended();
        if cfg!(debug_assertions) {
            self.check();
        }
        Ok(Turned::good())
    }

    /// When [`Node::turn`] is to be called at the latest, by the caller's clock (mono ms): at once if work is left.
    pub fn deadline(&self) -> Millis {
        self.machine.steady.reading_at(self.next_turn())
    }

    fn next_turn(&self) -> Millis {
        let grown = self.metadata.raft.unpersisted_from() <= self.metadata.raft.log().last_index();
        let pressing = self.out.todo.is_pressing()
            || self.out.io.sessions.has_input()
            || !self.out.io.outbox.is_empty()
            || !self.out.clients.publishing.pubsub.outgoing.is_empty()
            || grown
            || self.metadata.raft.needs_rewrite()
            || self.metadata.joining.reconsider
            || self.dataset.feeding.pressing
            || self.can_go_on_ending()
            || self.busy;
        if pressing {
            return self.view.now.mono;
        }
        let timers = [
            self.out.timers.next(),
            self.metadata.raft.next_deadline(),
            self.out.todo.rewrite_by,
            self.dataset.next_expiry(&self.view, &self.out),
        ];
        timers.into_iter().flatten().min().unwrap_or(self.view.now.mono)
    }

    fn run_timers(&mut self) {
        self.metadata.raft.tick(self.view.now.mono);
        self.out.end_pause(self.view.now.mono);
        if self.out.timers.take_due(Timer::Failure, self.view.now.mono) {
            self.with_metadata(Metadata::tend_members);
        }
        if self.out.timers.take_due(Timer::Cron, self.view.now.mono) {
            self.cron();
        }
        self.with_dataset(|dataset, metadata, view, out| dataset.tend_primary(metadata, view, out));
        let has_keys_to_tend = self.dataset.tend_keys(&self.view, &mut self.out);
        let saves = self.dataset.tend_saving(&mut self.files, &self.view, &mut self.out);
        self.settle();
        self.busy = has_keys_to_tend || saves || self.dataset.is_loading();
        self.with_dataset(|dataset, metadata, view, _| dataset.settle_owners(metadata, view));
    }

    /// Slow checks. As often as failure detection needs, at most ten times a second.
    fn cron(&mut self) {
        let period = (self.view.config.cluster_node_timeout / 10).clamp(100, 1000);
        self.out.timers.set(Timer::Cron, self.view.now.mono + period);
        self.with_metadata(Metadata::close_silent_links);
        self.out.close_silent_lanes(&self.view);
        self.settle();
        self.out.close_idle_clients(&self.dataset.stream, &self.view);
        self.settle();
        self.out.remind_of_waiver(&self.view);
        self.out.io.remind_of_missing_secret(&self.view.config, self.view.now);
        self.out.check_output_limits(&self.dataset.stream, &self.metadata.state, &self.view);
        self.settle();
        self.with_dataset(|dataset, metadata, view, out| dataset.tend_replicas(metadata, view, out));
        self.with_metadata(Metadata::expire_proposals);
        self.with_metadata(Metadata::expire_reset);
        self.with_metadata(Metadata::expire_membership_check);
        self.with_metadata(Metadata::check_joining);
        self.with_metadata(Metadata::tend_members);
        self.with_metadata(Metadata::tend_copies);
        self.with_metadata(Metadata::tend_clocks);
        self.with_metadata(Metadata::review_requests);
        self.with_metadata(Metadata::judge_own_links);
        self.with_metadata(Metadata::announce_address);
        // Claims that were not granted yet are looked at again.
        self.out.todo.consequences |= matches!(self.metadata.standing, Standing::Claiming(_));
        self.views.refresh(&self.out.io, &self.metadata, &self.view);
        self.out.server.peak_memory = self.out.server.peak_memory.max(self.dataset.keyspace.cost() as u64);
        self.with_dataset(|dataset, _, view, out| dataset.review_save_points(view, out));
    }

    /// A new leader, term or role: links and proposals go elsewhere.
    fn arrange(&mut self) {
        let leaderless = self.metadata.is_leaderless(&self.view);
        self.metadata.outlook.usable = self.covered_enough() && !leaderless;
        let ready = self.metadata.raft.leader_ready(self.metadata.state.last_applied());
        let wanted = metadata::Arrangement {
            leader: self.metadata.raft.leader(),
            term: self.metadata.raft.term(),
            role: self.metadata.raft.role(),
            leaderless,
            ready,
        };
        if self.metadata.outlook.arranged_for != Some(wanted) {
            self.metadata.outlook.arranged_for = Some(wanted);
            self.out.todo.connect = true;
            self.out.todo.proposals = true;
        }
        self.out.hold_until_joined(self.metadata.joins_soon(&self.view));
        if self.metadata.raft.is_leader() {
            self.metadata.outlook.leader_heard = Some(self.view.now.mono);
        }
        self.with_dataset(|dataset, metadata, _, out| dataset.refresh_leaving(metadata, out));
        self.dataset.settle_reign(&self.metadata);
        self.with_dataset(|dataset, metadata, view, _| dataset.renew_lease(metadata, view));
        let muted = self.metadata.standing.joiner().is_some_and(|joiner| !self.metadata.log_has_joined(joiner.nonce));
        self.metadata.raft.set_muted(muted);
    }

    fn covered_enough(&self) -> bool {
        self.metadata.outlook.covered || !self.view.config.cluster_require_full_coverage
    }
}

/// What others may see of it.
impl<D: Disk> Node<D> {
    /// The options in use.
    pub fn config(&self) -> &Config {
        &self.view.config
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.metadata.me
    }

    /// Where it says that it is reached.
    pub fn address(&self) -> &Address {
        &self.metadata.own_address
    }

    /// The replicated state.
    pub fn state(&self) -> &State {
        &self.metadata.state
    }

    /// Consensus.
    pub fn raft(&self) -> &Raft<Change> {
        &self.metadata.raft
    }

    /// The keys.
    pub fn keyspace(&self) -> &Keyspace {
        &self.dataset.keyspace
    }

    /// How this node stands to its cluster.
    pub fn standing(&self) -> &Standing {
        &self.metadata.standing
    }

    /// Whether this node copies another one's keys.
    pub fn is_replica(&self) -> bool {
        self.dataset.role.is_replica()
    }

    /// Whether this node's keys are those of its shard: always for a primary, for a replica once a sync with its primary is complete.
    pub fn is_in_sync(&self) -> bool {
        self.dataset.role.is_in_sync()
    }

    /// How far this node's keys are in their history, in bytes of its stream. A replica that has nothing worth promoting says 0, any other
    /// at least 1.
    pub fn replication_offset(&self) -> u64 {
        self.dataset.extent().offset
    }

    /// Whether a leader was heard so lately, by the time of the last turn, that it will be heard again, or another one.
    pub fn hears_leader(&self) -> bool {
        self.metadata.hears_leader(&self.view)
    }

    /// Whether the keys are still being loaded from the disk: until then this node holds none.
    pub fn is_loading(&self) -> bool {
        self.dataset.is_loading()
    }

    /// Whether a client's write to this slot would be acknowledged now.
    pub fn accepts_writes(&self, slot: Slot, now: Now) -> bool {
        let leaving = self.dataset.takeover.demotion.leaving.iter().any(|range| range.contains(slot));
        let held = self.machine.steady.would_read(now).is_some_and(|now| self.dataset.lease.at(now.mono).is_some());
        self.metadata.outlook.usable && self.metadata.state.owner(slot) == Some(self.metadata.me) && !leaving && held
    }

    /// How often this node has said that two processes have one id.
    pub fn duplicates_seen(&self) -> u64 {
        self.out.io.bus_stats.duplicates
    }

    /// What the shell knows of the process: its id, its memory, its CPU time.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.out.server
    }

    /// Asserts every invariant, also those between the rooms.
    pub fn check(&self) {
        assert!(self.out.gone.is_empty() && self.out.consequences.is_empty(), "what a part has left to the others is done with its turn");
        self.metadata.raft.check();
        self.dataset.stream.check();
        self.dataset.check_foreign(&self.metadata, &self.view);
        assert!(
            self.dataset.role.primary().is_none() || !self.dataset.stream.is_recording(),
            "what a replica changes is in its primary's stream already"
        );
        assert!(self.metadata.state.last_applied() <= self.metadata.raft.commit_index(), "only what is committed is applied");
        assert!(
            self.metadata.raft.log().snapshot_index() <= self.metadata.state.last_applied(),
            "the log in memory begins where the state ends, or before"
        );
        assert!(self.metadata.raft.commit_index() <= self.metadata.raft.log().last_index(), "what is committed is in the log");
        assert_eq!(
            self.metadata.raft.voters_at(self.metadata.state.last_applied()),
            self.metadata.state.voters(),
            "the applied state's voters are those of the log"
        );
    }
}
