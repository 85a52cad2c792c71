//! `save`: after how many changes in which time the keys are saved by themselves.
//!
//! Owns: the points and their text. Must not: count changes, or save. Contract: docs/operations.md, "Saving keys".

use super::value::{Kind, Setting};
use super::words::{Word, list};
use crate::types::Millis;

/// More points are refused: nobody needs them.
const MAX_POINTS: usize = 64;

/// The keys are saved once this is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SavePoint {
    /// Since the last save.
    seconds: u64,
    /// At least so many.
    changes: u64,
}

/// All of them; none: keys are saved only by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavePoints(Vec<SavePoint>);

impl SavePoints {
    /// True if keys are never saved by themselves.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is reached by so many changes, so long after the last save (ms).
    pub fn are_reached(&self, changes: u64, since: Millis) -> bool {
        self.0.iter().any(|point| changes >= point.changes && since > point.seconds.saturating_mul(1000))
    }
}

impl Setting for SavePoints {
    fn read(kind: &Kind, words: &[Word]) -> Result<Self, String> {
        Self::default().read_onto(kind, words)
    }

    /// Adds to the points; no word at all takes all of them away.
    fn read_onto(&self, _: &Kind, words: &[Word]) -> Result<Self, String> {
        let bad = || "Invalid save parameters".to_owned();
        let numbers = list(words).map(|word| word.parse::<u64>().map_err(|_| bad()));
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
        let mut points = if numbers.is_empty() { Vec::new() } else { self.0.clone() };
        for pair in numbers.chunks(2) {
            match *pair {
                [seconds, changes] if seconds > 0 && points.len() < MAX_POINTS => points.push(SavePoint { seconds, changes }),
                _ => return Err(bad()),
            }
        }
        Ok(Self(points))
    }

    fn show(&self) -> String {
        self.0.iter().map(|point| format!("{} {}", point.seconds, point.changes)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(texts: &[&str]) -> SavePoints {
        texts.iter().fold(SavePoints::default(), |points, text| points.read_onto(&Kind::SavePoints, &[(*text).into()]).unwrap())
    }

    #[test]
    fn lines_add_up_until_one_is_empty() {
        assert_eq!(points(&["900 1", "300 10 60 10000"]).show(), "900 1 300 10 60 10000");
        assert_eq!(points(&["900 1", "", "300 10"]).show(), "300 10");
        assert!(points(&["900 1", ""]).is_empty());
        for bad in ["1", "0 1", "1 -1", "1 x", "1 2 3"] {
            assert_eq!(SavePoints::read(&Kind::SavePoints, &[bad.into()]), Err("Invalid save parameters".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_point_is_reached_by_changes_and_time() {
        let points = points(&["60 100 10 1000"]);
        assert!(!points.are_reached(99, 1_000_000) && !points.are_reached(100, 60_000) && points.are_reached(100, 60_001));
        assert!(!points.are_reached(999, 10_001) && points.are_reached(1000, 10_001));
        assert!(!SavePoints::default().are_reached(u64::MAX, u64::MAX));
    }
}
