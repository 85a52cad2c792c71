//! How vectors grow and shrink where there are many small ones: by a sixteenth, not by doubling, because the slack is paid for every
//! bucket.

/// Makes room for `more` items.
pub fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(step::<T>(vec.len())));
    }
}

/// Gives memory back once the slack is more than growing would leave, so that the two do not alternate.
pub fn trim<T>(vec: &mut Vec<T>) {
    if vec.capacity() - vec.len() > 6 * step::<T>(vec.len()) {
        vec.shrink_to(if vec.is_empty() { 0 } else { with_slack::<T>(vec.len()) });
    }
}

/// So many items, and room for as many more as growing leaves.
pub fn with_slack<T>(len: usize) -> usize {
    len + step::<T>(len)
}

/// A sixteenth, but no less than the allocator's own grain.
fn step<T>(len: usize) -> usize {
    (len / 16).max(16 / size_of::<T>()).max(1)
}
