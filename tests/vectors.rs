//! `tests/vectors/`: canonical forms and ids that an independent implementation gave, for readers in other languages.

use backstory::canon::{NanMode, canonicalize, canonicalize_with};
use backstory::{Archive, Document, ObjectId};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/documents.json")).unwrap()
}

fn rows<'v>(vectors: &'v Value, name: &str) -> &'v [Value] {
    let rows = vectors[name].as_array().unwrap();
    assert!(rows.len() > 10, "{name} has {} rows", rows.len());
    rows
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap()
}

#[test]
fn canonical_forms_and_ids_are_those_of_the_vectors() {
    let archive = Archive::in_memory().unwrap();
    for row in rows(&vectors(), "accepted") {
        let (name, source) = (text(row, "name"), text(row, "text"));
        let mode = match row["nan"].as_bool().unwrap() {
            true => NanMode::Tag,
            false => NanMode::Reject,
        };
        let (canonical, outcome) = canonicalize_with(source.as_bytes(), mode).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&canonical),
            text(row, "canonical"),
            "{name}"
        );
        assert_eq!(outcome.tagged, mode == NanMode::Tag, "{name}");
        assert_eq!(
            ObjectId::of(&canonical).to_string(),
            text(row, "id"),
            "{name}"
        );

        let mut save = archive.save();
        save.add("a", Document::source(source).nan(mode)).unwrap();
        let changes = save.commit().unwrap();
        assert_eq!(
            changes[0].id.unwrap().to_string(),
            text(row, "id"),
            "{name}"
        );
        let newest = archive.newest("a").unwrap().unwrap();
        assert_eq!(
            archive.load(&newest).unwrap().source(),
            source.as_bytes(),
            "{name}"
        );
    }
}

#[test]
fn what_the_vectors_refuse_is_refused() {
    for row in rows(&vectors(), "refused") {
        let (name, source) = (text(row, "name"), text(row, "text"));
        assert!(canonicalize(source.as_bytes()).is_err(), "{name}");
    }
}
