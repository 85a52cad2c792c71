//! How vectors grow and shrink where there are many small ones: by an eighth, not by doubling, because the slack is paid for every bucket.

/// Makes room for `more` items.
pub(super) fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(step::<T>(vec.len())));
    }
}

/// Gives memory back once the slack is more than growing would leave, so that the two do not alternate.
pub(super) fn trim<T>(vec: &mut Vec<T>) {
    if vec.capacity() - vec.len() > 3 * step::<T>(vec.len()) {
        vec.shrink_to(if vec.is_empty() { 0 } else { vec.len() + step::<T>(vec.len()) });
    }
}

/// An eighth, but no less than the allocator's own grain.
fn step<T>(len: usize) -> usize {
    (len / 8).max(16 / size_of::<T>()).max(1)
}
