//! Disks that take as long for a sync as the election timeout (strace makes them): somebody leads all the same [N64 slow-disk].

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::until;
use std::time::Duration;

const LINES: &str = "cluster-node-timeout 3000\ncluster-raft-election-timeout 200";
/// An election takes two of these in a row, and its first entry two more.
const SYNC: Duration = Duration::from_millis(200);

#[test]
fn somebody_leads_however_slow_the_disks_are() {
    let mut cluster = Cluster::formed(3, &[LINES]);
    cluster.voters(3);
    for node in &mut cluster.nodes {
        node.kill();
        node.spawn_with_slow_syncs(SYNC);
    }
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.agreed();
    let leader = cluster.leader();
    cluster.nodes.remove(leader);
    let id = cluster.nodes[0].id();
    until("a change by the next leader", || cluster.nodes[1].try_ask(&format!("CLUSTER SETSLOT 0 NODE {id}")));
    assert!(cluster.nodes[0].log().contains("ms for a sync: elections are begun after"), "it is said");
}
