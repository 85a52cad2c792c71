//! The arguments of one request: borrowed from the receive buffer, or kept for later.
//!
//! Owns: access by place, and which of them may be shared rather than copied: long ones of a request that has a buffer of its own. Must
//! not: know what the arguments mean.

use crate::values::{Bytes, LONG, Shared};

/// A stretch of a buffer; requests are bounded far below 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range32 {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A request's arguments, the command name first. Cheap to copy; every slice lives as long as the buffer.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    /// Each lies within `buf`: whoever builds an `Args` takes them from a parse of that buffer.
    ranges: &'a [Range32],
    /// All of `buf`, if others may hold it too.
    shared: Option<&'a Shared>,
}

impl<'a> Args<'a> {
    pub(super) fn new(buf: &'a [u8], ranges: &'a [Range32]) -> Self {
        Self { buf, ranges, shared: None }
    }

    pub(super) fn within(shared: &'a Shared, ranges: &'a [Range32]) -> Self {
        Self { buf: shared, ranges, shared: Some(shared) }
    }

    /// Whether long ones can be shared.
    pub fn are_shared(self) -> bool {
        self.shared.is_some()
    }

    /// How many there are, the command name included.
    pub fn len(self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.ranges.is_empty()
    }

    /// The argument in this place, which must exist: the command table's arity has been checked before a handler runs.
    pub fn get(self, place: usize) -> &'a [u8] {
        self.slice(self.ranges[place])
    }

    /// The argument in this place, if there is one.
    pub fn nth(self, place: usize) -> Option<&'a [u8]> {
        self.ranges.get(place).map(|range| self.slice(*range))
    }

    /// All but the first `count`; none if there are fewer.
    pub fn skip(self, count: usize) -> Self {
        Self { ranges: self.ranges.get(count..).unwrap_or_default(), ..self }
    }

    /// The argument in this place, which must exist, for who keeps it: shared if it is long, and most of what would be kept with it.
    pub fn value(self, place: usize) -> Bytes<'a> {
        self.piece(self.ranges[place])
    }

    /// All of them so, in order.
    pub fn pieces(self) -> impl ExactSizeIterator<Item = Bytes<'a>> + Clone {
        self.ranges.iter().map(move |range| self.piece(*range))
    }

    fn piece(self, range: Range32) -> Bytes<'a> {
        let (start, end) = (range.start as usize, range.end as usize);
        let shared = self.shared.filter(|_| end - start >= LONG).map(|shared| shared.part(start..end));
        shared.filter(Shared::is_most).map_or_else(|| self.slice(range).into(), Bytes::from)
    }

    /// In order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone {
        self.ranges.iter().map(move |range| self.slice(*range))
    }

    fn slice(self, range: Range32) -> &'a [u8] {
        &self.buf[range.start as usize..range.end as usize]
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::escape_ascii).map(|text| text.to_string())).finish()
    }
}

/// Arguments that outlive the receive buffer: a command queued by MULTI, or one that waits.
#[derive(Clone, Debug)]
pub struct OwnedArgs {
    buf: Buffer,
    ranges: Box<[Range32]>,
}

#[derive(Clone, Debug)]
enum Buffer {
    Own(Box<[u8]>),
    Shared(Shared),
}

impl OwnedArgs {
    /// The same arguments to borrow.
    pub fn as_args(&self) -> Args<'_> {
        match &self.buf {
            Buffer::Own(buf) => Args::new(buf, &self.ranges),
            Buffer::Shared(shared) => Args::within(shared, &self.ranges),
        }
    }

    /// How many bytes it holds, for limits on what a client may queue.
    pub fn size(&self) -> usize {
        self.as_args().buf.len() + size_of_val(&*self.ranges)
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        match args.shared {
            Some(shared) => Self { buf: Buffer::Shared(shared.clone()), ranges: args.ranges.into() },
            None => args.iter().collect(),
        }
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for OwnedArgs {
    /// Together they must stay below 4 GiB; what a parser returned always does.
    fn from_iter<I: IntoIterator<Item = T>>(args: I) -> Self {
        let (mut buf, mut ranges) = (Vec::new(), Vec::new());
        for arg in args {
            let start = buf.len();
            buf.extend_from_slice(arg.as_ref());
            let end = u32::try_from(buf.len()).expect("a request's arguments stay below 4 GiB: the parser bounds them");
            ranges.push(Range32 { start: start as u32, end });
        }
        Self { buf: Buffer::Own(buf.into()), ranges: ranges.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_arguments_read_like_borrowed_ones() {
        let owned: OwnedArgs = ["SET", "", "value"].iter().collect();
        let args = owned.as_args();
        assert_eq!(args.len(), 3);
        assert_eq!((args.get(0), args.get(1), args.nth(2), args.nth(3)), (&b"SET"[..], &b""[..], Some(&b"value"[..]), None));
        assert_eq!(args.iter().next_back(), Some(&b"value"[..]));
        assert_eq!(args.skip(1).get(1), b"value");
        assert!(args.skip(9).is_empty());
        assert!(OwnedArgs::from(args).as_args().iter().eq(args.iter()));
        assert_eq!(OwnedArgs::from(args.skip(2)).size(), 5 + 8);
        assert_eq!(format!("{args:?}"), r#"["SET", "", "value"]"#);
    }
}
