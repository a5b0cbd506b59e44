//! Finding the end of a run, eight bytes at a time.
//!
//! Eight bytes are read as one little-endian `u64`, so that the first byte is the lowest and `trailing_zeros` finds
//! it. Each mask below has the top bit of a byte set where that byte matches. Borrows and carries can set bits
//! falsely, but only above a true match, so the lowest set bit is always right. See "Bit Twiddling Hacks",
//! "Determine if a word has a byte less than n".

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The byte at `at`, or 0 behind the end. No token contains a 0, so only error paths have to tell the two apart.
#[inline(always)]
pub(super) fn byte(input: &[u8], at: usize) -> u8 {
    input.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn word(input: &[u8], at: usize) -> Option<u64> {
    input
        .get(at..)?
        .first_chunk()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

#[inline(always)]
fn first(mask: u64) -> usize {
    (mask.trailing_zeros() / 8) as usize
}

/// The first position from `at` on that holds `"`, `\` or a control character below 0x20; the input's length if none.
#[inline(always)]
pub(super) fn plain_text_end(input: &[u8], mut at: usize) -> usize {
    while let Some(x) = word(input, at) {
        let quote = x ^ (ONES * b'"' as u64);
        let backslash = x ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (x.wrapping_sub(ONES * 0x20) & !x);
        let found = found & HIGH;
        if found != 0 {
            return at + first(found);
        }
        at += 8;
    }
    while let Some(&b) = input.get(at) {
        if b == b'"' || b == b'\\' || b < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// The first position from `at` on that holds no ASCII digit; the input's length if there is none.
#[inline(always)]
pub(crate) fn digits_end(input: &[u8], mut at: usize) -> usize {
    while let Some(x) = word(input, at) {
        let value = x ^ (ONES * b'0' as u64);
        let found = (value.wrapping_add(ONES * (0x80 - 10)) | value) & HIGH;
        if found != 0 {
            return at + first(found);
        }
        at += 8;
    }
    while byte(input, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// The first position from `at` on that holds no JSON white space (RFC 8259, section 2).
///
/// Made for line ends followed by indentation: spaces go eight at a time, the rest one by one.
#[inline(always)]
pub(super) fn space_end(input: &[u8], mut at: usize) -> usize {
    loop {
        while let Some(x) = word(input, at) {
            let other = x ^ (ONES * b' ' as u64);
            if other != 0 {
                at += first(other);
                break;
            }
            at += 8;
        }
        match byte(input, at) {
            b' ' | b'\n' | b'\r' | b'\t' => at += 1,
            _ => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value at every distance up to 20, against the plain definition; the byte behind must not matter.
    #[test]
    fn runs_end_where_the_definition_says() {
        for distance in 0..20 {
            for b in 0..=255u8 {
                for behind in [0x00, 0x1f, b' ', b'"', b'0', 0x80, 0xff] {
                    let with = |filler: u8| {
                        let mut text = vec![filler; distance];
                        text.push(b);
                        text.extend([behind; 9]);
                        text
                    };
                    let plain = |text: &[u8], inside: fn(u8) -> bool| {
                        text.iter().position(|&b| !inside(b)).unwrap_or(text.len())
                    };
                    let text = with(b'a');
                    let expected = plain(&text, |b| b != b'"' && b != b'\\' && b >= 0x20);
                    assert_eq!(plain_text_end(&text, 0), expected, "{text:?}");
                    let text = with(b'7');
                    assert_eq!(
                        digits_end(&text, 0),
                        plain(&text, |b| b.is_ascii_digit()),
                        "{text:?}"
                    );
                    let text = with(b' ');
                    let expected = plain(&text, |b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
                    assert_eq!(space_end(&text, 0), expected, "{text:?}");
                }
            }
        }
    }
}
