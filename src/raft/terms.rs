//! Which terms can be, as far as a node knows that is in one itself.
//!
//! Owns: how far above the own term another's may be, and how far a node goes at once. Must not: change a term (election does).
//! Contract: docs/protocol.md, "Terms that can be".

use super::PeerFault;
use crate::types::numbers::TERM_LIMIT;
use crate::types::{NodeId, Term};

/// So far above the own term may another's be: elections count it up one by one, so nobody misses more of them. More would leave no room
/// \[N59 runaway-term\].
pub(super) const TERM_LEAD: Term = 1 << 24;
/// Who learns that others are further up comes after them at once as far as to here, and no more than [`TERM_LEAD`] at a time beyond: this
/// leaves as much again.
const FAR_TERM: Term = TERM_LIMIT / 2 - 1;

/// How far up a node goes at once that is in term `own`.
pub(super) fn reach(own: Term) -> Term {
    own.saturating_add(TERM_LEAD).clamp(FAR_TERM, TERM_LIMIT - 1)
}

/// What a node that is in term `own` makes of the term of an answer. A member that it has asked is not to be left alone because it is far
/// up: it would have to come down, and no term does \[N59 runaway-term\].
pub(super) fn heed(from: &NodeId, term: Term, own: Term) -> Result<Term, PeerFault> {
    if term >= TERM_LIMIT {
        return Err(PeerFault::BadTerm);
    }
    let heeded = term.min(reach(own));
    if check_term(term, own).is_err() {
        ::log::warn!("{from} is in term {term}, further up than elections bring anybody: going from {own} to {heeded}");
    }
    Ok(heeded)
}

/// Whether a peer can be in `term`, as far as a node knows that is in term `known`.
pub(super) fn check_term(term: Term, known: Term) -> Result<(), PeerFault> {
    if term < TERM_LIMIT && term <= known.saturating_add(TERM_LEAD) { Ok(()) } else { Err(PeerFault::BadTerm) }
}
