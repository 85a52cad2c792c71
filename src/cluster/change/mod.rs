//! The changes of the cluster's metadata, as they stand in the replicated log: one file a type of entry, with all that is to be known of
//! it.
//!
//! Owns: the table of the types, and what each must say of itself (`EntryType`, [`Facts`]). Must not: know which node it runs on, or let
//! a question be left unanswered: nothing here has a default. Contract: docs/protocol.md, "Log entries".

use super::Obstacle;
use super::fields::Fields;
use super::judge::Verdict;
use super::state::State;
use super::text::{EntryError, unknown_type};
use crate::types::{LogIndex, NodeId};
use log::Level;
#[cfg(test)]
use proptest::{prelude::*, strategy::Union};

mod facts;
mod failover;
mod node_fail;
mod node_forget;
mod node_info;
mod node_join;
mod node_recover;
mod set_replica_of;
mod slot_change;

pub use facts::{Facts, Rehomes, Reshapes, Succession, Taken, Takes, Touches};

/// Makes [`Change`] and what is asked of it from one row for each type of entry: the type, its name in the log, the first protocol version
/// whose nodes know it, its file.
macro_rules! entry_types {
    ($($name:ident = $text:literal, since $since:literal, in $file:ident;)*) => {
        $(pub use $file::$name;)*

        /// One change of the metadata; every field that names an epoch makes the change stale once that epoch has moved on.
        #[derive(Clone, PartialEq, Eq)]
        pub enum Change {
            $(#[doc = concat!("`", $text, "`")] $name($name),)*
        }

        /// As the entry within.
        impl std::fmt::Debug for Change {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $(Self::$name(change) => change.fmt(f),)* }
            }
        }

        $(
            impl From<$name> for Change {
                fn from(change: $name) -> Self {
                    Self::$name(change)
                }
            }
        )*

        impl Change {
            /// The name of its type in the log.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            /// The first protocol version whose nodes know this type of entry. It is appended only when every member speaks that
            /// \[N26 mixed-versions\], and what it adds to the state, and so to snapshots and nodes.conf, is written only then.
            pub fn since(&self) -> u32 {
                match self { $(Self::$name(_) => $since,)* }
            }

            /// Reads the arguments of the type with this name.
            pub(super) fn read(name: &str, fields: &mut Fields) -> Result<Self, EntryError> {
                Ok(match name {
                    $($text => Self::$name($name::read(fields)?),)*
                    unknown => return Err(unknown_type(unknown)),
                })
            }

            /// Samples of each type by itself, under its name.
            #[cfg(test)]
            pub fn samples_by_type() -> Vec<(&'static str, BoxedStrategy<Self>)> {
                vec![$(($text, $name::samples().prop_map(Self::from).boxed()),)*]
            }

            pub(super) fn entry_type(&self) -> &dyn EntryType {
                match self { $(Self::$name(change) => change,)* }
            }
        }
    };
}

entry_types! {
    NodeJoin = "NODE_JOIN", since 1, in node_join;
    NodeForget = "NODE_FORGET", since 1, in node_forget;
    SlotChange = "SLOT_CHANGE", since 1, in slot_change;
    SetReplicaOf = "SET_REPLICA_OF", since 1, in set_replica_of;
    Failover = "FAILOVER", since 1, in failover;
    NodeInfo = "NODE_INFO", since 1, in node_info;
    NodeFail = "NODE_FAIL", since 1, in node_fail;
    NodeRecover = "NODE_RECOVER", since 1, in node_recover;
}

pub use failover::FailoverKind;

/// What a type of entry says and does. Its text is read by a function of its own, `read`.
pub(super) trait EntryType {
    /// Appends its arguments, each with a space before it.
    fn write(&self, out: &mut String);

    /// About how many bytes its line takes beside what every line has.
    fn size(&self) -> usize;

    /// Why it does not apply to this state, if it does not.
    fn judge(&self, state: &State) -> Verdict;

    /// Its effect at this index of the log, on a state for which it was judged.
    fn enact(&self, index: LogIndex, state: &mut State);

    /// The same once more under the epochs of now, if what its client asked for still makes sense.
    fn renew(&self, state: &State) -> Result<Change, Obstacle>;

    /// What others must know of it.
    fn facts(&self) -> Facts<'_>;

    /// What operators read in the log of the node `reader` when it has been applied there, and `state` has come of it.
    fn news(&self, state: &State, reader: &NodeId) -> Option<(Level, String)>;
}

impl Change {
    /// What operators read in the log of the node `reader` when it has been applied there, and `state` has come of it (docs/operations.md,
    /// "What a failover says").
    pub fn news(&self, state: &State, reader: &NodeId) -> Option<(Level, String)> {
        self.entry_type().news(state, reader)
    }
}

#[cfg(test)]
impl Change {
    /// Changes of every type.
    pub fn samples() -> BoxedStrategy<Self> {
        Union::new(Self::samples_by_type().into_iter().map(|(_, samples)| samples)).boxed()
    }
}

/// One of two words.
fn word(fields: &mut Fields, name: &'static str, no: &str, yes: &str) -> Result<bool, EntryError> {
    match fields.text(name)? {
        word if word == no => Ok(false),
        word if word == yes => Ok(true),
        _ => Err(EntryError::Malformed(name)),
    }
}

#[cfg(test)]
mod tests;
