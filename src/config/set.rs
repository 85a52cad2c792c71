//! CONFIG SET: several values at once, all or none.
//!
//! Owns: atomicity and Redis' error texts. Must not: act on a value.

use super::words::Word;
use super::{Config, Misfit, options};

/// Why CONFIG SET changed nothing; its text is the whole error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No such option.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The value is bad, or the option is fixed at start.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Refused {
        /// The option as typed.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl SetError {
    /// Clients cannot be taken in where these options, of which `port` or `bind` is one, say. As in Redis the first of the two is to blame.
    pub fn unlistened(names: &[&str]) -> Self {
        let is_port = |name: &&&str| name.eq_ignore_ascii_case("port");
        let first = names.iter().find(|name| is_port(name) || name.eq_ignore_ascii_case("bind"));
        let reason = match first.filter(is_port) {
            Some(_) => "Unable to listen on this port. Check server logs.",
            None => "Failed to bind to specified addresses.",
        };
        Self::Refused { name: first.copied().unwrap_or_default().to_owned(), reason: reason.to_owned() }
    }
}

impl Config {
    /// Whether options of these names may be set together, whatever to: that is judged before any value.
    ///
    /// # Errors
    /// The first that may not.
    pub fn check_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(), SetError> {
        let mut seen = Vec::new();
        for name in names {
            let option = options::find(name).ok_or_else(|| SetError::Unknown(name.to_owned()))?;
            let refuse = |reason: &str| Err(SetError::Refused { name: name.to_owned(), reason: reason.to_owned() });
            if !option.at_run_time {
                return refuse("can't set immutable config");
            }
            if seen.contains(&option.name) {
                return refuse("duplicate parameter");
            }
            seen.push(option.name);
        }
        Ok(())
    }

    /// Sets all of `pairs` (name, value), or none of them. What is to be said of it is in `warnings` afterwards.
    pub fn set(&mut self, pairs: &[(&str, impl AsRef<[u8]>)]) -> Result<(), SetError> {
        *self = self.with(pairs)?;
        Ok(())
    }

    /// The same as a configuration to be.
    pub fn with(&self, pairs: &[(&str, impl AsRef<[u8]>)]) -> Result<Self, SetError> {
        Self::check_names(pairs.iter().map(|(name, _)| *name))?;
        let mut next = self.clone();
        next.warnings.clear();
        for (name, value) in pairs {
            let option = options::find(name).ok_or_else(|| SetError::Unknown((*name).to_owned()))?;
            let refuse = |reason: String| SetError::Refused { name: (*name).to_owned(), reason };
            let words = if option.kind.takes_words() {
                value.as_ref().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(Word::from).collect()
            } else {
                vec![value.as_ref().to_owned()]
            };
            if option.kind.adds_up() {
                option.read(&mut next, &[]).map_err(refuse)?;
            }
            option.read(&mut next, &words).map_err(refuse)?;
            if !option.has_effect() && option.show(&next) != option.default.as_bytes() {
                next.warnings.push(format!("CONFIG SET: option '{}' is accepted, without effect", option.name));
            }
        }
        if let Some(Misfit { options: unfit, reason }) = next.misfits().into_iter().next() {
            let is_unfit = |name: &&str| options::find(name).is_some_and(|option| unfit.contains(&option.name));
            let blamed = pairs.iter().rev().map(|pair| pair.0).find(is_unfit);
            return Err(SetError::Refused { name: blamed.unwrap_or_default().to_owned(), reason });
        }
        let known = self.cautions();
        next.warnings.extend(next.cautions().into_iter().filter(|caution| !known.contains(caution)));
        Ok(next)
    }
}
