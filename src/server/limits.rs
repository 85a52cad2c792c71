//! What the process may open.
//!
//! Owns: raising the limit of open files, and how it is divided between clients and everything else. Must not: change the configuration;
//! the caller does.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a node needs at least beside clients: standard streams, the log, nodes.conf with its lock and spare, the dump, listeners, the queue
/// of events, and some links.
const LEAST: u64 = 32;
/// What is kept for that if there is enough: the links to the members of a cluster of a hundred.
const RESERVED: u64 = 128;

/// The limit of open files is too low for a node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Your current 'ulimit -n' of {limit} is not enough for the server to start. Please increase your open file limit to at least {}. Exiting.",
    files_for(*wanted)
)]
pub struct TooLow {
    limit: u64,
    /// Clients.
    wanted: u32,
}

/// Raises the limit of open files as far as the system allows; what it is then.
pub fn raise() -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { limits.maximum } else { limits.current };
    limit.unwrap_or(u64::MAX)
}

/// How many clients there can be beside all else that a node opens. Half of few files are kept for that, never fewer than it needs.
///
/// # Errors
/// If that leaves none; `wanted` is how many there were to be.
pub fn room_for_clients(limit: u64, wanted: u32) -> Result<u32, TooLow> {
    let room = limit.saturating_sub((limit / 2).clamp(LEAST, RESERVED));
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    if room == 0 { Err(TooLow { limit, wanted }) } else { Ok(room) }
}

/// How many files it takes for so many clients.
pub fn files_for(clients: u32) -> u64 {
    u64::from(clients) + RESERVED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_divided_and_too_few_refused() {
        for (limit, room) in [(33, 1), (64, 32), (100, 50), (256, 128), (1024, 896), (10_128, 10_000), (u64::MAX, u32::MAX)] {
            assert_eq!(room_for_clients(limit, 10_000), Ok(room), "{limit}");
        }
        let rooms: Vec<u32> = (33..2000).map(|limit| room_for_clients(limit, 1).unwrap()).collect();
        assert!(rooms.is_sorted());
        assert_eq!(files_for(10_000), 10_128);
        for limit in 0..=32 {
            let text = room_for_clients(limit, 10_000).unwrap_err().to_string();
            assert!(text.contains(&format!("'ulimit -n' of {limit} is not enough")) && text.contains("at least 10128."), "{text}");
        }
    }

    #[test]
    fn the_limit_is_what_it_can_be() {
        let limit = raise();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), limit);
        assert_eq!(raise(), limit);
    }
}
