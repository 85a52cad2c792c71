//! nodes.conf at every point where a crash or damage can hit it: what loads is what was promised, or what was being written, or nothing
//! loads.
#![expect(clippy::unwrap_used, reason = "what fails in a test is to panic")]

mod damage;
mod model;
mod power;

use model::Model;
use pontoon::raft::{Durable, Needs};
use pontoon::rng::Rng;
use pontoon::store::{DiskError, LoadError, Loaded, MemoryDisk, Persisted, Store, nodes_conf};
use std::path::Path;

const FILE: &str = "data/nodes.conf";

fn open(disk: &MemoryDisk) -> Result<(Store<MemoryDisk>, Option<Loaded>), LoadError> {
    Store::open(disk.clone(), FILE.into())
}

/// A node of the machine that starts again after the power went.
fn load(disk: &MemoryDisk) -> Option<Loaded> {
    open(disk).expect("no crash makes a file that is refused").1
}

/// Persists, and holds the receipt against the disk: one sync at most, and all that it says is durable.
fn persist(store: &mut Store<MemoryDisk>, disk: &MemoryDisk, model: &Model, full: bool) -> Result<Persisted, DiskError> {
    let syncs = disk.syncs();
    let receipt = store.persist(&model.image(), full)?;
    assert!(disk.syncs() <= syncs + 1, "more than one sync in a turn");
    let bytes = disk.durable(Path::new(FILE)).expect("a receipt without a file");
    let contents = nodes_conf::read(&bytes).expect("a receipt for a file that does not load");
    let Durable { term, voted_for, last_index } = receipt.durable();
    assert!(contents.own.term >= term && contents.own.voted_for == voted_for);
    assert_eq!(contents.tail.log.last_index(), last_index);
    assert!(receipt.covers(&Needs { term: model.hard.term, vote: model.hard.voted_for, index: model.last() }));
    Ok(receipt)
}

/// A fresh node with its first file on the disk.
fn founded(rng: &mut Rng) -> (MemoryDisk, Store<MemoryDisk>, Model) {
    let disk = MemoryDisk::new();
    let (mut store, loaded) = open(&disk).unwrap();
    assert!(loaded.is_none());
    let model = Model::found(rng);
    persist(&mut store, &disk, &model, true).unwrap();
    (disk, store, model)
}
