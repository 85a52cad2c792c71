//! The simulated world: whole nodes on a network, disks and clocks that exist only here, all from one seed.
//!
//! `world` is the loop; `machine`, `hosts`, `turn`, `network`, `clock`, `queue` the world's physics; `faults`, `clones`, `odd_clocks` and
//! `disaster` what goes wrong in it; `clients`, `workload`, `writers`, `shards`, `bulk`, `resp` who uses it; `checks`, `settle` what must
//! hold; `sweep`, `stats`, `trace` what a person sees. Contract: docs/testing.md.

pub mod bulk;
pub mod checks;
pub mod clients;
pub mod clock;
pub mod clones;
pub mod disaster;
pub mod faults;
pub mod hosts;
pub mod machine;
pub mod network;
pub mod odd_clocks;
pub mod queue;
pub mod resp;
pub mod settle;
pub mod shards;
pub mod stats;
pub mod sweep;
pub mod trace;
pub mod turn;
pub mod workload;
pub mod world;
pub mod writers;
