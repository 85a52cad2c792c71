//! `protected-mode`: whether clients of other hosts are refused while there is no password.
//!
//! Owns: what was said, and what holds where nothing was. Must not: refuse anybody (the node does). Contract: docs/operations.md,
//! "Options".

use super::value::{Kind, Setting};
use super::words::Word;

/// What holds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Nobody has said anything: they are refused.
    #[default]
    Unsaid,
    /// Nobody has, and members on other hosts need the port: nobody is refused.
    Waived,
    /// They are refused.
    On,
    /// They are not.
    Off,
}

impl Protection {
    /// Whether clients of other hosts are refused, if there is no password.
    pub fn is_on(self) -> bool {
        matches!(self, Self::Unsaid | Self::On)
    }

    /// What a file may keep: nobody has asked for it to be waived.
    pub(super) fn as_said(self) -> Self {
        if self == Self::Waived { Self::Unsaid } else { self }
    }
}

impl Setting for Protection {
    fn read(kind: &Kind, words: &[Word]) -> Result<Self, String> {
        bool::read(kind, words).map(|on| if on { Self::On } else { Self::Off })
    }

    fn show(&self) -> String {
        self.is_on().show()
    }
}
