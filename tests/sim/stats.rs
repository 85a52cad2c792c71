//! What a sweep saw: a simulator that never crashed a node proves nothing about crashes.

use std::fmt;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of what happened.
        #[derive(Clone, Default, Debug, PartialEq, Eq)]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        impl Stats {
            /// Adds another run's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Every count by its name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

stats! {
    /// Simulated seconds.
    seconds,
    /// Turns of nodes.
    turns,
    /// Messages whose promise was compared with the disk.
    promises,
    /// Leaders of clusters that had one before.
    elections,
    /// Votes granted.
    votes,
    /// Entries committed.
    commits,
    /// Committed changes of slot owners.
    slot_changes,
    /// Changes that a client was told were made.
    acknowledged,
    /// Changes whose answer never came.
    unanswered,
    /// Snapshots sent.
    snapshots,
    /// Members joined.
    joins,
    /// Members forgotten.
    forgets,
    /// Primaries that were to be forgotten just after they had handed over.
    forgotten_predecessors,
    /// Slots of a primary moved by many clients at once.
    bulk_moves,
    /// Nodes reset by request.
    resets,
    /// Voting entries that added.
    voters_added,
    /// Voting entries that removed.
    voters_removed,
    /// Failed voters removed by a leader of its own accord.
    replacements,
    /// Options changed at run time.
    options_set,
    /// Processes killed.
    kills,
    /// Machines without power.
    power_cuts,
    /// All processes at once.
    blackouts,
    /// Files that a power cut tore.
    torn_writes,
    /// Files whose un-synced bytes a power cut lost.
    lost_writes,
    /// Renames that a power cut lost.
    lost_renames,
    /// Crashes in the middle of a write, sync or rename.
    crashes_in_writes,
    /// Writes, syncs and renames that failed.
    disk_errors,
    /// Writes that took a part only.
    short_writes,
    /// Syncs that took a tenth of a second or more.
    stalled_syncs,
    /// Runs in which many disks were slow from some moment on, until all had settled.
    slow_runs,
    /// Files of a dead process in which bytes were damaged.
    damaged_files,
    /// Those from which a node was not started.
    damage_refused,
    /// Those whose torn end was cut off.
    damage_cut_off,
    /// Files of keys that two machines had of each other.
    files_swapped,
    /// Files with keys of other shards that were kept when keys were saved.
    foreign_files_kept,
    /// Leases and node-timeouts that were changed at run time.
    timings_set,
    /// Strangers who greeted a node and said what no node says.
    strangers,
    /// Such frames by links between members.
    hostile_frames,
    /// Processes that ended by themselves.
    exits,
    /// Graceful ends.
    shutdowns,
    /// Those that a client has asked for.
    shutdown_commands,
    /// Those that were called off, if they were not over.
    shutdowns_called_off,
    /// Shutdown-timeouts that were changed at run time.
    shutdown_timeouts_set,
    /// Ends after which nothing was to be missed.
    ends_judged,
    /// Leaders that were told to end in a settled cluster, and handed over.
    handovers,
    /// Processes stopped and continued.
    pauses,
    /// Processes stopped between what a turn does and what it says.
    stops_in_turns,
    /// Those between two clients' requests.
    stops_among_clients,
    /// Machines that were given another address.
    moves,
    /// Those whose new address had been another one's.
    addresses_reused,
    /// Addresses that went to another host while processes had connections with it.
    addresses_lent,
    /// Nodes met at an address that means another host elsewhere.
    local_meets,
    /// Dials refused by a host on which nobody has that port.
    refused_by_others,
    /// Machines cut off both ways.
    partitions,
    /// Leaders cut off from all but a primary.
    strandings,
    /// Links cut one way.
    one_way_cuts,
    /// Directions made slow.
    slow_links,
    /// Connections broken.
    resets_of_links,
    /// Connections that stood still while others went on.
    stalls,
    /// Connections begun.
    dials,
    /// Refused because no process listened.
    refused_dials,
    /// First packets that got no answer.
    lost_dials,
    /// Wall clocks set.
    clocks_set,
    /// Clocks whose rate was off by more than is promised anything.
    rates_off,
    /// Those that a settled cluster has found.
    rates_found,
    /// Clocks that went back.
    clocks_stepped_back,
    /// Processes that have seen that.
    steps_back_seen,
    /// Turns in which two nodes would have taken writes to a slot, by the fault of a clock.
    overlong_leases,
    /// Leases that ended while a disk made its process wait.
    leases_outwaited,
    /// Values read back.
    reads,
    /// Writes of numbers acknowledged.
    writes,
    /// Values sent whose sync takes many turns.
    large_values,
    /// Writes that removed a key.
    deletes,
    /// Values that a primary removed because their time was over.
    expirations,
    /// The numbers read back.
    fetches,
    /// Waits for replicas that ended well.
    waits,
    /// Acknowledged numbers that a replica had not got when it took over.
    unreplicated_writes,
    /// Numbers that their owner's process had lost by starting anew.
    lost_memories,
    /// Numbers that it had kept in its file.
    kept_memories,
    /// Processes that began with a file of keys.
    files_loaded,
    /// Replicas that went on where their file ended.
    files_continued,
    /// Replicas that took over from a failed primary.
    automatic_failovers,
    /// From a living one, with all that it had.
    manual_failovers,
    /// From one that was not asked.
    forced_failovers,
    /// Without waiting for its lease.
    takeovers,
    /// Processes that a leader found out to be gone.
    known_dead,
    /// Leases that ended before another was granted.
    lapsed_leases,
    /// Replicas that got all keys.
    full_syncs,
    /// Replicas that went on where they were.
    partial_syncs,
    /// Clusters recovered by force after most voters were lost.
    recoveries,
    /// Processes that began with a copy of another one's file, and were reported.
    clones,
    /// Runs that were asked to settle down.
    settled,
    /// Clusters whose majority an operator had taken away, so that nothing was asked of them.
    beyond_help,
}

/// What may be nothing in a sweep that is long enough.
const OPTIONAL: &[&str] = &["beyond_help", "unreplicated_writes", "overlong_leases"];

impl Stats {
    /// What never happened though it should have.
    pub fn missing(&self) -> Vec<&'static str> {
        self.all().into_iter().filter(|(name, count)| *count == 0 && !OPTIONAL.contains(name)).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().iter().try_for_each(|(name, count)| writeln!(f, "{count:>12} {}", name.replace('_', " ")))
    }
}
