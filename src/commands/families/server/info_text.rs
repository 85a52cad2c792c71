//! The form of INFO's text: sections of lines, and numbers for people.
//!
//! Owns: that form. Must not: know what is shown.

use std::fmt::{Display, Write};

/// The text under construction.
#[derive(Default)]
pub(super) struct Text(pub String);

impl Text {
    pub(super) fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.put(format_args!("# {title}\r\n"));
    }

    pub(super) fn line(&mut self, name: &str, value: impl Display) {
        self.put(format_args!("{name}:{value}\r\n"));
    }

    pub(super) fn lines(&mut self, pairs: &[(&str, &dyn Display)]) {
        for (name, value) in pairs {
            self.line(name, value);
        }
    }

    /// Bytes, and the same for people.
    pub(super) fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.put(format_args!("{name}_human:{}\r\n", human(bytes)));
    }

    pub(super) fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let written = self.0.write_fmt(text);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
}

/// Redis' form of a number of bytes: `1.75M`.
fn human(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_837_616, "1.75M"), (25_276_518_400, "23.54G")] {
            assert_eq!(human(bytes), text);
        }
    }
}
