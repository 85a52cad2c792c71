use super::*;
use proptest::prelude::*;
use std::cell::Cell;

thread_local!(static DRAWN: Cell<u64> = const { Cell::new(1) });

/// Other bytes at each call, the same in each run.
fn entropy(bytes: &mut [u8]) -> bool {
    let seed = DRAWN.replace(DRAWN.get() + 1);
    bytes
        .iter_mut()
        .zip(0..)
        .for_each(|(byte, at)| *byte = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at) ^ u64::from(at)) as u8);
    true
}

fn secret(letter: u8) -> Secret {
    Secret::new(&[letter; 32]).unwrap()
}

fn keys(letters: &str, is_required: bool) -> Keyring {
    Keyring::new(letters.bytes().map(secret).collect(), is_required)
}

/// One who has dialled and one who has accepted, and what each has heard.
struct Pair {
    dialler: Option<Channel>,
    acceptor: Channel,
    heard: [Vec<u8>; 2],
}

fn otherwise(keys: &Keyring) -> Otherwise {
    if keys.requires() { Otherwise::Refused } else { Otherwise::Taken }
}

impl Pair {
    fn new(dialler: &Keyring, acceptor: &Keyring) -> Self {
        Self {
            dialler: Channel::offer(dialler, entropy).unwrap(),
            acceptor: Channel::await_offer(acceptor.clone(), otherwise(acceptor), entropy),
            heard: [Vec::new(), Vec::new()],
        }
    }

    /// Carries all over until nothing is left.
    fn carry(&mut self) -> Result<(), Fault> {
        while let Some(bytes) = self.dialler.as_mut().map(take).filter(|bytes| !bytes.is_empty()) {
            self.acceptor.receive(&bytes, &mut self.heard[1])?;
            let answer = take(&mut self.acceptor);
            if let Some(dialler) = &mut self.dialler {
                dialler.receive(&answer, &mut self.heard[0])?;
            }
        }
        Ok(())
    }

    /// Both say something; whether both have heard it.
    fn talk(&mut self) -> Result<bool, Fault> {
        self.carry()?;
        match &mut self.dialler {
            Some(dialler) => assert_eq!(dialler.seal(b"HELLO"), 5),
            None => self.acceptor.receive(b"HELLO", &mut self.heard[1])?,
        }
        self.carry()?;
        self.acceptor.seal(b"HI");
        let answer = take(&mut self.acceptor);
        match &mut self.dialler {
            Some(dialler) => dialler.receive(&answer, &mut self.heard[0])?,
            None => self.heard[0].extend(answer),
        }
        Ok(self.heard == [b"HI".to_vec(), b"HELLO".to_vec()])
    }
}

fn take(channel: &mut Channel) -> Vec<u8> {
    let bytes = channel.unsent().to_vec();
    channel.sent(bytes.len());
    bytes
}

/// What becomes of a connection between two nodes, whatever each of them knows: they talk, with the key or without, or one of them says why
/// not. Never does one of them believe that they talk when the other does not.
#[test]
fn each_pair_of_nodes_talks_or_is_told_why_not() {
    let kinds = [("", false), ("A", true), ("A", false), ("AB", true), ("BA", true), ("B", true), ("B", false), ("C", true)];
    for (dials, dials_required) in kinds {
        for (accepts, accepts_required) in kinds {
            let (ours, theirs) = (keys(dials, dials_required), keys(accepts, accepts_required));
            let mut pair = Pair::new(&ours, &theirs);
            let talked = pair.talk();
            let expected = match dials.chars().next() {
                None if theirs.requires() => Err(Fault::Plain),
                None => Ok(true),
                Some(_) if accepts.is_empty() && ours.requires() => Err(Fault::NoSecret),
                Some(_) if accepts.is_empty() => Ok(true),
                Some(first) if accepts.contains(first) => Ok(true),
                Some(_) => Err(Fault::WrongSecret),
            };
            assert_eq!(talked, expected, "{dials} {dials_required} to {accepts} {accepts_required}");
            let is_keyed = expected.is_ok() && !dials.is_empty() && !accepts.is_empty();
            assert_eq!(pair.acceptor.is_proven(), is_keyed);
            assert_eq!(pair.dialler.as_ref().is_some_and(Channel::is_proven), is_keyed);
            if expected.is_err() {
                assert!(pair.heard.concat().is_empty(), "nothing was given on");
                assert!(matches!(pair.acceptor.unsent(), b"" | b"RAFT\xffKEY"), "and nothing told");
            }
        }
    }
}

/// A secret is changed in three passes, node by node: every two nodes can talk at any moment, in both directions. So it is when a cluster
/// without one gets its first, in two.
#[test]
fn every_step_of_a_rotation_leaves_all_nodes_linked() {
    let rotation = [("A", true), ("AB", true), ("BA", true), ("B", true)];
    let introduction = [("", false), ("A", false), ("A", true)];
    for passes in [&rotation[..], &introduction[..]] {
        for step in passes.windows(2) {
            for (ours, theirs) in [(step[0], step[1]), (step[1], step[0]), (step[0], step[0]), (step[1], step[1])] {
                let (ours, theirs) = (keys(ours.0, ours.1), keys(theirs.0, theirs.1));
                assert_eq!(Pair::new(&ours, &theirs).talk(), Ok(true), "{ours:?} {theirs:?}");
            }
        }
    }
    let (first, second, last) = (keys("AB", true), keys("BA", true), keys("B", true));
    let mut pair = Pair::new(&first, &second);
    pair.talk().unwrap();
    assert!(pair.acceptor.goes_on_with(&second) && !pair.acceptor.goes_on_with(&last), "who has missed the change is let go");
}

/// The records that a dialler has sent after its handshake, the last as it came, and the acceptor before them.
fn recorded() -> (Vec<Vec<u8>>, Pair) {
    let mut pair = Pair::new(&keys("A", true), &keys("A", true));
    pair.carry().unwrap();
    let dialler = pair.dialler.as_mut().unwrap();
    let records = [&b"one"[..], b"two", b"three"].map(|text| {
        dialler.seal(text);
        take(dialler)
    });
    (records.to_vec(), pair)
}

#[test]
fn what_is_changed_cut_repeated_or_moved_is_not_given_on() {
    let (records, mut pair) = recorded();
    pair.acceptor.receive(&records.concat(), &mut pair.heard[1]).unwrap();
    assert_eq!(pair.heard[1], b"onetwothree");
    for order in [&[1][..], &[0, 0], &[0, 2], &[1, 0, 2]] {
        let (records, mut pair) = recorded();
        let bytes: Vec<u8> = order.iter().flat_map(|at| records[*at].clone()).collect();
        assert_eq!(pair.acceptor.receive(&bytes, &mut pair.heard[1]), Err(Fault::Broken), "{order:?}");
        assert!(matches!(pair.heard[1].as_slice(), b"" | b"one"));
    }
    for at in 0..records[0].len() {
        let (mut records, mut pair) = recorded();
        records[0][at] ^= 1;
        let taken = pair.acceptor.receive(&records[0], &mut pair.heard[1]);
        assert!(taken == Err(Fault::Broken) || at < 2 && taken == Ok(()), "a length may say that more is to come");
        assert!(pair.heard[1].is_empty() && !pair.acceptor.is_proven());
        let (mut records, mut pair) = recorded();
        records[0].remove(at);
        let _ = pair.acceptor.receive(&records.concat(), &mut pair.heard[1]);
        assert!(pair.heard[1].is_empty());
    }
}

#[test]
fn a_recording_proves_nothing_and_nobody_is_met_in_a_mirror() {
    // A whole connection, said again to another acceptor with the same secret.
    let (theirs, mut pair) = (keys("A", true), Pair::new(&keys("A", true), &keys("A", true)));
    let offer = pair.dialler.as_ref().unwrap().unsent().to_vec();
    pair.talk().unwrap();
    let (records, _) = recorded();
    let mut second = Channel::await_offer(theirs.clone(), Otherwise::Refused, entropy);
    let mut heard = Vec::new();
    second.receive(&offer, &mut heard).unwrap();
    assert!(!second.is_proven() && heard.is_empty(), "an offer is no proof");
    assert_eq!(second.receive(&records[0], &mut heard), Err(Fault::Broken));
    // What a node says comes back to it.
    let mut dialler = Channel::offer(&theirs, entropy).unwrap().unwrap();
    let offer = take(&mut dialler);
    assert_eq!(dialler.receive(&offer, &mut heard), Err(Fault::Broken));
    let mut pair = Pair::new(&theirs, &theirs);
    pair.carry().unwrap();
    let dialler = pair.dialler.as_mut().unwrap();
    dialler.seal(b"HELLO");
    let said = take(dialler);
    assert_eq!(dialler.receive(&said, &mut heard), Err(Fault::Broken));
    assert!(heard.is_empty());
}

#[test]
fn long_texts_go_in_records_and_come_in_pieces() {
    let mut pair = Pair::new(&keys("A", true), &keys("A", true));
    pair.carry().unwrap();
    let text: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let (dialler, mut sealed) = (pair.dialler.as_mut().unwrap(), 0);
    while sealed < text.len() {
        sealed += dialler.seal(&text[sealed..]);
    }
    let mut heard = Vec::new();
    for piece in take(dialler).chunks(1000) {
        pair.acceptor.receive(piece, &mut heard).unwrap();
    }
    assert!(heard == text);
    assert!(dialler.unsent.capacity() <= 2 * records::MOST_SEALED, "its memory is given back");
}

#[test]
fn a_client_is_heard_from_its_first_byte() {
    for text in [&b"R"[..], b"RAFT", b"*1\r\n$4\r\nPING\r\n", b"RAFT\xffNAY\r\n"] {
        let mut channel = Channel::await_offer(keys("A", true), Otherwise::Taken, entropy);
        let mut heard = Vec::new();
        text.iter().for_each(|byte| channel.receive(&[*byte], &mut heard).unwrap());
        channel.receive(b"PING\r\n", &mut heard).unwrap();
        assert_eq!(heard, [text, b"PING\r\n"].concat());
        assert!(channel.is_plain() && !channel.is_proven());
    }
}

#[test]
fn without_entropy_nothing_is_offered_or_answered() {
    let keys = keys("A", true);
    assert_eq!(Channel::offer(&keys, |_| false).err(), Some(Fault::Broken));
    let offer = take(&mut Channel::offer(&keys, entropy).unwrap().unwrap());
    let mut acceptor = Channel::await_offer(keys, Otherwise::Refused, |_| false);
    assert_eq!(acceptor.receive(&offer, &mut Vec::new()), Err(Fault::Broken));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever a stranger says, in whatever pieces, to a node with a secret: nothing is given on, and little kept.
    #[test]
    fn a_stranger_is_not_heard(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8), polite in any::<bool>(), stage in 0..3) {
        let ring = keys("AB", true);
        let mut pair = Pair::new(&ring, &ring);
        if stage > 0 {
            pair.carry().unwrap();
        }
        let channel = if stage == 2 { pair.dialler.as_mut().unwrap() } else { &mut pair.acceptor };
        let mut heard = Vec::new();
        let polite = polite.then(|| MAGIC.to_vec());
        for piece in polite.into_iter().chain(pieces) {
            if channel.receive(&piece, &mut heard).is_err() {
                break;
            }
        }
        prop_assert!(heard.is_empty() && channel.received.len() < 70_000);
    }
}
