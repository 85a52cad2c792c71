//! Several nodes, and what they agree on.

use crate::node::Node;
use crate::wait::{pause, until};
use std::collections::BTreeSet;
use std::time::Duration;

/// Long enough for a busy machine, so that nothing is elected or flagged that is not meant to be.
pub const CALM: &str = "cluster-node-timeout 5000\ncluster-raft-election-timeout 3000";

pub struct Cluster {
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Running nodes that have not met.
    pub fn strangers(count: usize, lines: &[&str]) -> Self {
        let mut nodes: Vec<Node> = (0..count).map(|_| Node::new(lines)).collect();
        nodes.iter_mut().for_each(Node::spawn);
        nodes.iter_mut().for_each(Node::start);
        Self { nodes }
    }

    /// Nodes that have all been met by the first, and agree.
    pub fn formed(count: usize, lines: &[&str]) -> Self {
        let cluster = Self::strangers(count, lines);
        for node in &cluster.nodes[1..] {
            cluster.nodes[0].meet(node);
        }
        cluster.agreed();
        cluster
    }

    /// A formed cluster with the slots in equal shares, ascending from the first node on, `cluster_state:ok` everywhere.
    pub fn with_slots(count: usize, lines: &[&str]) -> Self {
        let cluster = Self::formed(count, lines);
        for (at, node) in cluster.nodes.iter().enumerate() {
            let (first, last) = (16384 * at / count, 16384 * (at + 1) / count - 1);
            assert_eq!(insist(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")), "OK");
        }
        cluster.ok();
        cluster
    }

    /// Waits until every node says `cluster_state:ok`.
    #[track_caller]
    pub fn ok(&self) {
        for node in &self.nodes {
            until("cluster_state:ok", || match node.field("cluster_state").as_str() {
                "ok" => Ok(()),
                other => Err(format!("node {} says {other:?}", node.number())),
            });
        }
    }

    /// Waits until all of the nodes are one cluster, of nobody else, with the same state.
    #[track_caller]
    pub fn agreed(&self) {
        agreed(&self.nodes.iter().collect::<Vec<_>>());
    }

    /// Waits for a leader that every node names; its place.
    #[track_caller]
    pub fn leader(&self) -> usize {
        until("one leader", || {
            let named: BTreeSet<String> = self.nodes.iter().map(|node| node.field("cluster_raft_leader")).collect();
            let ids: Vec<String> = self.nodes.iter().map(Node::id).collect();
            match named.first().filter(|_| named.len() == 1).and_then(|leader| ids.iter().position(|id| id == leader)) {
                Some(at) => Ok(at),
                None => Err(format!("{named:?}")),
            }
        })
    }

    /// Waits for a node with this role in Raft; its place.
    #[track_caller]
    pub fn place_of(&self, role: &str) -> usize {
        until(&format!("a {role}"), || {
            let roles: Vec<String> = self.nodes.iter().map(|node| node.field("cluster_raft_role")).collect();
            roles.iter().position(|found| found == role).ok_or(format!("{roles:?}"))
        })
    }

    /// Waits until this many vote, on every node's account.
    #[track_caller]
    pub fn voters(&self, count: usize) {
        for node in &self.nodes {
            until(&format!("{count} voters"), || match node.field("cluster_raft_voters") {
                voters if voters == count.to_string() => Ok(()),
                voters => Err(format!("node {} says {voters}", node.number())),
            });
        }
    }

    pub fn start_all(&mut self) {
        for node in &mut self.nodes {
            if !node.is_running() {
                node.spawn();
            }
        }
        self.nodes.iter_mut().for_each(Node::start);
    }
}

/// Waits until these nodes are one cluster, of nobody else, with the same state.
#[track_caller]
pub fn agreed(nodes: &[&Node]) {
    until(&format!("{} nodes to agree", nodes.len()), || {
        let mut views = BTreeSet::new();
        for node in nodes {
            let info = node.info();
            let field = |name: &str| info.get(name).cloned().unwrap_or_default();
            if field("cluster_known_nodes") != nodes.len().to_string() || matches!(field("cluster_raft_leader").as_str(), "-" | "") {
                return Err(format!("node {}: {info:?}", node.number()));
            }
            views.insert((field("cluster_raft_last_applied"), field("cluster_raft_state_hash")));
        }
        if views.len() == 1 { Ok(()) } else { Err(format!("{views:?}")) }
    });
}

/// One line of CLUSTER NODES.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Line {
    pub id: String,
    pub address: String,
    pub flags: String,
    pub link: String,
    pub slots: String,
}

impl Line {
    /// Whether the cluster has flagged it: `fail?` is what one node says.
    pub fn has_failed(&self) -> bool {
        self.flags.split(',').any(|flag| flag == "fail")
    }
}

/// CLUSTER NODES of a node.
#[track_caller]
pub fn lines(node: &Node) -> Vec<Line> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words.len() >= 8, "a line of CLUSTER NODES: {line}");
        Line {
            id: words[0].to_owned(),
            address: words[1].to_owned(),
            flags: words[2].to_owned(),
            link: words[7].to_owned(),
            slots: words[8..].join(" "),
        }
    };
    node.ask("CLUSTER NODES").lines().map(line).collect()
}

/// The slots that a node says are its own.
#[track_caller]
pub fn own_slots(node: &Node) -> String {
    lines(node).into_iter().find(|line| line.flags.contains("myself")).expect("a node lists itself").slots
}

/// Asks until the answer is not about the moment (an election, a link that is not up), then gives it.
#[track_caller]
pub fn insist(node: &Node, line: &str) -> String {
    try_insist(node, line).unwrap_or_else(|error| panic!("node {}: {line}: {error}", node.number()))
}

/// [`insist`], for what may be refused.
pub fn try_insist(node: &Node, line: &str) -> Result<String, String> {
    // Who was not answered in time may have changed something all the same.
    let is_so_already = |error: &str| error.ends_with(" is already busy") || error.ends_with(" is already unassigned");
    let mut unanswered = String::new();
    for _ in 0..20 {
        match node.try_ask(line) {
            Err(error) if error.starts_with("TIMEOUT") || error.starts_with("TRYAGAIN") => {
                unanswered = error;
                pause(Duration::from_millis(100));
            }
            Err(error) if !unanswered.is_empty() && is_so_already(&error) => return Ok("OK".to_owned()),
            answer => return answer,
        }
    }
    Err(format!("{unanswered}, 20 times"))
}
