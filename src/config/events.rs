//! `notify-keyspace-events`: which classes of events about keys are published, and on which channels.
//!
//! Owns: the classes, their letters and their text. Must not: know an event. Contract: docs/operations.md, "Options".

use super::value::{Kind, Setting};
use super::words::{Word, plain};

/// A class of events, or (the first two) a kind of channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EventClass {
    /// `__keyspace@0__:<key>` is told the event.
    Keyspace,
    /// `__keyevent@0__:<event>` is told the key.
    Keyevent,
    /// Of keys of any type.
    Generic,
    /// Of strings.
    String,
    /// Of lists.
    List,
    /// Of sets.
    Set,
    /// Of hashes.
    Hash,
    /// Of sorted sets.
    SortedSet,
    /// A key was removed because it had expired.
    Expired,
    /// A key was evicted.
    Evicted,
    /// Of streams.
    Stream,
    /// Of modules' types.
    Module,
    /// A key was made.
    New,
    /// A read found no key.
    KeyMiss,
}

impl EventClass {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The classes that `A` stands for, in the order in which Redis shows them.
const ALL: [(char, EventClass); 10] = [
    ('g', EventClass::Generic),
    ('$', EventClass::String),
    ('l', EventClass::List),
    ('s', EventClass::Set),
    ('h', EventClass::Hash),
    ('z', EventClass::SortedSet),
    ('x', EventClass::Expired),
    ('e', EventClass::Evicted),
    ('t', EventClass::Stream),
    ('d', EventClass::Module),
];
/// Those that have to be named.
const OTHERS: [(char, EventClass); 4] =
    [('n', EventClass::New), ('K', EventClass::Keyspace), ('E', EventClass::Keyevent), ('m', EventClass::KeyMiss)];

const fn bits_of_all() -> u16 {
    let (mut bits, mut at) = (0, 0);
    while at < ALL.len() {
        bits |= ALL[at].1.bit();
        at += 1;
    }
    bits
}

/// A set of classes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeyspaceEvents(u16);

impl KeyspaceEvents {
    /// Whether it holds this one.
    pub const fn has(self, class: EventClass) -> bool {
        self.0 & class.bit() != 0
    }

    /// Whether events of this class are published: the class was named, and a kind of channel too.
    pub const fn tells(self, class: EventClass) -> bool {
        self.has(class) && (self.has(EventClass::Keyspace) || self.has(EventClass::Keyevent))
    }
}

impl Setting for KeyspaceEvents {
    fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
        let word = plain(words)?;
        let bits = |letter: char| match letter {
            'A' => Some(bits_of_all()),
            _ => ALL.iter().chain(&OTHERS).find(|(known, _)| *known == letter).map(|(_, class)| class.bit()),
        };
        let all: Option<u16> = word.chars().try_fold(0, |all, letter| Some(all | bits(letter)?));
        all.map(Self).ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into())
    }

    fn show(&self) -> String {
        let whole = self.0 & bits_of_all() == bits_of_all();
        let classes = ALL.iter().filter(|_| !whole).chain(&OTHERS);
        whole.then_some('A').into_iter().chain(classes.filter(|(_, class)| self.has(*class)).map(|(letter, _)| *letter)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KeyspaceEvents, String> {
        KeyspaceEvents::read(&Kind::KeyspaceEvents, &[text.into()])
    }

    #[test]
    fn letters_are_read_in_any_order_and_shown_in_redis_order() {
        for (text, shown) in
            [("", ""), ("KEA", "AKE"), ("AKE$", "AKE"), ("Kx$", "$xK"), ("mdtexzhsl$gEK", "AKEm"), ("Knm", "nKm"), ("AEn", "AnE")]
        {
            assert_eq!(read(text).unwrap().show(), shown, "{text}");
        }
        for bad in ["Q", "ag", "K E", "é"] {
            assert_eq!(read(bad), Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_class_without_a_channel_tells_nothing() {
        assert!(read("K$").unwrap().tells(EventClass::String) && read("E$").unwrap().tells(EventClass::String));
        for silent in ["$", "K", "KEg", ""] {
            assert!(!read(silent).unwrap().tells(EventClass::String), "{silent}");
        }
        assert!(!read("KEA").unwrap().tells(EventClass::KeyMiss) && !read("KEA").unwrap().tells(EventClass::New));
    }
}
