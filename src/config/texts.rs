//! Values that are kept as text, since nothing here reads them: each in one form, within the peers' bounds.
//!
//! Owns: those forms, and why another is refused (Redis' words). Must not: know any option by name.
//! Contract: docs/operations.md, "Options".

use std::str::FromStr;

use super::words::{Word, list, memory};

pub(super) fn octal(word: &str, most: i64) -> Result<String, String> {
    let value = i64::from_str_radix(word, 8).map_err(|_| "argument couldn't be parsed as an octal number")?;
    if (0..=most).contains(&value) { Ok(format!("{value:o}")) } else { Err(format!("argument must be between 0 and {most:o} inclusive")) }
}

pub(super) fn memory_or_percent(word: &str) -> Result<String, String> {
    let percent = word.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok()).map(|percent| format!("{percent}%"));
    percent.or_else(|| memory(word).map(|bytes| bytes.to_string())).ok_or_else(|| "argument must be a memory or percent value".into())
}

pub(super) fn memory_or_none(word: &str) -> Result<String, String> {
    let bytes = if word == "-1" { Some(word.to_owned()) } else { memory(word).map(|bytes| bytes.to_string()) };
    bytes.ok_or_else(|| "argument must be a memory value".into())
}

/// An address of this kind, or nothing.
pub(super) fn address<A: FromStr>(word: &str, reason: &str) -> Result<String, String> {
    if word.is_empty() || word.parse::<A>().is_ok() { Ok(word.into()) } else { Err(reason.into()) }
}

pub(super) fn oom_scores(words: &[Word]) -> Result<String, String> {
    let scores: Vec<&str> = list(words).collect();
    if scores.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let is_one = |word: &&str| word.parse::<i32>().is_ok_and(|score| (-2000..=2000).contains(&score));
    if scores.iter().all(is_one) {
        Ok(scores.join(" "))
    } else {
        Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into())
    }
}

pub(super) fn replica_of(words: &[Word]) -> Result<String, String> {
    match *list(words).collect::<Vec<_>>() {
        [] => Ok(String::new()),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Ok(String::new()),
        [host, port] if port.parse::<u16>().is_ok() => Ok(format!("{host} {port}")),
        [_, _] => Err("Invalid master port".into()),
        _ => Err("wrong number of arguments".into()),
    }
}
