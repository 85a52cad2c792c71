//! What the process may open.
//!
//! Owns: raising the limit of open files to what `maxclients` needs. Must not: change the configuration; the caller does.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside clients: listeners, bus links, nodes.conf, the log.
const RESERVED: u64 = 128;

/// Raises the limit of open files for so many clients; how many it really allows.
pub fn allow_clients(wanted: u32) -> u32 {
    let limits = getrlimit(Resource::Nofile);
    let needed = u64::from(wanted) + RESERVED;
    let mut current = limits.current.unwrap_or(u64::MAX);
    if current < needed {
        let raised = limits.maximum.map_or(needed, |most| most.min(needed));
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limits.maximum }).is_ok() {
            current = raised;
        }
    }
    let room = current.saturating_sub(RESERVED).max(1);
    wanted.min(u32::try_from(room).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_clients_than_wanted_and_at_least_one() {
        assert_eq!(allow_clients(1), 1);
        assert!((1..=u32::MAX).contains(&allow_clients(u32::MAX)));
    }
}
