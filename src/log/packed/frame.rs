//! A part of a block that is compressed where that makes it smaller.

use crate::log::delta;
use crate::log::format::*;
use crate::wire::{Bytes, Malformed, put_bytes};

/// The text of a block has at most this many bytes: messages and metadata of its commits, and names of paths.
const MAX_TEXT_LEN: u64 = 256 << 20;

/// Appends an encoding byte, the length of what follows, and the bytes or a frame that holds them.
pub(super) fn put_frame(out: &mut Vec<u8>, bytes: &[u8]) {
    match delta::pack(bytes, None) {
        Ok(frame) if frame.len() < bytes.len() => {
            out.push(ENCODING_ZSTD);
            put_bytes(out, &frame);
        }
        _ => {
            out.push(ENCODING_STORED);
            put_bytes(out, bytes);
        }
    }
}

pub(super) fn take_frame(input: &mut Bytes<'_>) -> Result<Vec<u8>, Malformed> {
    let encoding = input.u8()?;
    let payload = input.bytes()?;
    match encoding {
        ENCODING_STORED => Ok(payload.to_vec()),
        ENCODING_ZSTD => {
            let mut bytes = Vec::new();
            delta::decompress_into(payload, None, MAX_TEXT_LEN, &mut bytes)
                .map_err(|_| Malformed("the text of a block cannot be decompressed"))?;
            Ok(bytes)
        }
        _ => Err(Malformed("unknown encoding of a block's text")),
    }
}
