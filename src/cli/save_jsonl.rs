//! `backstory save --jsonl`: a stream of documents, each a commit of its own.

use std::io::{self, BufRead, BufReader};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use memchr::memchr;
use serde_json::{Map, Value};

use super::context::Context;
use super::failure::Failure;
use super::save::{self, Args};
use crate::archive::{Batch, Document, Note, Save};
use crate::canon::{CanonError, CanonErrorKind, Canonicalizer, Form, NanMode, render};
use crate::error::Error;
use crate::pointer::members;
use crate::time::parse_time;
use crate::workspace::{Place, Workspace, place_for};

/// The members that a line may have.
const MEMBERS: [&str; 6] = ["path", "doc", "time", "message", "author", "meta"];

/// How many bytes of standard input are read at once.
const READ: usize = 64 << 10;
/// Lines are handed over in parcels of so many, or of so many bytes …
const PARCEL: usize = 256;
const PARCEL_LEN: usize = 512 << 10;
/// … of which so many may wait.
const WAITING: usize = 1;

/// One line, read.
struct Line {
    path: String,
    document: Document,
    note: Note,
}

/// Takes lines apart.
#[derive(Default)]
struct Lines {
    canonicalizer: Canonicalizer,
    canonical: Vec<u8>,
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
    let (lines, reader) = read_ahead(note)?;
    for (number, line) in lines.into_iter().flatten() {
        let added = match line {
            Ok(line) => line.and_then(|line| add(line, args, &workspace, &mut pending)),
            Err(error) => {
                commit(&workspace, &mut pending, context)?;
                return Err(Failure::io(format!(
                    "could not read standard input: {error}"
                )));
            }
        };
        if let Err(failure) = added {
            let failure = failure.at_line(number);
            if !args.keep_going {
                commit(&workspace, &mut pending, context)?;
                return Err(failure.hint(format!(
                    "the same again from line {number} on, once it is corrected: the lines before it are saved"
                )));
            }
            context.report(failure);
        }
        if pending.lines >= size {
            commit(&workspace, &mut pending, context)?;
        }
    }
    commit(&workspace, &mut pending, context)?;
    // Its end must not be taken for that of the input.
    if let Err(panic) = reader.join() {
        resume_unwind(panic);
    }
    Ok(super::DONE)
}

/// A line by its number, or why there are no more.
type Numbered = (u64, io::Result<Result<Line, Failure>>);

/// Reads standard input in a thread, which takes the next lines apart while those in front are put on disk. No line
/// waits for one that has not come yet.
fn read_ahead(note: Note) -> Result<(Receiver<Vec<Numbered>>, JoinHandle<()>), Failure> {
    let (sender, receiver) = sync_channel(WAITING);
    let read = move || {
        let mut stdin = BufReader::with_capacity(READ, io::stdin().lock());
        let mut lines = Lines::default();
        let (mut text, mut parcel) = (Vec::new(), Vec::new());
        let mut len = 0;
        for number in 1u64.. {
            let full = parcel.len() >= PARCEL || len >= PARCEL_LEN;
            if !parcel.is_empty() && (full || memchr(b'\n', stdin.buffer()).is_none()) {
                // Nobody takes them any more once a line has failed.
                if sender.send(std::mem::take(&mut parcel)).is_err() {
                    break;
                }
                len = 0;
            }
            text.clear();
            let line = match stdin.read_until(b'\n', &mut text) {
                Ok(0) => break,
                Ok(_) if text.trim_ascii().is_empty() => continue,
                Ok(_) => Ok(lines.read(&text, &note)),
                Err(error) => Err(error),
            };
            len += text.len();
            let ended = line.is_err();
            parcel.push((number, line));
            if ended {
                break;
            }
        }
        let _ = sender.send(parcel);
    };
    let thread = Builder::new().spawn(read);
    let thread = thread.map_err(|e| Failure::io(format!("could not start a thread: {e}")))?;
    Ok((receiver, thread))
}

fn add<'a>(
    line: Line,
    args: &Args,
    workspace: &'a Workspace,
    pending: &mut Pending<'a>,
) -> Result<(), Failure> {
    let mut document = line.document;
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
    pending.begin(workspace);
    pending.lines += 1;
    Ok(())
}

/// Lines that are not on disk yet. Lines with the same time, message, author and metadata are one commit, as long as
/// no path comes twice; all commits here share one sync.
#[derive(Default)]
struct Pending<'a> {
    /// Commits that are complete. What there is gets compressed while more lines are read.
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

    /// Lets threads begin with the lines that are there.
    fn begin(&mut self, workspace: &'a Workspace) {
        let Pending { batch, open, .. } = self;
        if let Some((_, save)) = open {
            let batch = batch.get_or_insert_with(|| workspace.archive().batch());
            batch.begin(save);
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

impl Lines {
    /// Takes a line apart. It is made canonical first, so that the document is checked as any other and no number in
    /// it passes through a float.
    fn read(&mut self, text: &[u8], default: &Note) -> Result<Line, Failure> {
        let Lines {
            canonicalizer,
            canonical,
        } = self;
        canonical.clear();
        // What holds no NaN needs no second reading: a value in a canonical text is canonical.
        let tagged = match canonicalizer.canonicalize(text, NanMode::Reject, canonical) {
            Err(error) if matches!(error.kind, CanonErrorKind::NonFinite { .. }) => {
                let done = canonicalizer.canonicalize(text, NanMode::Tag, canonical);
                done.map_err(|error| not_a_line(&error))?.tagged
            }
            done => done.map_err(|error| not_a_line(&error))?.tagged,
        };
        let values = values(canonical)?;
        let [path, doc, time, message, author, meta] =
            values.map(|value| value.filter(|json| *json != b"null"));
        // A document may be null.
        let doc = doc.or(values[1]).ok_or_else(|| missing("doc"))?;
        let document = if tagged {
            let mut text = Vec::new();
            render(doc, Form::Compact, true, &mut text);
            Document::value(text)
        } else {
            Document::canonical(doc)
        };
        let mut note = default.clone();
        if let Some(time) = string("time", time)? {
            note.time = Some(
                parse_time(&time)
                    .map_err(|error| Failure::invalid_document(format!("time: {error}")))?,
            );
        }
        note.message = string("message", message)?.or(note.message);
        note.author = string("author", author)?.or(note.author);
        // Metadata that is null is no object.
        if let Some(json) = meta.or(values[5]) {
            let meta: Map<String, Value> = serde_json::from_slice(json)
                .map_err(|_| Failure::invalid_document("meta is not an object"))?;
            note.meta.extend(meta);
        }
        Ok(Line {
            path: string("path", path)?.ok_or_else(|| missing("path"))?,
            document,
            note,
        })
    }
}

/// The values of the known members, in the order of [`MEMBERS`]. A misspelled member must not vanish.
fn values(canonical: &[u8]) -> Result<[Option<&[u8]>; MEMBERS.len()], Failure> {
    let mut values = [None; MEMBERS.len()];
    let members = members(canonical)
        .ok_or_else(|| Failure::invalid_document("not an object with path and doc"))?;
    for (name, value) in members {
        // None of them needs an escape.
        let known = MEMBERS.iter().position(|known| known.as_bytes() == name);
        let Some(at) = known else {
            return Err(Failure::invalid_document(format!(
                "only the members {} are known",
                MEMBERS.join(", ")
            )));
        };
        values[at] = Some(value);
    }
    Ok(values)
}

fn string(name: &str, value: Option<&[u8]>) -> Result<Option<String>, Failure> {
    let Some(json) = value else { return Ok(None) };
    serde_json::from_slice(json)
        .map(Some)
        .map_err(|_| Failure::invalid_document(format!("{name} is not a string")))
}

fn missing(name: &str) -> Failure {
    Failure::invalid_document(format!("the member {name} is missing"))
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

    fn read(text: &str) -> Option<Line> {
        let mut lines = Lines::default();
        lines.read(text.as_bytes(), &Note::default()).ok()
    }

    #[test]
    fn null_is_a_document_and_no_message() {
        let line = read(r#" {"message":null, "doc":null, "path":"a"} "#).unwrap();
        assert_eq!(line.document.text(), b"null");
        assert_eq!(line.note, Note::default());
    }

    #[test]
    fn numbers_and_nan_come_through() {
        let line = read(r#"{"path":"a","doc":{"b":9007199254740993,"a":NaN}}"#).unwrap();
        assert_eq!(line.path, "a");
        assert_eq!(line.document.text(), br#"{"a":NaN,"b":9007199254740993}"#);
    }

    #[test]
    fn a_genuine_object_of_the_shape_of_a_tag_stays() {
        let line = read(r#"{"path":"a","doc":{"$number":"NaN"}}"#).unwrap();
        assert_eq!(line.document.text(), br#"{"$number":"NaN"}"#);
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
            r#"{"path":"a","doc":1,"meta":null}"#,
            r#"{"path":null,"doc":1}"#,
            r#"{}"#,
            r#"1"#,
            r#"[1]"#,
            r#"{"path":"a","path":"b","doc":1}"#,
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
