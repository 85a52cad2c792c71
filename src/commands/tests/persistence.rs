//! SAVE and its kin, and what is refused while keys are loaded or cannot be saved.

use super::*;
use crate::config::Config;

const MISCONF: &str = "-MISCONF Redis is configured to save RDB snapshots";
const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";

#[test]
fn one_save_at_a_time() {
    let mut desk = Desk::new();
    desk.server.persistence.saved_at = 1_700_000_001_234;
    assert_eq!(desk.ask("lastsave"), ":1700000001\r\n");
    assert_eq!(desk.wait("save"), Wait::Save);
    assert_eq!(desk.resume(WaitOutcome::Done), (Flow::Done, "+OK\r\n".to_owned()));
    for bad in ["bgsave now", "bgsave schedule now"] {
        assert_eq!(desk.ask(bad), "-ERR syntax error\r\n");
    }
    assert_eq!(desk.ask("bgsave"), "+Background saving started\r\n");
    assert!(std::mem::take(&mut desk.server.persistence.save_asked));
    desk.server.persistence.saving_since = Some(desk.now.mono);
    for line in ["save", "bgsave", "bgsave schedule"] {
        assert_eq!(desk.ask(line), "-ERR Background save already in progress\r\n");
    }
    desk.server.persistence.saving_since = None;
    desk.ask("multi");
    assert_eq!(desk.ask("save"), "-ERR Command not allowed inside a transaction\r\n");
    desk.ask("discard");
    desk.ask("multi");
    desk.ask("bgsave");
    assert_eq!(desk.ask("exec"), "*1\r\n+Background saving scheduled\r\n");
}

#[test]
fn what_was_flushed_does_not_wait_for_a_save_point() {
    let mut desk = Desk::new();
    desk.ask("flushall");
    assert!(std::mem::take(&mut desk.server.persistence.save_asked));
    desk.ask("set k v");
    desk.ask("flushall");
    assert!(desk.ask("info persistence").contains("rdb_changes_since_last_save:0\r\n"), "as where FLUSHALL saves before it answers");
    desk.server.persistence.save_asked = false;
    desk.config.set(&[("save", "")]).unwrap();
    desk.ask("flushall");
    assert!(!desk.server.persistence.save_asked);
}

#[test]
fn writes_are_refused_while_they_could_not_be_saved() {
    let mut desk = Desk::new();
    desk.ask("multi");
    desk.ask("set a 1");
    desk.server.persistence.failed = true;
    assert!(desk.ask("exec").starts_with("-EXECABORT Transaction discarded because of: MISCONF"));
    for line in ["set a 1", "del a", "flushall", "ping"] {
        assert!(desk.ask(line).starts_with(MISCONF), "{line}");
    }
    assert_eq!(desk.ask("get a"), "$-1\r\n");
    desk.ask("multi");
    assert!(desk.ask("set a 1").starts_with(MISCONF));
    assert!(desk.ask("exec").starts_with("-EXECABORT"));
    for (option, value) in [("stop-writes-on-bgsave-error", "no"), ("save", "")] {
        desk.config = Config::shipped();
        desk.config.set(&[(option, value)]).unwrap();
        assert_eq!(desk.ask("set a 1"), "+OK\r\n");
    }
}

#[test]
fn while_keys_are_loaded_only_what_needs_none_is_answered() {
    let mut desk = Desk::new();
    let began = Now { mono: 3000, wall: 1_700_000_003_000 };
    desk.server.persistence.loading = Some(Progress { began, total: 4000, done: 1000 });
    for line in ["get a", "set a 1", "ping", "save", "bgsave", "dbsize"] {
        assert_eq!(desk.ask(line), LOADING, "{line}");
    }
    let info = desk.ask("info persistence");
    for line in
        ["loading:1", "loading_start_time:1700000003", "loading_total_bytes:4000", "loading_loaded_perc:25.00", "loading_eta_seconds:6"]
    {
        assert!(info.contains(&format!("{line}\r\n")), "{line}: {info}");
    }
    assert_eq!(desk.ask("multi"), "+OK\r\n");
    assert_eq!(desk.ask("get a"), LOADING);
    assert!(desk.ask("exec").starts_with("-EXECABORT"));
}
