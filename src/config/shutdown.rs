//! In which way the process is to end: the words of SHUTDOWN, and of `shutdown-on-sigterm` and `shutdown-on-sigint`.
//!
//! Owns: the words, which of them do not go together, and their text. Must not: end anything. Contract: docs/operations.md, "Upgrading: a
//! rolling restart".

use super::value::{Kind, Setting};
use super::words::{Word, list};

/// Whether the keys are saved before the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LastSave {
    /// If there are save points.
    #[default]
    IfUsual,
    /// In any case.
    Yes,
    /// In no case.
    No,
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownOptions {
    /// `save` or `nosave`.
    pub save: LastSave,
    /// Nothing is handed over first.
    pub now: bool,
    /// What would call the end off does not: a save that fails, or what `safe` asks for.
    pub force: bool,
    /// The process does not end while its slots would be nobody's.
    pub safe: bool,
    /// A replica takes over first: what is done in any case.
    pub failover: bool,
}

/// Why a word cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordRefused {
    /// There is no such word.
    Unknown,
    /// `save` and `nosave`.
    Contradiction,
}

/// The words in the order in which they are shown; the first is for none of the others.
const WORDS: [&str; 7] = ["default", "save", "nosave", "now", "force", "safe", "failover"];

impl ShutdownOptions {
    /// Takes a word, in any case of letters.
    ///
    /// # Errors
    /// The word is refused, with nothing changed.
    pub fn take(&mut self, word: &[u8]) -> Result<(), WordRefused> {
        let word = WORDS.iter().find(|known| word.eq_ignore_ascii_case(known.as_bytes()));
        match (*word.ok_or(WordRefused::Unknown)?, self.save) {
            ("save", LastSave::No) | ("nosave", LastSave::Yes) => return Err(WordRefused::Contradiction),
            ("save", _) => self.save = LastSave::Yes,
            ("nosave", _) => self.save = LastSave::No,
            ("now", _) => self.now = true,
            ("force", _) => self.force = true,
            ("safe", _) => self.safe = true,
            ("failover", _) => self.failover = true,
            _ => {}
        }
        Ok(())
    }
}

impl Setting for ShutdownOptions {
    fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
        let unknown = || format!("argument(s) must be one of the following: {}", WORDS.join(", "));
        let mut options = Self::default();
        let mut any = false;
        for word in list(words) {
            any = true;
            options.take(word.as_bytes()).map_err(|refused| match refused {
                WordRefused::Unknown => unknown(),
                WordRefused::Contradiction => "shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned(),
            })?;
        }
        if any { Ok(options) } else { Err(unknown()) }
    }

    fn show(&self) -> String {
        let Self { save, now, force, safe, failover } = *self;
        let said = [false, save == LastSave::Yes, save == LastSave::No, now, force, safe, failover];
        let words: Vec<&str> = WORDS.iter().zip(said).filter(|(_, said)| *said).map(|(word, _)| *word).collect();
        if words.is_empty() { WORDS[0].to_owned() } else { words.join(" ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What redis-server 7.0 shows and refuses, with the words that Valkey has beside.
    #[test]
    fn words_are_shown_in_their_order_and_contradictions_refused() {
        let read = |text: &str| ShutdownOptions::read(&Kind::ShutdownOptions, &[text.into()]).map(|options| options.show());
        let shown =
            [("default", "default"), ("default save", "save"), ("save default", "save"), ("NOW force", "now force"), ("save save", "save")];
        for (text, shows) in shown.into_iter().chain([("failover safe force now nosave", "nosave now force safe failover")]) {
            assert_eq!(read(text).as_deref(), Ok(shows), "{text}");
        }
        let unknown = "argument(s) must be one of the following: default, save, nosave, now, force, safe, failover";
        let contradiction = "shutdown options SAVE and NOSAVE can't be used simultaneously";
        for (text, refused) in [("", unknown), ("bogus save", unknown), ("save nosave", contradiction), ("nosave now save", contradiction)]
        {
            assert_eq!(read(text), Err(refused.to_owned()), "{text}");
        }
    }
}
