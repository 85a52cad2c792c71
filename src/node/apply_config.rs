//! The configuration at run time: what CONFIG SET and CONFIG REWRITE mean for the rooms beside `config`.
//!
//! Owns: passing new values on, and writing the configuration file. Must not: parse or check values (config does).

use crate::node::Node;
use crate::node::metadata::Metadata;
use crate::node::metadata::bootstrap::{announced, raft_settings};
use crate::node::metadata::own_address::settle_ip;
use crate::store::{Disk, Replacement};
use std::io;
use std::path::PathBuf;

impl<D: Disk> Node<D> {
    /// CONFIG SET changed something: Raft's times, and what this node announces of itself.
    pub(in crate::node) fn take_up_config(&mut self) {
        if !std::mem::take(&mut self.out.server.config_changed) {
            return;
        }
        std::mem::take(&mut self.view.config.warnings).iter().for_each(|warning| log::warn!("{warning}"));
        self.metadata.raft.set_settings(raft_settings(&self.view.config));
        self.dataset.keyspace.set_thresholds(self.view.config.thresholds);
        let mut address = announced(&self.view.config);
        settle_ip(&self.view.config, &mut address, &self.metadata.own_address);
        if let Some(shard) = self.metadata.own_address.shard_id() {
            address.set_shard_id(shard);
        }
        address.set_join_nonce(self.metadata.own_address.join_nonce());
        self.metadata.own_address = address;
        self.with_metadata(Metadata::announce_now);
        if self.metadata.raft.leader().is_none() {
            // Nobody takes a NODE_INFO: the others go by our greeting, which said something else.
            self.with_metadata(|metadata, view, out| metadata.drop_bus_links(None, view, out));
        }
        self.out.todo.consequences = true;
    }

    /// CONFIG REWRITE: the file as it is, with the values in use. The old file stays whole until the new one is on disk.
    pub(in crate::node) fn rewrite_config(&mut self) -> Result<(), String> {
        let Some(path) = self.view.config.file.clone() else {
            return Err("ERR The server is running without a config file".to_owned());
        };
        replace(&mut self.files, path, &self.view.config).map_err(|error| format!("ERR Rewriting config file: {error}"))
    }
}

fn replace(disk: &mut impl Disk, path: PathBuf, config: &crate::config::Config) -> io::Result<()> {
    let old = disk.read(&path)?.unwrap_or_default();
    let old = String::from_utf8(old).map_err(|_| io::Error::other("the config file is not UTF-8 text"))?;
    let text = config.rewrite(&old);
    let file = Replacement::begin(disk, path)?;
    file.write_all(disk, text.as_bytes())?;
    file.sync(disk)?;
    file.rename(disk)?;
    file.settle(disk)
}
