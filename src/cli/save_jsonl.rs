//! `backstory save --jsonl`: a stream of documents, each a commit of its own.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::context::Context;
use super::failure::Failure;
use super::save::{self, Args};
use crate::archive::{Batch, Document, Note, Save};
use crate::canon::{CanonError, Form, NanMode, canonicalize_with, render};
use crate::error::Error;
use crate::pointer::{Pointer, find};
use crate::time::parse_time;
use crate::workspace::{Place, Workspace, place_for};

/// The members that a line may have.
const MEMBERS: [&str; 6] = ["path", "doc", "time", "message", "author", "meta"];

/// One line, read.
struct Line {
    path: String,
    /// The document as JSON text; its layout means nothing.
    doc: Vec<u8>,
    note: Note,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let place = match context.named_archive() {
        Some(folder) => Place::Archive(folder),
        None => place_for(std::slice::from_ref(&context.cwd))?,
    };
    let workspace = save::open(&place, args.no_init, context)?;
    let note = args.note.note(context);
    let size = args.batch.unwrap_or(1) as usize;
    let mut pending = Pending::default();
    let mut stdin = std::io::stdin().lock();
    let mut text = Vec::new();
    for number in 1u64.. {
        text.clear();
        match stdin.read_until(b'\n', &mut text) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                commit(&workspace, &mut pending, context)?;
                return Err(Failure::io(format!(
                    "could not read standard input: {error}"
                )));
            }
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        match add(&text, args, &note, &workspace, &mut pending) {
            Ok(()) => {}
            Err(failure) => {
                let failure = failure.at_line(number);
                if !args.keep_going {
                    commit(&workspace, &mut pending, context)?;
                    return Err(failure.hint(format!(
                        "the same again from line {number} on, once it is corrected: the lines before it are saved"
                    )));
                }
                context.report(failure);
            }
        }
        if pending.lines >= size {
            commit(&workspace, &mut pending, context)?;
        }
    }
    commit(&workspace, &mut pending, context)?;
    Ok(super::DONE)
}

fn add<'a>(
    text: &[u8],
    args: &Args,
    default: &Note,
    workspace: &'a Workspace,
    pending: &mut Pending<'a>,
) -> Result<(), Failure> {
    let line = read(text, default)?;
    let mut document = Document::value(line.doc);
    if let Some(nan) = args.nan {
        document = document.nan(nan.into());
    }
    if let Some((note, save)) = &mut pending.open
        && *note == line.note
        && !save.has(&line.path)
    {
        save.add(&line.path, document)?;
    } else {
        let mut save = workspace.archive().save();
        save.note(line.note.clone())
            .ignore_format(args.ignore_format);
        save.add(&line.path, document)?;
        pending.close(workspace);
        pending.open = Some((line.note, save));
    }
    pending.lines += 1;
    Ok(())
}

/// Lines that are not on disk yet. Lines with the same time, message, author and metadata are one commit, as long as
/// no path comes twice; all commits here share one sync.
#[derive(Default)]
struct Pending<'a> {
    /// Commits that are complete: they are compressed while more lines are read.
    batch: Option<Batch<'a>>,
    /// The one that takes more lines.
    open: Option<(Note, Save<'a>)>,
    lines: usize,
}

impl<'a> Pending<'a> {
    fn close(&mut self, workspace: &'a Workspace) {
        if let Some((_, save)) = self.open.take() {
            let batch = self
                .batch
                .get_or_insert_with(|| workspace.archive().batch());
            batch.push(save);
        }
    }
}

/// Puts the pending commits on disk and says what they are: from then on they are safe.
fn commit<'a>(
    workspace: &'a Workspace,
    pending: &mut Pending<'a>,
    context: &mut Context,
) -> Result<(), Failure> {
    pending.lines = 0;
    pending.close(workspace);
    let Some(batch) = pending.batch.take() else {
        return Ok(());
    };
    for change in batch.commit()?.into_iter().flatten() {
        context.change(&change);
    }
    context.out.flush();
    Ok(())
}

/// Takes a line apart. It is made canonical first, so that the document is checked as any other and no number in it
/// passes through a float.
fn read(text: &[u8], default: &Note) -> Result<Line, Failure> {
    let (canonical, outcome) =
        canonicalize_with(text, NanMode::Tag).map_err(|error| not_a_line(&error))?;
    if canonical.first() != Some(&b'{') {
        return Err(Failure::invalid_document("not an object with path and doc"));
    }
    check_members(&canonical)?;
    let member = |name: &str| -> Option<&[u8]> {
        let pointer = Pointer::parse(&format!("/{name}")).ok()?;
        canonical.get(find(&canonical, &pointer)?)
    };
    let string = |name: &str| -> Result<Option<String>, Failure> {
        match member(name) {
            None | Some(b"null") => Ok(None),
            Some(json) => serde_json::from_slice(json)
                .map(Some)
                .map_err(|_| Failure::invalid_document(format!("{name} is not a string"))),
        }
    };
    let missing = |name: &str| Failure::invalid_document(format!("the member {name} is missing"));
    let mut doc = Vec::new();
    render(
        member("doc").ok_or_else(|| missing("doc"))?,
        Form::Compact,
        outcome.tagged,
        &mut doc,
    );
    let mut note = default.clone();
    if let Some(time) = string("time")? {
        note.time = Some(
            parse_time(&time)
                .map_err(|error| Failure::invalid_document(format!("time: {error}")))?,
        );
    }
    note.message = string("message")?.or(note.message);
    note.author = string("author")?.or(note.author);
    if let Some(json) = member("meta") {
        let meta: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|_| Failure::invalid_document("meta is not an object"))?;
        note.meta.extend(meta);
    }
    Ok(Line {
        path: string("path")?.ok_or_else(|| missing("path"))?,
        doc,
        note,
    })
}

/// A misspelled member must not vanish: the known ones, put together, have to be the whole line.
fn check_members(canonical: &[u8]) -> Result<(), Failure> {
    let mut length = "{}".len();
    let mut members = 0usize;
    for name in MEMBERS {
        let value = Pointer::parse(&format!("/{name}"))
            .ok()
            .and_then(|pointer| find(canonical, &pointer));
        if let Some(value) = value {
            length += name.len() + "\"\":".len() + value.len();
            members += 1;
        }
    }
    length += members.saturating_sub(1);
    if length == canonical.len() {
        return Ok(());
    }
    Err(Failure::invalid_document(format!(
        "only the members {} are known",
        MEMBERS.join(", ")
    )))
}

fn not_a_line(error: &CanonError) -> Failure {
    Failure::from(Error::InvalidDocument {
        path: "standard input".to_owned(),
        source: error.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nan_come_through() {
        let line = read(
            br#"{"path":"a","doc":{"b":9007199254740993,"a":NaN}}"#,
            &Note::default(),
        )
        .ok()
        .unwrap();
        assert_eq!(line.path, "a");
        assert_eq!(line.doc, br#"{"a":NaN,"b":9007199254740993}"#);
    }

    #[test]
    fn a_genuine_object_of_the_shape_of_a_tag_stays() {
        let line = read(br#"{"path":"a","doc":{"$number":"NaN"}}"#, &Note::default())
            .ok()
            .unwrap();
        assert_eq!(line.doc, br#"{"$number":"NaN"}"#);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            r#"{"path":"a","doc":1,"msg":"x"}"#,
            r#"{"path":"a"}"#,
            r#"{"doc":1}"#,
            r#"{"path":1,"doc":1}"#,
            r#"{"path":"a","doc":1,"time":"noon"}"#,
            r#"{"path":"a","doc":1,"meta":[]}"#,
            r#"[1]"#,
            r#"{"path":"a","path":"b","doc":1}"#,
        ] {
            assert!(read(text.as_bytes(), &Note::default()).is_err(), "{text}");
        }
    }
}
