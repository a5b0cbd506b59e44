//! Comparing short texts.

/// True where `a` and `b` are equal; made for texts of a few bytes, which a call to compare would take longer for.
///
/// Vectorized `memcmp` routines read empty slices too, masked; where those point at no memory, as empty vectors do,
/// some processors take a hundred times as long for that.
#[inline(always)]
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    const WORD: usize = 8;
    const HALF: usize = 4;
    if a.len() != b.len() {
        return false;
    }
    if let (Some(x), Some(y)) = (a.first_chunk::<WORD>(), b.first_chunk::<WORD>()) {
        x == y
            && if a.len() <= 2 * WORD {
                a.last_chunk::<WORD>() == b.last_chunk::<WORD>()
            } else {
                a == b
            }
    } else if let (Some(x), Some(y)) = (a.first_chunk::<HALF>(), b.first_chunk::<HALF>()) {
        x == y && a.last_chunk::<HALF>() == b.last_chunk::<HALF>()
    } else {
        a.iter().zip(b).all(|(x, y)| x == y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).collect();
            assert!(equal(&text, &text.clone()));
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 0x80;
                assert!(!equal(&text, &other));
                assert!(!equal(&text, &text[..place]));
            }
        }
    }
}
