//! The keys from the disk, at the start: a slice of the file a turn, while the bus is served.
//!
//! Owns: the load under way. Must not: know the file's form (replication::rdb does), drop keys of others' slots (foreign_keys does), or
//! change a file that it cannot read. Contract: docs/operations.md, "Saving keys".

use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::node::dataset::Dataset;
use crate::node::errors::KeysError;
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::replication::History;
use crate::replication::rdb::Loader;
use crate::rng::Rng;
use crate::session::{Persistence, Progress};
use crate::store::{Disk, DiskError};
use crate::types::Now;
use std::path::PathBuf;

/// What a turn reads of the file.
const SLICE: usize = 64 << 10;

/// See the module.
pub(in crate::node) struct Loading {
    load: Option<Load>,
}

struct Load {
    path: PathBuf,
    loader: Loader,
    buffer: Vec<u8>,
}

/// Opens the file on this disk, if there is one.
pub(in crate::node) fn begin<D: Disk>(
    config: &Config,
    mut disk: D,
    rng: &mut Rng,
    now: Now,
) -> Result<(D, Loading, Persistence), KeysError> {
    let path = config.dbfilename.clone();
    let length = disk.open_read(&path).map_err(|source| DiskError { operation: "opening", path: path.clone(), source })?;
    let load = length.map(|_| {
        let mut keyspace = Keyspace::with_thresholds(rng.next_u64(), config.thresholds);
        keyspace.prepare(now.wall, true);
        Load { path, loader: Loader::new(keyspace), buffer: Vec::new() }
    });
    let loading = length.map(|total| Progress { began: now, total, done: 0 });
    Ok((disk, Loading { load }, Persistence { loading, saved_at: now.wall, ..Persistence::default() }))
}

impl Load {
    /// Reads on; true if that was all.
    fn step(&mut self, disk: &mut impl Disk) -> Result<bool, KeysError> {
        self.buffer.clear();
        let path = &self.path;
        let read = disk.read_some(path, SLICE, &mut self.buffer);
        let count = read.map_err(|source| DiskError { operation: "reading", path: path.clone(), source })?;
        self.loader.feed(&self.buffer).map_err(|error| KeysError::Damaged { path: path.clone(), error })?;
        Ok(count == 0 || self.loader.is_complete())
    }
}

impl Dataset {
    /// Whether the keys are still being loaded from the disk: until then this node holds none.
    pub fn is_loading(&self) -> bool {
        self.loading.load.is_some()
    }

    fn take_up_keys(&mut self, load: Load, metadata: &Metadata, view: &View, out: &mut Effects) -> Result<(), KeysError> {
        let bytes = load.loader.bytes_read();
        let loaded = load.loader.finish().map_err(|error| KeysError::Damaged { path: load.path, error })?;
        let began = out.server.persistence.loading.take().map_or(view.now.mono, |progress| progress.began.mono);
        let keys = loaded.keyspace.len();
        out.server.persistence.keys_loaded = keys as u64;
        self.keyspace.replace(loaded.keyspace);
        if loaded.beyond {
            log::warn!("The RDB's repl-offset leaves no room to go on from: its keys begin a new history");
        }
        if let Some((id, offset)) = loaded.replication {
            self.stream.restart(History::new(id, offset));
            self.stream.follow(&mut self.keyspace);
            self.lead_loaded_keys(metadata, out);
        }
        let seconds = view.now.mono.saturating_sub(began) as f64 / 1000.0;
        // A replica dials its primary only now.
        out.todo.connect = true;
        log::info!("Done loading RDB, keys loaded: {keys}. {bytes} bytes in {seconds:.3} seconds");
        Ok(())
    }

    /// The keys from the disk are this node's own from now on, and their history goes on by its own changes. Until it is known that nobody
    /// has newer ones they are where another primary's stream may go on.
    pub fn lead_loaded_keys(&mut self, metadata: &Metadata, out: &mut Effects) {
        let replica = metadata.state.member(&metadata.me).is_some_and(|me| me.primary.is_some());
        // Else its primary, or its predecessor, is still followed.
        if !replica && self.role.decides_over_keys() && !self.is_loading() {
            self.stream.lead(out.rng.repl_id(), &mut self.keyspace);
        }
    }
}

impl Dataset {
    /// Once a turn.
    pub fn tend_loading(&mut self, files: &mut impl Disk, metadata: &Metadata, view: &View, out: &mut Effects) -> Result<(), KeysError> {
        let Some(mut load) = self.loading.load.take() else { return Ok(()) };
        if !load.step(files)? {
            if let Some(progress) = &mut out.server.persistence.loading {
                progress.done = load.loader.bytes_read();
            }
            self.loading.load = Some(load);
            return Ok(());
        }
        files.close(&load.path);
        self.take_up_keys(load, metadata, view, out)
    }
}
