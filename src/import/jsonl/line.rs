//! One line, taken apart and checked.

use serde_json::{Map, Value};

use super::super::{place, rebase};
use super::Key;
use crate::archive::{Document, Note};
use crate::canon::{
    CanonError, CanonErrorKind, Canonicalizer, Form, NanMode, canonicalize_with, render,
};
use crate::commit::Origin;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::pointer::members;
use crate::time::parse_time;

/// The members that a line may have. A misspelled one must not vanish.
const MEMBERS: [&str; 22] = [
    "path", "version", "op", "time", "recorded", "author", "message", "meta", "archive", "commit",
    "seq", "of", "other", "file", "deleted", "id", "nan", "form", "source", "document", "doc",
    "origin",
];

/// A version, read from a line.
#[derive(Debug)]
pub(super) struct Line {
    /// Of the input, from 1.
    pub number: u64,
    pub path: String,
    /// None where the path ends.
    pub document: Option<Document>,
    pub note: Note,
    pub origin: Option<Origin>,
    /// The path that it was renamed from.
    pub from: Option<String>,
    pub key: Key,
    /// Bytes of the line.
    pub len: usize,
}

/// Why a line is not one, and its path as far as that is known.
#[derive(Debug)]
pub(super) struct Refused {
    pub path: Option<String>,
    pub error: Box<Error>,
}

impl Line {
    /// Are they of one commit?
    pub fn goes_with(&self, other: &Line) -> bool {
        self.note == other.note && self.origin == other.origin
    }
}

/// Takes lines apart.
#[derive(Default)]
pub(super) struct Lines {
    canonicalizer: Canonicalizer,
    canonical: Vec<u8>,
}

impl Lines {
    /// Takes a line apart. It is made canonical first, so that the document is checked as any other and no number in it
    /// passes through a float.
    pub fn read(&mut self, text: &[u8], under: &str) -> Result<Line, Refused> {
        self.canonical.clear();
        let unread = |error: CanonError| Refused {
            path: None,
            error: Box::new(Error::InvalidDocument {
                path: "the line".to_owned(),
                source: error,
            }),
        };
        let strict = self
            .canonicalizer
            .canonicalize(text, NanMode::Reject, &mut self.canonical);
        let tagged = match strict {
            Err(error) if matches!(error.kind, CanonErrorKind::NonFinite { .. }) => {
                self.canonical.clear();
                self.canonicalizer
                    .canonicalize(text, NanMode::Tag, &mut self.canonical)
                    .map_err(unread)?
                    .tagged
            }
            done => done.map_err(unread)?.tagged,
        };
        let mut path = None;
        match read(&self.canonical, tagged, under, &mut path) {
            Ok(line) => Ok(Line {
                len: text.len(),
                ..line
            }),
            Err(error) => {
                let error = Box::new(error);
                Err(Refused { path, error })
            }
        }
    }
}

/// The members of a line.
struct Values<'l>([Option<&'l [u8]>; MEMBERS.len()]);

impl<'l> Values<'l> {
    fn of(canonical: &'l [u8]) -> Result<Values<'l>> {
        let mut values = [None; MEMBERS.len()];
        let members = members(canonical).ok_or_else(|| refused("it is no object"))?;
        for (name, value) in members {
            // None of them needs an escape.
            let known = MEMBERS.iter().position(|known| known.as_bytes() == name);
            let known = known.ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                refused(format!("the member \"{name}\" is not known"))
            })?;
            values[known] = Some(value);
        }
        Ok(Values(values))
    }

    fn get(&self, name: &str) -> Option<&'l [u8]> {
        let at = MEMBERS.iter().position(|known| *known == name)?;
        self.0[at]
    }

    /// A member that is text; `null` is as good as nothing.
    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.get(name).filter(|json| *json != b"null") {
            None => Ok(None),
            Some(json) => serde_json::from_slice(json)
                .map(Some)
                .map_err(|_| refused(format!("{name} is not a string"))),
        }
    }

    fn truth(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None | Some(b"null" | b"false") => Ok(false),
            Some(b"true") => Ok(true),
            Some(_) => Err(refused(format!("{name} is neither true nor false"))),
        }
    }

    fn time(&self, name: &str) -> Result<Option<i64>> {
        let text = self.text(name)?;
        text.map(|text| parse_time(&text).map_err(|error| refused(format!("{name}: {error}"))))
            .transpose()
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let text = self.text(name)?;
        text.map(|text| {
            text.parse()
                .map_err(|_| refused(format!("{name} is no id")))
        })
        .transpose()
    }
}

fn read(canonical: &[u8], tagged: bool, under: &str, known: &mut Option<String>) -> Result<Line> {
    let values = Values::of(canonical)?;
    let name = values.text("path")?.ok_or_else(|| missing("path"))?;
    *known = Some(name.clone());
    let path = place(under, &name)?;
    let time = values.time("time")?;
    let time =
        time.ok_or_else(|| refused("it has no time, so another run could not know it again"))?;
    let mut meta = match values.get("meta").filter(|json| *json != b"null") {
        None => Map::new(),
        Some(json) => serde_json::from_slice::<Map<String, Value>>(json)
            .map_err(|_| refused("meta is not an object"))?,
    };
    rebase(&mut meta, under);
    let note = Note {
        message: values.text("message")?,
        author: values.text("author")?,
        meta,
        time: Some(time),
    };
    let recorded = values.time("recorded")?;
    let origin = match (values.parsed("archive")?, values.parsed("commit")?) {
        (Some(archive), Some(commit)) => Some(Origin {
            archive,
            commit,
            recorded: recorded.unwrap_or(time),
        }),
        _ => None,
    };
    let from = match values.text("op")?.as_deref() {
        Some("rename") => values.text("other")?,
        _ => None,
    };
    let from = from.map(|from| place(under, &from)).transpose()?;
    let (document, id) = match values.truth("deleted")? {
        true => (None, None),
        false => {
            let (document, id) = document(&values, tagged)?;
            let document = match values.truth("file")? {
                true => document.file(),
                false => document,
            };
            (Some(document), Some(id))
        }
    };
    Ok(Line {
        number: 0,
        path,
        document,
        note,
        origin,
        from,
        key: (time, id),
        len: 0,
    })
}

/// The document and its id.
fn document(values: &Values<'_>, tagged: bool) -> Result<(Document, ObjectId)> {
    let nan = values.truth("nan")? || tagged;
    let mode = if nan { NanMode::Tag } else { NanMode::Reject };
    let source = values.text("source")?.map(String::into_bytes);
    let canonical = match (values.get("document").or(values.get("doc")), &source) {
        (Some(json), _) => json.to_vec(),
        (None, Some(source)) => {
            canonicalize_with(source, mode)
                .map_err(|source| Error::InvalidDocument {
                    path: "source".to_owned(),
                    source,
                })?
                .0
        }
        (None, None) => return Err(missing("document")),
    };
    let id = ObjectId::of(&canonical);
    if let Some(named) = values.parsed::<ObjectId>("id")?
        && named != id
    {
        return Err(refused(format!(
            "its document is not the one with the id {named}"
        )));
    }
    let rendered = |form| {
        let mut text = Vec::new();
        render(&canonical, form, nan, &mut text);
        text
    };
    let document = match (source, values.text("form")?.as_deref()) {
        (Some(source), _) => {
            let same = canonicalize_with(&source, mode).is_ok_and(|(own, _)| own == canonical);
            if !same {
                return Err(refused("its source is not of its document"));
            }
            Document::source(source)
        }
        (None, Some("canonical")) if !nan => Document::source(canonical),
        (None, Some("pretty")) => Document::source(rendered(Form::Pretty)),
        (None, _) if nan => Document::value(rendered(Form::Compact)),
        (None, _) => return Ok((Document::canonical(canonical), id)),
    };
    Ok((document.nan(mode), id))
}

fn missing(name: &str) -> Error {
    refused(format!("the member {name} is missing"))
}

fn refused(why: impl Into<String>) -> Error {
    Error::invalid(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line, Refused> {
        Lines::default().read(text.as_bytes(), "in")
    }

    #[test]
    fn a_line_is_checked_member_by_member() {
        let good =
            line(r#"{"path":"a","time":"2026-11-01","doc":{"b":9007199254740993,"a":1}}"#).unwrap();
        assert_eq!(good.path, "in/a");
        assert_eq!(
            good.document.unwrap().text(),
            br#"{"a":1,"b":9007199254740993}"#
        );
        for (text, why) in [
            (r#"{"path":"a","doc":1}"#, "no time"),
            (r#"{"path":"a","time":"noon","doc":1}"#, "time:"),
            (r#"{"path":"a","time":"2026-11-01"}"#, "document is missing"),
            (r#"{"path":"../a","time":"2026-11-01","doc":1}"#, "no path"),
            (r#"{"path":"/a","time":"2026-11-01","doc":1}"#, "no path"),
            (
                r#"{"path":"a\u0000","time":"2026-11-01","doc":1}"#,
                "no path",
            ),
            (
                r#"{"path":".git/config","time":"2026-11-01","doc":1}"#,
                "git",
            ),
            (
                r#"{"path":"a","time":"2026-11-01","doc":1,"msg":1}"#,
                "not known",
            ),
            (
                r#"{"path":"a","time":"2026-11-01","doc":1,"meta":[]}"#,
                "meta",
            ),
            (
                r#"{"path":"a","time":"2026-11-01","doc":1,"source":"2"}"#,
                "source",
            ),
            (
                r#"{"path":"a","time":"2026-11-01","doc":1,"deleted":1}"#,
                "deleted",
            ),
            (
                &format!(
                    r#"{{"path":"a","time":"2026-11-01","doc":1,"id":"{}"}}"#,
                    "0".repeat(64)
                ),
                "the id",
            ),
            ("[1]", "no object"),
            ("{", "the line"),
        ] {
            let error = line(text).unwrap_err().error.to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_that_json_does_not_have_come_through() {
        let tagged =
            line(r#"{"path":"a","time":"2026-11-01","doc":{"x":{"$number":"NaN"}},"nan":true}"#);
        let plain = line(r#"{"path":"a","time":"2026-11-01","doc":{"x":NaN}}"#);
        for line in [tagged, plain] {
            assert_eq!(line.unwrap().document.unwrap().text(), br#"{"x":NaN}"#);
        }
        let genuine =
            line(r#"{"path":"a","time":"2026-11-01","doc":{"x":{"$number":"NaN"}}}"#).unwrap();
        assert_eq!(
            genuine.document.unwrap().text(),
            br#"{"x":{"$number":"NaN"}}"#
        );
    }
}
