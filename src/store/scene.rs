//! A small node for this room's tests.

use super::nodes_conf::{self, Image};
use super::standing::Standing;
use crate::cluster::{Change, State, parse_entry};
use crate::raft::{HardState, Log};
use crate::types::{ClusterId, NodeId};

/// What an image borrows.
pub struct Scene {
    pub me: NodeId,
    pub incarnation: u64,
    pub hard: HardState,
    pub state: State,
    pub log: Log<Change>,
    pub standing: Standing,
}

impl Scene {
    /// A founder in term 3 with its first two entries in the log, nothing applied.
    pub fn founded() -> Self {
        let me = NodeId::from_bytes([0xaa; 20]);
        let state = State::founding(ClusterId::from_bytes([0xcc; 20]), me);
        let hard = HardState { term: 3, voted_for: Some(me) };
        let mut scene = Self { me, incarnation: 1, hard, state, log: Log::new(0, 0), standing: Standing::Member };
        scene.append(&format!("NODE_JOIN {me} 127.0.0.1:7000@17000,,shard-id={} voter", "bb".repeat(20)));
        scene.append("NOOP 5000");
        scene
    }

    /// Appends an entry of term 1.
    pub fn append(&mut self, body: &str) {
        self.log.push(parse_entry(&format!("1 {body}")).expect("a test's entry"));
    }

    pub fn image(&self) -> Image<'_> {
        let Self { me, incarnation, hard, state, log, standing } = self;
        Image { me: *me, incarnation: *incarnation, hard: *hard, state, log, standing }
    }

    /// The lines above the crc line.
    pub fn snapshot(&self) -> String {
        let text = nodes_conf::write(&self.image());
        let end = text.find("\ncrc ").expect("a file has a crc line") + 1;
        text[..end].to_owned()
    }
}

/// A snapshot with its crc line.
pub fn sealed(snapshot: &str) -> String {
    format!("{snapshot}crc {:08x}\n", crc32fast::hash(snapshot.as_bytes()))
}
