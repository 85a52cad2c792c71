//! Linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing"): growing by one bucket at a time.
//!
//! Owns: which of n buckets a hash belongs to, and the places by which scans go. Must not: know what is in a bucket.
//!
//! With n buckets and 2^l <= n < 2^(l+1), a hash's address is its low l+1 bits if that is below n, else its low l bits. Growing
//! appends bucket n, which takes half of bucket n - 2^l; shrinking undoes exactly that.
//!
//! Read from the lowest bit on, the bits that a bucket's hashes share are a prefix. Ordered by their bits in reverse ("place"), a bucket's
//! hashes are a range, splitting cuts it in two, and the ranges of all buckets cover all places. A scan walks the places: however the
//! dictionary changes between its steps, each step yields exactly the entries between two places, so that what is there throughout is
//! yielded once.

/// Which of `buckets` holds the entries with this address.
pub fn address(address: u32, buckets: usize) -> usize {
    let low = 1 << buckets.ilog2();
    let wide = address as usize & (2 * low - 1);
    if wide < buckets { wide } else { wide & (low - 1) }
}

/// How many low bits the addresses in a bucket share.
pub fn depth(number: usize, buckets: usize) -> u32 {
    let low = 1 << buckets.ilog2();
    if number >= low || number + low < buckets { buckets.ilog2() + 1 } else { buckets.ilog2() }
}
