//! Objects as frames: stored as they are, compressed alone, or compressed with an earlier object as the prefix.

use std::cell::RefCell;

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter};

use super::format::*;
use super::record::ObjectRecord;

/// How hard zstd tries where prefix and content are short: what it costs hides beside a sync.
const SHORT_LEVEL: i32 = 7;
/// How hard it tries where they are long: from about here on the time goes into taking in the prefix, and harder
/// levels take four times as much of it to save an eighth of the bytes.
const LEVEL: i32 = 3;
/// How hard it tries for packed segments, which are written once.
const PACKED_LEVEL: i32 = 19;
/// The same beyond the window that level has by itself, where it would take minutes.
const PACKED_WIDE_LEVEL: i32 = 9;
/// Up to this many bytes of prefix and content together are within that window.
const PACKED_WINDOW: usize = 8 << 20;
/// And how hard where there is no prefix and the content is this long: nothing that takes longer makes it smaller by
/// more than a tenth.
const HUGE_LEVEL: i32 = 1;
const HUGE: usize = 32 << 20;
/// Prefix and content up to this many bytes are short.
const SHORT: usize = 64 << 10;
/// Up to this many bytes of prefix and content together, the windows that zstd picks by itself reach the prefix.
const PLAIN_WINDOW: usize = 2 << 20;
/// The largest window, as a power of two, that this crate asks for and accepts (128 MiB).
const MAX_WINDOW_LOG: u32 = 27;
/// A thread keeps a buffer for frames up to this many bytes.
const MAX_KEPT_FRAME: usize = 1 << 20;

/// A frame could not be made or read back.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FrameError {
    #[error("zstd: {0}")]
    Zstd(&'static str),
    #[error("the frame does not say how long its content is")]
    NoLength,
    #[error("the frame claims {0} bytes")]
    TooLarge(u64),
    #[error("the frame holds another number of bytes than it says")]
    WrongLength,
    #[error("out of memory for {0} bytes")]
    Memory(u64),
    #[error("the object is lost, as an earlier repair has noted")]
    Lost,
}

fn zstd_error(code: usize) -> FrameError {
    FrameError::Zstd(zstd_safe::get_error_name(code))
}

thread_local! {
    // A context costs 20 µs to make and 2 to use again.
    static COMPRESSOR: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSOR: RefCell<(DCtx<'static>, Vec<u8>)> = RefCell::new((decompressor(), Vec::new()));
}

fn decompressor() -> DCtx<'static> {
    let mut context = DCtx::create();
    // Where this fails the frames that need a wide window do, and say so.
    let _ = context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG));
    context
}

/// An object that stands alone, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    /// As it is.
    Stored(Vec<u8>),
    /// A zstd frame without its magic number.
    Frame(Vec<u8>),
}

impl Packed {
    pub fn len(&self) -> usize {
        match self {
            Packed::Stored(bytes) | Packed::Frame(bytes) => bytes.len(),
        }
    }

    pub fn record(&self) -> ObjectRecord<'_> {
        match self {
            Packed::Stored(bytes) => ObjectRecord::Stored(bytes),
            Packed::Frame(bytes) => ObjectRecord::Frame(bytes),
        }
    }
}

/// Compresses an object that stands alone.
pub(crate) fn compress(content: &[u8]) -> Result<Packed, FrameError> {
    let frame = frame(content, None)?;
    if frame.len() >= content.len() {
        return Ok(Packed::Stored(content.to_vec()));
    }
    Ok(Packed::Frame(frame))
}

/// Compresses an object against a prefix.
pub(crate) fn compress_delta(content: &[u8], prefix: &[u8]) -> Result<Vec<u8>, FrameError> {
    frame(content, Some(prefix))
}

/// Compresses what will stand in a packed segment, for good.
pub(crate) fn pack(content: &[u8], prefix: Option<&[u8]>) -> Result<Vec<u8>, FrameError> {
    let reach = content.len().saturating_add(prefix.map_or(0, <[u8]>::len));
    match reach <= PACKED_WINDOW {
        true => short_frame(content, prefix, PACKED_LEVEL),
        false => wide_frame(content, prefix, PACKED_WIDE_LEVEL),
    }
}

/// Can a prefix of this length be reached from the end of a content of this length?
pub(crate) fn can_reach(prefix: usize, content: usize) -> bool {
    prefix.saturating_add(content) <= 1 << MAX_WINDOW_LOG
}

/// A zstd frame without its magic number.
fn frame(content: &[u8], prefix: Option<&[u8]>) -> Result<Vec<u8>, FrameError> {
    let reach = content.len().saturating_add(prefix.map_or(0, <[u8]>::len));
    let level = match reach {
        ..=SHORT => SHORT_LEVEL,
        HUGE.. if prefix.is_none() => HUGE_LEVEL,
        _ => LEVEL,
    };
    match reach <= PLAIN_WINDOW {
        true => short_frame(content, prefix, level),
        false => wide_frame(content, prefix, level),
    }
}

/// A frame whose window reaches the prefix by itself.
fn short_frame(content: &[u8], prefix: Option<&[u8]>, level: i32) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(content.len()));
    COMPRESSOR.with_borrow_mut(|context| {
        context
            .compress_using_dict(&mut out, content, prefix.unwrap_or(&[]), level)
            .map_err(zstd_error)
    })?;
    without_magic(out)
}

/// A frame with a window wide enough for prefix and content.
fn wide_frame(content: &[u8], prefix: Option<&[u8]>, level: i32) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(content.len()));
    let reach = content.len().saturating_add(prefix.map_or(0, <[u8]>::len));
    let mut context = CCtx::create();
    let window = reach
        .next_power_of_two()
        .trailing_zeros()
        .min(MAX_WINDOW_LOG);
    let parameters = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(window),
        CParameter::EnableLongDistanceMatching(prefix.is_some()),
    ];
    for parameter in parameters {
        context.set_parameter(parameter).map_err(zstd_error)?;
    }
    if let Some(prefix) = prefix {
        context.ref_prefix(prefix).map_err(zstd_error)?;
    }
    context.compress2(&mut out, content).map_err(zstd_error)?;
    without_magic(out)
}

fn without_magic(mut out: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    if !out.starts_with(&ZSTD_MAGIC) {
        return Err(FrameError::Zstd("frame without magic number"));
    }
    out.drain(..ZSTD_MAGIC.len());
    Ok(out)
}

/// Gives back the content of a frame without its magic number, in a buffer that is used again. `prefix` is the
/// content of its base, where it has one.
pub(crate) fn decompress_into(
    payload: &[u8],
    prefix: Option<&[u8]>,
    limit: u64,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    DECOMPRESSOR.with_borrow_mut(|(context, frame)| {
        frame.clear();
        frame.extend_from_slice(&ZSTD_MAGIC);
        frame.extend_from_slice(payload);
        let len = content_len(frame)?;
        if len > limit || len > most_content(payload.len()) {
            return Err(FrameError::TooLarge(len));
        }
        out.clear();
        out.try_reserve_exact(len as usize)
            .map_err(|_| FrameError::Memory(len))?;
        // A prefix is a dictionary of raw content. No JSON text starts with the magic number of a trained one,
        // which is not UTF-8.
        context
            .decompress_using_dict(out, frame, prefix.unwrap_or(&[]))
            .map_err(zstd_error)?;
        if frame.capacity() > MAX_KEPT_FRAME {
            *frame = Vec::new();
        }
        match out.len() as u64 == len {
            true => Ok(()),
            false => Err(FrameError::WrongLength),
        }
    })
}

/// The most bytes that a frame of this length can hold: no block of one is shorter than 4 bytes or holds more than
/// 128 KiB (RFC 8878, sections 3.1.1.2.2 and 3.1.1.2.3). What claims more is not given the memory.
fn most_content(frame: usize) -> u64 {
    (frame as u64 / 4).saturating_mul(128 << 10)
}

/// The length that a record's content says it has.
pub(crate) fn record_content_len(record: &ObjectRecord<'_>) -> Result<u64, FrameError> {
    let payload = match record {
        ObjectRecord::Stored(bytes) => return Ok(bytes.len() as u64),
        ObjectRecord::Frame(frame) | ObjectRecord::Delta { frame, .. } => frame,
        ObjectRecord::Lost => return Err(FrameError::Lost),
    };
    // A frame header is at most 18 bytes.
    let mut head = ZSTD_MAGIC.to_vec();
    head.extend_from_slice(&payload[..payload.len().min(18)]);
    content_len(&head)
}

fn content_len(frame: &[u8]) -> Result<u64, FrameError> {
    match zstd_safe::get_frame_content_size(frame) {
        Ok(Some(len)) if len <= MAX_OBJECT_LEN => Ok(len),
        Ok(Some(len)) => Err(FrameError::TooLarge(len)),
        Ok(None) | Err(_) => Err(FrameError::NoLength),
    }
}

/// The anchor that the object number `k` of a chain rests on, given how often there is one: `None` where `k` is no
/// anchor. It is the one whose number has the lowest set bit of its own cleared, and always on the way from the object
/// before `k` to the keyframe.
pub(crate) fn anchor_base(k: u64, every: u64) -> Option<u64> {
    let j = k / every;
    k.is_multiple_of(every)
        .then_some((j & j.wrapping_sub(1)) * every)
}

/// How often a chain has an anchor, by the length of the object in front. Loading a short object costs by the frame,
/// not by the byte; and what a far anchor costs in bytes counts for less beside what else a version takes.
pub(crate) fn anchor_every(len: usize) -> u64 {
    match len <= SHORT_OBJECT {
        true => ANCHOR_EVERY_SHORT,
        false => ANCHOR_EVERY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(
        payload: &[u8],
        prefix: Option<&[u8]>,
        limit: u64,
    ) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        decompress_into(payload, prefix, limit, &mut out).map(|()| out)
    }

    fn unpack(packed: &Packed) -> Vec<u8> {
        match packed {
            Packed::Stored(bytes) => bytes.clone(),
            Packed::Frame(frame) => decompress(frame, None, MAX_OBJECT_LEN).unwrap(),
        }
    }

    #[test]
    fn frames_give_back_their_content() {
        let old: Vec<u8> = (0..5000u32)
            .flat_map(|n| format!("{{\"n\":{n}}},").into_bytes())
            .collect();
        let mut new = old.clone();
        new.splice(100..110, b"something else".iter().copied());
        for content in [&b"{}"[..], b"", &old, &new] {
            let alone = compress(content).unwrap();
            assert_eq!(unpack(&alone), content);
            let len = record_content_len(&alone.record()).unwrap();
            assert_eq!(len, content.len() as u64);
        }
        let delta = compress_delta(&new, &old).unwrap();
        assert!(delta.len() < 200, "{} bytes", delta.len());
        assert_eq!(decompress(&delta, Some(&old), MAX_OBJECT_LEN).unwrap(), new);
    }

    #[test]
    fn a_prefix_beyond_the_plain_window_is_reached() {
        // Numbers that do not repeat, so that only the prefix can make them small.
        let mut state = 1u64;
        let mut old = Vec::new();
        while old.len() < 5 << 20 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            old.extend_from_slice(format!("{state},").as_bytes());
        }
        let mut new = old.clone();
        new.extend_from_slice(b"1");
        let delta = compress_delta(&new, &old).unwrap();
        assert!(delta.len() < 20_000, "{} bytes", delta.len());
        assert_eq!(decompress(&delta, Some(&old), MAX_OBJECT_LEN).unwrap(), new);
    }

    #[test]
    fn a_claim_of_terabytes_is_refused() {
        // Frame header: single segment, 8-byte content size.
        let mut payload = vec![0b1110_0000];
        payload.extend_from_slice(&(1u64 << 42).to_le_bytes());
        payload.extend_from_slice(&[1, 0, 0]);
        let refused = decompress(&payload, None, MAX_OBJECT_LEN);
        assert_eq!(refused, Err(FrameError::TooLarge(1 << 42)));
    }

    #[test]
    fn anchors_rest_on_ancestors_of_the_object_before() {
        // Walks the chain as a reader does and asserts that the base of each anchor is met, and how long loads get.
        for (every, frames_at_most) in [(ANCHOR_EVERY, 37), (ANCHOR_EVERY_SHORT, 22)] {
            let base = |k: u64| anchor_base(k, every).unwrap_or(k - 1);
            let mut longest = 0;
            for k in 1..KEYFRAME_EVERY {
                let mut frames = 1;
                let mut at = k;
                while at > 0 {
                    at = base(at);
                    frames += 1;
                }
                longest = longest.max(frames);
                if let Some(anchor) = anchor_base(k, every) {
                    let mut at = k - 1;
                    while at > anchor {
                        at = base(at);
                    }
                    assert_eq!(at, anchor, "{k}");
                }
            }
            assert_eq!(longest, frames_at_most);
        }
    }
}
