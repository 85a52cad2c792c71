//! Who is connected, what each of them has said and listens to, and what the process counts: the state that commands look at and change.
//!
//! Owns: the state's shape. The node keeps it, so that no command owns any. Must not: know a command, a connection or a buffer.
//! Contract: docs/architecture.md, "Rooms".

mod bus_stats;
mod calls;
mod client;
mod client_list;
mod command;
mod long_reply;
mod outgoing;
mod pause;
mod persistence;
mod pubsub;
mod rate;
mod server;
mod subscriptions;
mod transaction;

pub use bus_stats::BusStats;
pub use calls::{Calls, Stopwatch, Timed};
pub use client::{Client, Replies, Totals, Watched};
pub use client_list::{Buffers, ClientList, Push};
pub use command::{Access, CommandId, KeySlots};
pub use long_reply::LongReply;
pub use outgoing::{Batch, Outgoing};
pub use pause::{Held, Pause};
pub use persistence::{Persistence, Progress};
pub use pubsub::PubSub;
pub use rate::Traffic;
pub use server::{PONTOON_VERSION, SERVER_NAME, Server, Stats, Usage, seconds};
pub use subscriptions::{Name, Scope, Subscriptions, confirm};
pub use transaction::{Execution, Queued, Transaction};
