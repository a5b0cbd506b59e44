//! What `fuzz/` and the tests of hostile input are made of; not part of the library's interface.
//!
//! [`documents`] and [`log`] have one function for each fuzz target: it takes any bytes and panics where a promise is
//! broken. [`Forge`] makes archives whose records have the right checksums and say what they should not: the archive id
//! is readable, so an attacker can make them.

pub mod documents;
mod forge;
pub mod log;

pub use forge::{Claims, Forge};

/// A fuzz target: takes any bytes and panics where a promise is broken.
pub type Target = fn(&[u8]);

/// All fuzz targets by their names.
pub const TARGETS: [(&str, Target); 8] = [
    ("canon", documents::canon),
    ("layout", documents::layout),
    ("names", documents::names),
    ("diff", documents::diff),
    ("records", log::records),
    ("segment", log::segment),
    ("packed", log::packed),
    ("archive", log::archive),
];

/// Bytes that decide what is made, from front to back; when they are used up all are zero.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices(bytes)
    }

    /// The next byte; none where they are used up.
    pub fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A number: small, or one at which something may overflow.
    pub fn number(&mut self) -> u64 {
        const EDGES: [u64; 16] = [
            u64::MAX,
            u64::MAX - 1,
            1 << 63,
            (1 << 63) - 1,
            (1 << 63) - 2,
            1 << 62,
            (1 << 62) - 1,
            1 << 48,
            1 << 32,
            (1 << 32) - 1,
            1 << 31,
            1 << 20,
            4096,
            1024,
            256,
            200,
        ];
        match self.byte() {
            small @ ..0xe0 => small.into(),
            edge @ 0xe0..0xf0 => EDGES[usize::from(edge & 15)],
            _ => {
                let mut bytes = [0; 8];
                bytes.fill_with(|| self.byte());
                u64::from_le_bytes(bytes)
            }
        }
    }

    /// A time: around now, or one at which something may overflow.
    pub fn time(&mut self) -> i64 {
        match self.byte() {
            0xff => i64::MAX,
            0xfe => i64::MIN,
            0xfd => self.number().cast_signed(),
            later => 1_700_000_000_000_000 + i64::from(later),
        }
    }

    /// Up to so many of the bytes that come next.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let count = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}
