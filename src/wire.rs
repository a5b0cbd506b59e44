//! The wire forms under the log: LEB128 numbers, length-prefixed bytes, and a cursor that trusts nothing.

/// Bytes that do not follow the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub &'static str);

/// No commit and no version has a larger number: what is counted on from one still fits, signed or not.
pub(crate) const MAX_NUMBER: u64 = 1 << 62;

/// The number, where a commit or a version can have it.
pub(crate) fn checked_number(number: u64) -> Result<u64, Malformed> {
    match number <= MAX_NUMBER {
        true => Ok(number),
        false => Err(Malformed(
            "the number of a commit or a version is too large",
        )),
    }
}

/// Appends a number in LEB128: seven bits a byte, the low ones first, the high bit set on all but the last.
pub(crate) fn put_uvar(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number in zigzag LEB128.
pub(crate) fn put_ivar(out: &mut Vec<u8>, value: i64) {
    put_uvar(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uvar(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A cursor over bytes that may be anything.
#[derive(Clone)]
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn new(rest: &'a [u8]) -> Bytes<'a> {
        Bytes { rest }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self
            .rest
            .split_at_checked(len)
            .ok_or(Malformed("ends too early"))?;
        self.rest = tail;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Refuses an encoding longer than needed: every number has one form.
    pub fn uvar(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed("number too large"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Malformed("number not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(Malformed("number too long"))
    }

    /// A number of a commit or a version: at most [`MAX_NUMBER`].
    pub fn counted(&mut self) -> Result<u64, Malformed> {
        checked_number(self.uvar()?)
    }

    pub fn ivar(&mut self) -> Result<i64, Malformed> {
        let value = self.uvar()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.uvar()?).map_err(|_| Malformed("length too large"))?;
        self.take(len)
    }

    pub fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.bytes()?;
        simdutf8::basic::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| Malformed("text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_uvar(&mut bytes, value);
            assert_eq!(Bytes::new(&bytes).uvar(), Ok(value));
        }
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_ivar(&mut bytes, value);
            assert_eq!(Bytes::new(&bytes).ivar(), Ok(value));
        }
        assert!(Bytes::new(&[0x80, 0]).uvar().is_err());
        assert!(Bytes::new(&[0xff; 11]).uvar().is_err());
        assert!(Bytes::new(&[0x80]).uvar().is_err());
    }
}
