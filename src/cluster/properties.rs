//! What holds for all inputs: texts round-trip, any bytes are read without a panic, and a history through a snapshot is the same history.

use super::samples::{a_leader_would_append, addresses, entries, histories, nodes, step, young};
use super::*;
use crate::raft::{Body, Entry, Log};
use proptest::option;
use proptest::prelude::*;

fn through_text(state: &State) -> State {
    let mut text = String::new();
    state.write_snapshot(None, &mut text);
    let (restored, own) = parse_snapshot(&text, false).expect("what was written is read");
    assert_eq!(own, None);
    restored
}

fn grown(history: &[(ClusterEntry, bool)]) -> State {
    let mut state = young();
    for (entry, renew) in history {
        let entry = step(&state, entry, *renew);
        if a_leader_would_append(&state, &entry.body) {
            state.apply(state.last_applied() + 1, &entry);
            state.check();
        }
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_address_reads_back(address in addresses()) {
        prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
    }

    #[test]
    fn an_entry_reads_back(entry in entries()) {
        let mut text = String::new();
        format_entry(&entry, &mut text);
        prop_assert_eq!(parse_entry(&text), Ok(entry));
    }

    #[test]
    fn any_text_is_an_entry_or_an_error(text in "\\PC{0,80}", entry in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = parse_entry(&text);
        let mut good = String::new();
        format_entry(&entry, &mut good);
        let mut bytes = good.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Ok(entry)) = std::str::from_utf8(&bytes).map(parse_entry) {
            let mut again = String::new();
            format_entry(&entry, &mut again);
            prop_assert_eq!(parse_entry(&again), Ok(entry));
        }
    }

    #[test]
    fn a_history_through_a_snapshot_is_the_same_history(history in histories(60), cut in 0usize..60) {
        let mut straight = young();
        let mut detour = straight.clone();
        for (at, (entry, renew)) in history.iter().enumerate() {
            let entry = step(&straight, entry, *renew);
            if a_leader_would_append(&straight, &entry.body) {
                let index = straight.last_applied() + 1;
                let before = straight.clone();
                let outcome = straight.apply(index, &entry);
                prop_assert_eq!(detour.apply(index, &entry), outcome);
                if let Entry { origin: None, body: Body::App(change), .. } = &entry {
                    prop_assert_eq!(before.would(change), outcome);
                }
                straight.check();
            }
            if at == cut {
                detour = through_text(&detour);
                detour.check();
            }
            prop_assert_eq!(straight.hash(), detour.hash());
        }
        prop_assert_eq!(straight, detour);
    }

    /// What waits to be applied is bounded by it, so that the file is.
    #[test]
    fn an_entry_s_line_is_no_longer_than_it_is_counted(entry in entries(), index in 1u64..1 << 43) {
        let mut line = format!("log 01234567 {index} ");
        format_entry(&entry, &mut line);
        let mut log = Log::new(index - 1, 0);
        log.push(entry);
        prop_assert!((line.len() as u64) < log.bytes(index, index + 1), "{line}");
    }

    #[test]
    fn any_text_is_a_snapshot_or_an_error(text in "(\\PC{0,40}\n){0,6}", in_file in any::<bool>()) {
        let _ = parse_snapshot(&text, in_file);
    }

    #[test]
    fn a_damaged_snapshot_is_refused_or_holds_every_invariant(
        history in histories(30),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..4, any::<char>()), 1..4),
        mine in option::of(nodes()),
    ) {
        let own = mine.map(|me| Own { me, incarnation: 3, term: 4, voted_for: Some(me) });
        let mut text = String::new();
        grown(&history).write_snapshot(own.as_ref(), &mut text);
        let mut chars: Vec<char> = text.chars().collect();
        for (from, to, kind, new) in edits {
            let (from, to) = (from.index(chars.len()), to.index(chars.len()));
            match kind {
                0 => chars[from] = new,
                1 => chars[from] = chars[to],
                2 => drop(chars.remove(from)),
                _ => {
                    let (low, high) = (from.min(to), from.max(to).min(from.min(to) + 90));
                    let copy: Vec<char> = chars[low..high].to_vec();
                    chars.splice(low..low, copy);
                }
            }
        }
        let damaged: String = chars.into_iter().collect();
        if let Ok((state, _)) = parse_snapshot(&damaged, mine.is_some()) {
            prop_assert_eq!(state.violated(), Ok(()));
            prop_assert_eq!(through_text(&state), state);
        }
    }
}
