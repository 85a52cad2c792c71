//! The table is well formed.

use super::*;
use std::collections::BTreeSet;

fn all() -> impl Iterator<Item = &'static Command> {
    table().all().map(|id| table().get(id).command)
}

#[test]
fn names_are_lower_case_unique_sorted_and_found_in_any_case() {
    let names: Vec<&str> = table().all().map(|id| table().get(id).full_name.as_str()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let commands: Vec<&str> = table().commands().map(|id| table().get(id).command.name).collect();
    assert!(commands.is_sorted());
    for command in all() {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        assert!(command.name.bytes().all(plain), "{}", command.name);
    }
    for id in table().commands() {
        let name = table().get(id).command.name;
        assert_eq!(table().command(name.to_uppercase().as_bytes()), Some(id));
        assert_eq!(table().command(format!("{name}x").as_bytes()), None);
        for child in table().children(id) {
            let word = table().get(child).command.name.to_uppercase();
            assert_eq!(table().lookup(name.as_bytes(), Some(word.as_bytes())), Lookup::Found(child));
            assert_eq!(table().get(child).parent, Some(id));
        }
    }
    assert_eq!(table().command(b""), None);
}

#[test]
fn declarations_make_sense() {
    for id in table().all() {
        let entry = table().get(id);
        let (command, name) = (entry.command, &entry.full_name);
        let words = if entry.parent.is_some() { 2 } else { 1 };
        assert!(command.arity.unsigned_abs() >= words, "{name}: its own words count");
        assert!(entry.parent.is_none() || command.subcommands.is_empty(), "{name}: two levels at most");
        assert!(command.summary.ends_with('.') && !command.since.is_empty(), "{name}");
        let told: BTreeSet<&str> = command.flags.iter().filter_map(|flag| flag.name()).collect();
        assert_eq!(told.len(), command.flags.len(), "{name}: a flag twice, or one of the engine's own");
        assert!(!(command.has(Flag::Write) && command.has(Flag::Readonly)), "{name}");
        assert!(command.subcommands.is_empty() || command.keys.is_empty(), "{name}: the keys are its subcommands'");
    }
}

#[test]
fn what_the_engine_treats_in_its_own_way() {
    let with = |flag: Flag| table().all().map(|id| table().get(id)).filter(move |entry| entry.command.has(flag));
    let names = |flag: Flag| with(flag).map(|entry| entry.full_name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(Flag::RunsQueue), ["exec"]);
    assert_eq!(names(Flag::NotQueued), ["discard", "exec", "multi", "quit", "reset", "watch"]);
    assert_eq!(names(Flag::ForNext), ["asking"]);
    assert_eq!(names(Flag::Probe), ["ping"]);
    let logged = "flushall flushdb shutdown cluster|addvoter cluster|delvoter cluster|failover cluster|flushslot cluster|flushslots cluster|forget cluster|meet cluster|recover cluster|replicate cluster|reset";
    assert_eq!(names(Flag::Logged).join(" "), logged);
    let as_member = "cluster|addslots cluster|addslotsrange cluster|addvoter cluster|delslots cluster|delslotsrange cluster|delvoter cluster|flushslots cluster|forget cluster|replicate cluster|setslot";
    assert_eq!(names(Flag::AsMember).join(" "), as_member);
    let others = ["cluster|failover", "cluster|meet", "cluster|raft", "cluster|recover", "cluster|reset", "cluster|saveconfig"];
    let waiting: Vec<_> = names(Flag::Waits).into_iter().filter(|name| !as_member.split(' ').any(|member| member == *name)).collect();
    assert_eq!(waiting, others, "and what only members may do");
    assert_eq!(names(Flag::Replica), ["psync", "replconf", "sync"]);
    let subscriber = ["ping", "psubscribe", "punsubscribe", "quit", "reset", "ssubscribe", "subscribe", "sunsubscribe", "unsubscribe"];
    assert_eq!(names(Flag::Subscriber), subscriber);
}

#[test]
fn what_is_streamed_without_being_a_write() {
    let streamed: Vec<&str> = table()
        .all()
        .map(|id| table().get(id))
        .filter(|entry| entry.command.may_be_streamed() && !entry.command.has(Flag::Write))
        .map(|entry| entry.full_name.as_str())
        .collect();
    assert_eq!(streamed, ["exec", "multi", "ping", "select"]);
    let writes = |name: &str| all().any(|command| command.name == name && command.has(Flag::Write));
    assert!(["set", "del", "pexpireat", "persist", "flushslot", "flushall"].into_iter().all(writes));
}

#[test]
fn the_fewest_arguments_hold_the_first_key() {
    for command in all() {
        for spec in command.keys {
            assert!(spec.step > 0 && spec.first > 0 && !spec.flags.is_empty(), "{}", command.name);
            // SUNSUBSCRIBE without a channel means all of the client's own.
            let bound = u32::from(spec.first) < command.arity.unsigned_abs() || command.name == "sunsubscribe";
            assert!(bound, "{}: the arity lets the key be missing", command.name);
            assert!(spec.last < 0 || spec.last >= i16::try_from(spec.first).unwrap(), "{}", command.name);
            let access = spec.flags.iter().filter(|flag| flag.name() == flag.name().to_uppercase()).count();
            let channel = spec.flags.contains(&KeyFlag::NotKey);
            assert_eq!(access, usize::from(!channel), "{}: one of RO, RW, OW, RM", command.name);
            assert_eq!(channel, command.has(Flag::PubSub), "{}: what has the slot of a channel is about channels", command.name);
        }
        let keyed = !command.keys.is_empty();
        assert!(
            keyed || !command.has(Flag::Readonly) || matches!(command.name, "dbsize" | "keys" | "scan" | "randomkey"),
            "{}",
            command.name
        );
    }
}

#[test]
fn key_places() {
    let places = |first, last, step, count| KeySpec::range(first, last, step, &[]).indices(count).collect::<Vec<_>>();
    assert_eq!(places(1, 1, 1, 2), [1]);
    assert_eq!(places(1, -1, 1, 4), [1, 2, 3]);
    assert_eq!(places(1, -1, 2, 5), [1, 3]);
    assert_eq!(places(1, -2, 1, 4), [1, 2]);
    assert_eq!(places(2, 2, 1, 2), []);
    assert_eq!(places(1, -1, 1, 1), []);
    assert_eq!(places(1, -5, 1, 2), []);
}

/// But for those that replicas say.
#[test]
fn every_command_is_asked_of_valkey_too() {
    let shapes = include_str!("../../../scripts/lockstep_commands.py");
    let names = table().commands().map(|id| table().get(id).command.name);
    let missing: Vec<&str> = names.filter(|name| !shapes.contains(&format!("\"{}\"", name.to_ascii_uppercase()))).collect();
    assert_eq!(missing, ["failover", "psync", "replconf"]);
}
