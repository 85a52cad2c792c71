//! How a node comes to be: from its nodes.conf, as a new one-node cluster, or as a joiner of another's.
//!
//! Owns: making Raft, state and standing anew together, so that they never disagree. Must not: write (before-sleep does).
//! Contract: docs/protocol.md, "Founding"; docs/nodes-conf.md, "Reading".

use crate::cluster::change::NodeJoin;
use crate::cluster::{Address, Change, State};
use crate::config::Config;
use crate::node::StartError;
use crate::node::metadata::Metadata;
use crate::node::metadata::own_address::{refuses_for_itself, settle_ip};
use crate::node::view::{Consequence, Effects, View};
use crate::raft::{HardState, Log, Raft, Settings};
use crate::rng::Rng;
use crate::store::{Disk, Fallback, Loaded, Standing, Store};
use crate::types::{ClusterId, ShardId};
use crate::wire::bus::PROTOCOL_VERSION;
use std::collections::BTreeSet;

/// What Raft is to be told of the configuration.
pub(in crate::node) fn raft_settings(config: &Config) -> Settings {
    Settings {
        election_timeout: config.election_timeout(),
        lease: config.write_lease(),
        node_timeout: config.cluster_node_timeout,
        voters: config.cluster_raft_voters as usize,
    }
}

/// Our address as far as the configuration says it; the IP may have to be learned.
pub(in crate::node) fn announced(config: &Config) -> Address {
    let mut address = Address {
        ip: config.cluster_announce_ip.clone(),
        port: config.announced_port(),
        bus_port: config.announced_bus_port(),
        hostname: config.cluster_announce_hostname.clone(),
        ..Address::default()
    };
    if !config.cluster_announce_human_nodename.is_empty() {
        address.keys.insert("human-nodename".to_owned(), config.cluster_announce_human_nodename.clone());
    }
    address.set_availability_zone(&config.availability_zone);
    address.set_replica_priority(config.replica_priority);
    address.set_refuses_for_itself(refuses_for_itself(config));
    address.set_protocol_version(PROTOCOL_VERSION);
    address
}

/// Our address as the configuration and the file say it together.
pub(in crate::node) fn own_address(config: &Config, loaded: &Loaded) -> Address {
    let mut address = announced(config);
    if let Some(joiner) = loaded.standing.joiner() {
        address.set_shard_id(joiner.shard);
        address.set_join_nonce(joiner.nonce);
    } else if let Some(member) = loaded.state.member(&loaded.me) {
        address.set_shard_id(member.shard);
        address.set_join_nonce(member.address.join_nonce());
        settle_ip(config, &mut address, &member.address);
    }
    address
}

/// What was on disk, or a new identity.
pub(in crate::node) struct Origin<D> {
    pub store: Store<D>,
    pub loaded: Loaded,
    pub fresh: bool,
}

/// Opens nodes.conf, or draws a new identity where there is none.
pub(in crate::node) fn open<D: Disk>(config: &Config, disk: D, rng: &mut Rng) -> Result<Origin<D>, StartError> {
    // Relative to the `dir` option: the shell has gone there.
    let (store, loaded) = Store::open(disk, config.cluster_config_file.clone())?;
    let fresh = loaded.is_none();
    let loaded = loaded.unwrap_or_else(|| Loaded {
        me: rng.node_id(),
        incarnation: 1,
        hard: HardState::default(),
        state: State::empty(rng.cluster_id()),
        log: Log::new(0, 0),
        standing: Standing::Member,
        cut_bytes: 0,
    });
    Ok(Origin { store, loaded, fresh })
}

impl Metadata {
    /// Founds a one-node cluster of this identity, without slots.
    pub fn found_cluster(&mut self, cluster: ClusterId, shard: ShardId, view: &View, out: &mut Effects) {
        log::info!("Founding cluster {cluster}");
        self.own_address.set_shard_id(shard);
        self.own_address.set_join_nonce(None);
        let join = NodeJoin { id: self.me, address: self.own_address.clone(), voter: true }.into();
        let settings = raft_settings(&view.config);
        let raft = Raft::found(self.me, join, view.nonce, settings, out.rng.fork(), view.now.mono);
        self.standing = Standing::Member;
        self.begin_anew(raft, State::founding(cluster, self.me), view, out);
        self.drop_bus_links(None, view, out);
    }

    /// Goes back to the one-node cluster that a joiner had given up.
    pub fn return_to(&mut self, fallback: Fallback, view: &View, out: &mut Effects) {
        let Fallback { state, term } = fallback;
        self.own_address.set_join_nonce(state.member(&self.me).and_then(|member| member.address.join_nonce()));
        let log = Log::new(state.last_applied(), state.last_term());
        let hard = HardState { term, voted_for: None };
        let (voters, applied, settings) = (state.voters().clone(), state.last_applied(), raft_settings(&view.config));
        let raft = Raft::new(self.me, hard, log, voters, applied, view.nonce, settings, out.rng.fork(), view.now.mono);
        self.begin_anew(raft, state, view, out);
        self.drop_bus_links(None, view, out);
    }

    /// Becomes a joiner of `cluster`: no log, no term, no vote.
    pub fn become_joiner(&mut self, cluster: ClusterId, view: &View, out: &mut Effects) {
        let settings = raft_settings(&view.config);
        let raft = Raft::new(
            self.me,
            HardState::default(),
            Log::new(0, 0),
            BTreeSet::new(),
            0,
            view.nonce,
            settings,
            out.rng.fork(),
            view.now.mono,
        );
        self.begin_anew(raft, State::empty(cluster), view, out);
    }

    pub fn begin_anew(&mut self, raft: Raft<Change>, state: State, view: &View, out: &mut Effects) {
        self.drop_proposals(out);
        out.consequences.push(Consequence::AnotherCluster);
        self.raft = raft;
        self.state = state;
        self.leading = crate::node::metadata::leader::Leading::default();
        self.address_check.doubt();
        self.forgotten = crate::node::metadata::reset::ForgottenMembers::default();
        self.forgotten.check = None;
        self.reset = None;
        self.joining.since = view.now.mono;
        self.outlook.leader_heard = None;
        self.joining.reconsider = true;
        out.todo.rewrite = true;
        out.todo.consequences = true;
        self.refresh_members(view, out);
        self.refresh_owners(view, out);
    }
}
