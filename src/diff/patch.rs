//! A diff as a JSON Patch (RFC 6902).

use std::cmp::Reverse;

use super::moves::{Arrival, arrivals};
use super::{ChangeKind, Diff};
use crate::escape::write_string;
use crate::pointer::Pointer;

/// Writes a diff as a JSON Patch: one array of operations on one line, without a line feed.
///
/// The operations are to be applied in order (RFC 6902, section 3), each to the result of the one
/// before: first every `replace`, while all places are still those of the old document; then every
/// `remove`, the deepest and of one array the last first; then `add` and `move`, outer arrays and first
/// elements first. There is no `copy` or `test`. Applied to the old document the patch gives the new
/// one; equal documents give `[]`.
///
/// ```
/// use backstory::diff::{diff, patch::write_patch};
///
/// let mut patch = Vec::new();
/// write_patch(&diff(b"[1,2,3]", b"[2,3,4]")?, &mut patch);
/// assert_eq!(
///     String::from_utf8_lossy(&patch),
///     r#"[{"op":"remove","path":"/0"},{"op":"add","path":"/2","value":4}]"#
/// );
/// # Ok::<(), backstory::diff::NotCanonical>(())
/// ```
pub fn write_patch(diff: &Diff, out: &mut Vec<u8>) {
    out.push(b'[');
    let start = out.len();
    for change in &diff.changes {
        if let (ChangeKind::Changed { new, .. }, Some(place)) = (&change.kind, change.old_pointer())
        {
            write_operation("replace", place, Some(new), start, out);
        }
    }
    let mut removed: Vec<&Pointer> = diff
        .changes
        .iter()
        .rev()
        .filter(|change| matches!(change.kind, ChangeKind::Removed { .. }))
        .map(|change| &change.pointer)
        .collect();
    // What is inside an element that moved is in the order of its new place.
    if diff.summary().moved > 0 {
        removed.sort_by_key(|pointer| Reverse(pointer.as_str().matches('/').count()));
    }
    for place in removed {
        write_operation("remove", place, None, start, out);
    }
    for arrival in arrivals(diff) {
        match arrival {
            Arrival::Add(place, new) => write_operation("add", &place, Some(new), start, out),
            Arrival::Move(from, to) => write_move(&from, &to, start, out),
        }
    }
    out.push(b']');
}

/// `start` is where the first operation goes: all others have a comma in front.
fn write_operation(op: &str, path: &Pointer, value: Option<&str>, start: usize, out: &mut Vec<u8>) {
    let comma = if out.len() > start { "," } else { "" };
    out.extend_from_slice(format!("{comma}{{\"op\":\"{op}\",\"path\":").as_bytes());
    write_string(out, path.as_str());
    if let Some(value) = value {
        out.extend_from_slice(b",\"value\":");
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
}

fn write_move(from: &Pointer, to: &Pointer, start: usize, out: &mut Vec<u8>) {
    let comma = if out.len() > start { "," } else { "" };
    out.extend_from_slice(format!("{comma}{{\"from\":").as_bytes());
    write_string(out, from.as_str());
    out.extend_from_slice(b",\"op\":\"move\",\"path\":");
    write_string(out, to.as_str());
    out.push(b'}');
}
