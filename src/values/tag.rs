//! The word by which a bucket finds an entry.
//!
//! Owns: its bits. From the top: 8 of fingerprint, 1 that says outside, 23 of offset or index.

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(u32);

/// Where an entry lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Its record begins at this offset of the page.
    Page(usize),
    /// It is this one of those outside.
    Outside(usize),
}

const OUTSIDE: u32 = 1 << 23;
const NUMBER: u32 = OUTSIDE - 1;

impl Tag {
    /// No record is added that ends beyond. Far below what 23 bits can say, because records get longer afterwards: by an expiry, which at
    /// worst makes 10 bytes of 2.
    pub const PAGE_MAX: usize = 1 << 20;

    /// Of a record in the page.
    pub fn in_page(fingerprint: u8, offset: usize) -> Self {
        Self(u32::from(fingerprint) << 24 | number(offset))
    }

    /// Of one of those outside.
    pub fn outside(fingerprint: u8, index: usize) -> Self {
        Self(u32::from(fingerprint) << 24 | OUTSIDE | number(index))
    }

    /// Eight bits of the key's hash.
    pub fn fingerprint(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Where the entry lies.
    pub fn place(self) -> Place {
        let number = (self.0 & NUMBER) as usize;
        if self.0 & OUTSIDE == 0 { Place::Page(number) } else { Place::Outside(number) }
    }
}

fn number(number: usize) -> u32 {
    assert!(number <= NUMBER as usize, "a bucket holds a few dozen entries, and its page ends far below 8 MiB");
    number as u32
}
