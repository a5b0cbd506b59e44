//! A diff for programs: one JSON document.

use super::number::percent_of;
use super::{Change, ChangeKind, Diff, number_difference};
use crate::escape::write_string;

/// Writes a diff as one JSON document, on one line and without a line feed at the end.
///
/// ```json
/// {"old":"a.json@1","new":"a.json@2","same":false,
///  "changes":[
///   {"op":"changed","path":"/accuracy","old":0.91,"new":0.925,"difference":0.015,"percent":1.648},
///   {"op":"changed","path":"/runs/4/loss","old_path":"/runs/5/loss","old":null,"new":1},
///   {"op":"added","path":"/runs/9","new":{"id":7}},
///   {"op":"moved","path":"/hosts/0","old_path":"/hosts/3","new":{"name":"b"}},
///   {"op":"removed","path":"/runs/2","old":{"id":3}}],
///  "summary":{"added":1,"removed":1,"changed":2,"moved":1}}
/// ```
///
/// `old` and `new` at the top are the labels, or `null`. `path` is a JSON Pointer, in the old
/// document for `removed` and in the new document for `added` and `changed`; `old_path` is there
/// where a changed value stood elsewhere in the old document, because elements in front of it were
/// added, removed or moved, and where an element that `moved` past others stood (see [`Change`]). Values are canonical, so numbers may have more digits than a
/// double holds. `difference` (exact) and `percent` (of the magnitude of the old number, rounded)
/// are there between two numbers where they can be given: see
/// [`number_difference`] and
/// [`percent_difference`](super::percent_difference).
pub fn write_json(
    diff: &Diff,
    old_label: Option<&str>,
    new_label: Option<&str>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"old\":");
    write_label(old_label, out);
    out.extend_from_slice(b",\"new\":");
    write_label(new_label, out);
    let same = diff.is_empty();
    out.extend_from_slice(format!(",\"same\":{same},\"changes\":[").as_bytes());
    write_changes(diff, out);
    let summary = diff.summary();
    let text = format!(
        "],\"summary\":{{\"added\":{},\"removed\":{},\"changed\":{},\"moved\":{}}}}}",
        summary.added, summary.removed, summary.changed, summary.moved
    );
    out.extend_from_slice(text.as_bytes());
}

/// Writes the elements of the array `changes` of [`write_json`], with commas between them.
pub fn write_changes(diff: &Diff, out: &mut Vec<u8>) {
    for (i, change) in diff.changes.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_change(change, out);
    }
}

fn write_label(label: Option<&str>, out: &mut Vec<u8>) {
    match label {
        Some(label) => write_string(out, label),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_change(change: &Change, out: &mut Vec<u8>) {
    let op = match change.kind {
        ChangeKind::Added { .. } => "added",
        ChangeKind::Removed { .. } => "removed",
        ChangeKind::Changed { .. } => "changed",
        ChangeKind::Moved { .. } => "moved",
    };
    out.extend_from_slice(format!("{{\"op\":\"{op}\",\"path\":").as_bytes());
    write_string(out, change.pointer.as_str());
    if let Some(from) = &change.moved_from {
        out.extend_from_slice(b",\"old_path\":");
        write_string(out, from.as_str());
    }
    let mut field = |name: &str, value: &str| {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        out.extend_from_slice(value.as_bytes());
    };
    match &change.kind {
        ChangeKind::Added { new } | ChangeKind::Moved { new } => field("new", new),
        ChangeKind::Removed { old } => field("old", old),
        ChangeKind::Changed { old, new } => {
            field("old", old);
            field("new", new);
            if let Some(difference) = number_difference(old, new) {
                field("difference", &difference);
                if let Some(percent) = percent_of(old, &difference) {
                    field("percent", &percent_json(percent));
                }
            }
        }
    }
    out.push(b'}');
}

/// A finite number without the hundreds of zeros that `Display` would write.
fn percent_json(percent: f64) -> String {
    if percent != 0.0 && !(1e-6..1e21).contains(&percent.abs()) {
        format!("{percent:e}")
    } else if percent == 0.0 {
        "0".to_owned()
    } else {
        percent.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::diff;

    fn json(old: &str, new: &str, labels: [Option<&str>; 2]) -> String {
        let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
        let mut out = Vec::new();
        write_json(&diff, labels[0], labels[1], &mut out);
        let _: serde_json::Value = serde_json::from_slice(&out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_whole_document() {
        assert_eq!(
            json(
                r#"{"a":0.91,"l":[1,{"k":true,"z":0}]}"#,
                r#"{"a":0.925,"l":[{"k":false,"z":0}],"n\"":null}"#,
                [Some("x@1"), Some("x@\"2\"")]
            ),
            concat!(
                r#"{"old":"x@1","new":"x@\"2\"","same":false,"changes":["#,
                r#"{"op":"changed","path":"/a","old":0.91,"new":0.925,"difference":0.015,"percent":1.648},"#,
                r#"{"op":"removed","path":"/l/0","old":1},"#,
                r#"{"op":"changed","path":"/l/0/k","old_path":"/l/1/k","old":true,"new":false},"#,
                r#"{"op":"added","path":"/n\"","new":null}],"#,
                r#""summary":{"added":1,"removed":1,"changed":2,"moved":0}}"#
            )
        );
        assert_eq!(
            json("[]", "[]", [None, None]),
            r#"{"old":null,"new":null,"same":true,"changes":[],"summary":{"added":0,"removed":0,"changed":0,"moved":0}}"#
        );
    }

    #[test]
    fn every_percentage_is_a_json_number() {
        for (old, new) in [
            ("1e-300", "1"),
            ("1", "1e300"),
            ("0", "1"),
            ("1", "1.0000000000001"),
            ("1.0", "1"),
        ] {
            json(old, new, [None, None]);
        }
    }
}
