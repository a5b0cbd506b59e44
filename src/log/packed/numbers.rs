//! Columns of numbers: the smallest of them, and of each how much larger it is, in as many bits as the largest needs.
//!
//! What a commit says besides hashes is mostly numbers that are alike from commit to commit. Too few of them stand
//! together for an entropy coder to pay for its tables, and these are read back without one.

use crate::wire::{Bytes, Malformed, put_uvar};

/// Appends the values: least uvar, width u8, then `width` bits each, the low ones first, in whole bytes.
pub(super) fn put_numbers(out: &mut Vec<u8>, values: &[u64]) {
    let (Some(least), Some(most)) = (values.iter().min(), values.iter().max()) else {
        return;
    };
    let width = u64::BITS - (most - least).leading_zeros();
    put_uvar(out, *least);
    out.push(width as u8);
    let (mut bits, mut filled) = (0u128, 0);
    for value in values {
        bits |= u128::from(value - least) << filled;
        filled += width;
        while filled >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(bits as u8);
    }
}

/// Reads so many values; none take no bytes.
pub(super) fn numbers(input: &mut Bytes<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let least = input.uvar()?;
    let width = u32::from(input.u8()?);
    if width > u64::BITS {
        return Err(Malformed("a number of more than 64 bits"));
    }
    let len = count
        .checked_mul(width as usize)
        .ok_or(Malformed("too many numbers"))?
        .div_ceil(8);
    let mut bytes = input.take(len)?.iter();
    let mask = (1u128 << width) - 1;
    let (mut bits, mut filled) = (0u128, 0);
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        while filled < width {
            let byte = bytes.next().ok_or(Malformed("ends too early"))?;
            bits |= u128::from(*byte) << filled;
            filled += 8;
        }
        let more = (bits & mask) as u64;
        bits >>= width;
        filled -= width;
        values.push(
            least
                .checked_add(more)
                .ok_or(Malformed("number too large"))?,
        );
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let rows: [&[u64]; 7] = [
            &[],
            &[7],
            &[7, 7, 7],
            &[0, u64::MAX],
            &[1 << 40, (1 << 40) + 5, (1 << 40) + 2, 1 << 41],
            &[1, 0, 1, 1, 0, 1, 0, 0, 1],
            &[u64::MAX, u64::MAX - 1],
        ];
        for row in rows {
            let mut bytes = Vec::new();
            put_numbers(&mut bytes, row);
            let mut input = Bytes::new(&bytes);
            assert_eq!(numbers(&mut input, row.len()).as_deref(), Ok(row));
            assert!(input.rest().is_empty());
        }
    }

    #[test]
    fn what_is_not_a_column_is_refused() {
        let refused = |bytes: &[u8], count| numbers(&mut Bytes::new(bytes), count).is_err();
        assert!(refused(&[0, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1));
        assert!(refused(&[0, 64], usize::MAX));
        assert!(refused(&[0, 8, 1], 2));
        let mut over = Vec::new();
        put_uvar(&mut over, u64::MAX);
        over.extend([1, 1]);
        assert!(refused(&over, 1));
    }
}
