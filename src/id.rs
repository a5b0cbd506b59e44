//! Identifiers: what an object, a commit and an archive are called.
//!
//! Three types that cannot be taken for one another, and prefixes of them with the three answers a prefix can have.

use std::fmt;
use std::str::FromStr;

/// The text is not an id: wrong length or a character that is not hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {0:?} (expected {1} hexadecimal digits)")]
pub struct ParseIdError(String, usize);

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The bytes of the id.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = text.strip_prefix("b3:").unwrap_or(text);
                let bad = || ParseIdError(text.chars().take(80).collect(), $bytes * 2);
                let mut bytes = [0; $bytes];
                if digits.len() != $bytes * 2 {
                    return Err(bad());
                }
                for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
                    let high = hex_digit(pair[0]).ok_or_else(bad)?;
                    let low = hex_digit(pair[1]).ok_or_else(bad)?;
                    *byte = high << 4 | low;
                }
                Ok($name(bytes))
            }
        }
    };
}

id_type! {
    /// The plain BLAKE3-256 of an object's bytes.
    ObjectId, 32
}
id_type! {
    /// The id of a commit: a keyed hash over its content and the ids of its parents.
    CommitId, 32
}
id_type! {
    /// The random identity of an archive.
    ArchiveId, 16
}
id_type! {
    /// What a path is known by in one archive: the first eight bytes of a keyed hash of it.
    PathKey, 8
}

impl PathKey {
    /// The key as a signed number in the order of the keys, for the index.
    pub(crate) fn number(self) -> i64 {
        key_of(self.0)
    }

    /// The key that [`PathKey::number`] was made of.
    pub(crate) fn of_number(number: i64) -> PathKey {
        PathKey((number.cast_unsigned() ^ (1 << 63)).to_be_bytes())
    }

    /// What stands for a path whose name is lost.
    pub(crate) fn stand_in(self) -> String {
        format!("?{self}")
    }
}

impl ObjectId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> ObjectId {
        ObjectId(*blake3::hash(bytes).as_bytes())
    }

    /// The first eight bytes as a signed number whose order is the order of the ids: the index sorts by it.
    pub fn key(&self) -> i64 {
        key_of(self.check())
    }

    /// The first eight bytes.
    pub(crate) fn check(&self) -> [u8; 8] {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        first
    }
}

/// The first eight bytes of an id as a signed number in the order of the ids.
pub(crate) fn key_of(first: [u8; 8]) -> i64 {
    (u64::from_be_bytes(first) ^ (1 << 63)).cast_signed()
}

/// A prefix of an id in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HexPrefix {
    digits: String,
}

impl HexPrefix {
    /// The fewest digits accepted: fewer would match by accident.
    pub const MIN_DIGITS: usize = 4;

    /// Reads a prefix, with or without `b3:` in front.
    pub fn parse(text: &str) -> Option<HexPrefix> {
        let digits = text.strip_prefix("b3:").unwrap_or(text);
        let valid = (Self::MIN_DIGITS..=64).contains(&digits.len())
            && digits.bytes().all(|b| hex_digit(b).is_some());
        valid.then(|| HexPrefix {
            digits: digits.to_ascii_lowercase(),
        })
    }

    /// Does the hexadecimal text of an id start with this prefix?
    pub fn matches(&self, id: &impl fmt::Display) -> bool {
        id.to_string().starts_with(&self.digits)
    }

    /// The smallest and the largest [`ObjectId::key`] that an id with this prefix can have.
    pub fn key_range(&self) -> (i64, i64) {
        let mut low = 0u64;
        let mut high = 0u64;
        for place in 0..16 {
            let digit = self
                .digits
                .as_bytes()
                .get(place)
                .and_then(|b| hex_digit(*b));
            low = low << 4 | u64::from(digit.unwrap_or(0));
            high = high << 4 | u64::from(digit.unwrap_or(15));
        }
        (key_of(low.to_be_bytes()), key_of(high.to_be_bytes()))
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse() {
        let id = ObjectId::of(b"{}");
        assert_eq!(id.to_string().parse::<ObjectId>(), Ok(id));
        assert_eq!(format!("b3:{id}").parse::<ObjectId>(), Ok(id));
        assert!("12".parse::<ObjectId>().is_err());
        assert!("g".repeat(64).parse::<ObjectId>().is_err());
        let key = PathKey([0xfe, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(PathKey::of_number(key.number()), key);
        assert_eq!(key.stand_in(), "?fe02030405060708");
    }

    #[test]
    fn keys_sort_like_ids_and_prefixes_bound_them() {
        let mut ids: Vec<ObjectId> = (0..200u32)
            .map(|n| ObjectId::of(&n.to_le_bytes()))
            .collect();
        ids.sort();
        assert!(ids.windows(2).all(|pair| pair[0].key() <= pair[1].key()));
        for id in ids {
            let prefix = HexPrefix::parse(&id.to_string()[..7]).unwrap();
            let (low, high) = prefix.key_range();
            assert!(low <= id.key() && id.key() <= high);
            assert!(prefix.matches(&id));
        }
        assert_eq!(HexPrefix::parse("abc"), None);
        assert_eq!(HexPrefix::parse("abcx"), None);
    }
}
