//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
//!
//! Owns: the match, bounded in time by pattern length x text length. Must not: allocate.

/// As in Valkey, which goes one call deeper for each: with more `*` that something follows, nothing matches. Long patterns cost as much
/// with every key.
const MAX_STARS: usize = 1000;

/// True if `pattern` matches the whole of `text`; `any_case` for names, not for keys.
pub fn matches(pattern: &[u8], text: &[u8], any_case: bool) -> bool {
    // As in Redis, even of `*`: where that is to stand for everything, nobody asks here.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` stands, and how much of the text it has taken: going back to it alone is enough.
    let mut star: Option<(usize, usize)> = None;
    let mut stars = 0;
    loop {
        if at < pattern.len() && pattern[at] == b'*' {
            at += pattern[at..].iter().take_while(|byte| **byte == b'*').count();
            star = Some((at, seen));
            stars += 1;
            match at == pattern.len() {
                true => return true,
                false if stars > MAX_STARS => return false,
                false => continue,
            }
        }
        if seen == text.len() {
            return at == pattern.len();
        }
        if let Some(next) = one(&pattern[at..], text[seen], any_case) {
            at += next;
            seen += 1;
            continue;
        }
        let Some((after, taken)) = star else { return false };
        star = Some((after, taken + 1));
        (at, seen) = (after, taken + 1);
    }
}

fn fold(byte: u8, any_case: bool) -> u8 {
    if any_case { byte.to_ascii_lowercase() } else { byte }
}

/// Matches one byte; how much of the pattern that took.
fn one(pattern: &[u8], byte: u8, any_case: bool) -> Option<usize> {
    let same = |own: u8| fold(own, any_case) == fold(byte, any_case);
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => class_matches(class, fold(byte, any_case), any_case).map(|length| 1 + length),
        [b'\\', escaped, ..] => same(*escaped).then_some(2),
        [own, ..] => same(*own).then_some(1),
    }
}

/// Matches a class, after its `[`; an unclosed one ends with the pattern.
fn class_matches(class: &[u8], byte: u8, any_case: bool) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= fold(*escaped, any_case) == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(*from, any_case), fold(*to, any_case));
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [own, ..] => {
                found |= fold(*own, any_case) == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let yes = ["*|abc", "a*c|abbc", "a?c|abc", "[a-c]x|bx", "[^a]x|bx", "\\*|*", "*a*b*c|xxaxxbxxc", "[c-a]|b", "|", "[\\]]|]", "[a|a"];
        let no = ["*|", "**|", "|a", "a|", "a*c|ab", "a?|a", "[a-c]x|dx", "[^a]x|ax", "\\*|x", "abc|ABC"];
        let check = |case: &str| {
            let (pattern, text) = case.split_once('|').unwrap();
            matches(pattern.as_bytes(), text.as_bytes(), false)
        };
        for case in yes {
            assert!(check(case), "{case}");
        }
        for case in no {
            assert!(!check(case), "{case}");
        }
        assert!(matches(b"CLUSTER-*", b"cluster-port", true));
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern: Vec<u8> = b"a*".iter().copied().cycle().take(2000).chain(*b"b").collect();
        assert!(!matches(&pattern, &[b'a'; 4000], false));
        let stars = |count: usize, end: &str| matches(format!("{}{end}", "*?".repeat(count)).as_bytes(), &[b'a'; 2000], false);
        assert!(stars(1000, "") && stars(1000, "*") && stars(1000, "**"));
        assert!(!stars(1001, ""), "nor at Valkey");
    }
}
