//! `latency-tracking-info-percentiles`: what INFO latencystats shows.
//!
//! Owns: the percentages and their text. Must not: measure. Contract: docs/operations.md, "Options".

use super::value::{Kind, Setting};
use super::words::{Word, list};

/// Numbers from 0 to 100.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Percentiles(Vec<f64>);

impl Eq for Percentiles {}

impl Percentiles {
    /// All of them, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }
}

impl Setting for Percentiles {
    fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
        let percent = |word: &str| match word.parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
            Ok(_) => Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned()),
            Err(_) => Err("Invalid latency-tracking-info-percentiles parameters".to_owned()),
        };
        list(words).map(percent).collect::<Result<_, _>>().map(Self)
    }

    fn show(&self) -> String {
        self.iter().map(|percent| percent.to_string()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_0_to_100() {
        let read = |text: &str| Percentiles::read(&Kind::Percentiles, &[text.into()]).map(|percentiles| percentiles.show());
        assert_eq!(read("05 99.90 100 0"), Ok("5 99.9 100 0".to_owned()));
        assert_eq!(read(""), Ok(String::new()));
        assert!(read("50 101").is_err() && read("-1").is_err() && read("abc").is_err() && read("nan").is_err());
    }
}
