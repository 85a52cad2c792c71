//! The configuration at run time: what CONFIG SET and CONFIG REWRITE mean for the rooms beside `config`.
//!
//! Owns: passing new values on, and writing the configuration file. Must not: parse or check values (config does).

use crate::commands::Listen;
use crate::config::{Config, SetError};
use crate::keyspace::Keyspace;
use crate::node::Listening;
use crate::node::metadata::Metadata;
use crate::node::metadata::bootstrap::{announced, raft_settings};
use crate::node::metadata::own_address::settle_ip;
use crate::node::view::{Effects, View};
use crate::store::{Disk, Replacement};
use std::io;
use std::path::PathBuf;

/// CONFIG SET of where clients are taken in, or by which secret nodes: all of `next` counts once that is done.
///
/// # Errors
/// The error text; nothing has changed.
pub(in crate::node) fn listen(
    asked: Listen,
    listening: &mut Option<Box<dyn Listening>>,
    view: &mut View,
    out: &mut Effects,
) -> Result<(), String> {
    let Listen { next, unlistened, secrets } = asked;
    if let Some(listening) = listening {
        if let Some(name) = &secrets {
            listening.read_secrets(&next).map_err(|reason| SetError::Refused { name: name.clone(), reason }.to_string())?;
        }
        let Config { bind, port, tcp_backlog, .. } = &*next;
        if !next.listens_as(&view.config) && !listening.move_clients(bind, *port, *tcp_backlog) {
            return Err(unlistened);
        }
        if secrets.is_some() {
            listening.take_secrets();
        }
    }
    view.config = *next;
    out.server.config_changed = true;
    Ok(())
}

/// CONFIG SET changed something: Raft's times, the forms of values, and what this node announces of itself.
pub(in crate::node) fn take_up(metadata: &mut Metadata, keyspace: &mut Keyspace, view: &mut View, out: &mut Effects) {
    if !std::mem::take(&mut out.server.config_changed) {
        return;
    }
    std::mem::take(&mut view.config.warnings).iter().for_each(|warning| log::warn!("{warning}"));
    metadata.raft.set_settings(raft_settings(&view.config));
    keyspace.set_thresholds(view.config.thresholds);
    let mut address = announced(&view.config);
    settle_ip(&view.config, &mut address, &metadata.own_address);
    if let Some(shard) = metadata.own_address.shard_id() {
        address.set_shard_id(shard);
    }
    address.set_join_nonce(metadata.own_address.join_nonce());
    metadata.own_address = address;
    metadata.warn_of_unserved_ip(view);
    metadata.announce_now(view, out);
    if metadata.raft.leader().is_none() {
        // Nobody takes a NODE_INFO: the others go by our greeting, which said something else.
        metadata.drop_bus_links(None, view, out);
    }
    out.todo.consequences = true;
}

/// CONFIG REWRITE: the file as it is, with the values in use. The old file stays whole until the new one is on disk.
pub(in crate::node) fn rewrite(config: &Config, files: &mut impl Disk) -> Result<(), String> {
    let Some(path) = config.file.clone() else {
        return Err("ERR The server is running without a config file".to_owned());
    };
    replace(files, path, config).map_err(|error| format!("ERR Rewriting config file: {error}"))
}

fn replace(disk: &mut impl Disk, path: PathBuf, config: &Config) -> io::Result<()> {
    let old = disk.read(&path)?.unwrap_or_default();
    let text = config.rewrite(old);
    let file = Replacement::begin(disk, path)?;
    file.write_all(disk, &text)?;
    file.sync(disk)?;
    file.rename(disk)?;
    file.settle(disk)
}
