//! An error as the command shows it: to a person with what to type next, to a program as one line of JSON.

use std::ffi::OsString;
use std::io::Write;

use super::json::Object;
use super::text::{quote, visible};
use crate::canon::{CanonError, CanonErrorKind};
use crate::error::{Error, ErrorKind};
use crate::log::format::{IDENTITY_FILE, MANIFEST_FILE};

/// Exit code of a call that makes no sense.
pub(super) const USAGE: u8 = 2;

/// Something that could not be done.
#[derive(Debug)]
pub(super) struct Failure {
    kind: &'static str,
    exit: u8,
    message: String,
    path: Option<String>,
    /// The line of the input, where it holds one document a line.
    input_line: Option<u64>,
    place: Option<Box<CanonError>>,
    hint: Option<String>,
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new("usage", USAGE, message)
    }

    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure::new("not-found", 3, message)
    }

    pub fn no_archive(message: impl Into<String>) -> Failure {
        Failure::new("no-archive", 3, message).hint("backstory init")
    }

    pub fn conflict(message: impl Into<String>) -> Failure {
        Failure::new("conflict", 4, message)
    }

    pub fn invalid_document(message: impl Into<String>) -> Failure {
        Failure::new("invalid-document", 5, message)
    }

    pub fn io(message: impl Into<String>) -> Failure {
        Failure::new("io", 7, message)
    }

    fn new(kind: &'static str, exit: u8, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            exit,
            message: message.into(),
            path: None,
            input_line: None,
            place: None,
            hint: None,
        }
    }

    /// What to type next; replaces what was suggested so far.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// What to type next, if nothing was suggested so far.
    pub fn hint_else(mut self, hint: impl FnOnce() -> String) -> Failure {
        self.hint.get_or_insert_with(hint);
        self
    }

    /// The file or path it is about.
    pub fn about(mut self, path: impl Into<String>) -> Failure {
        self.path = Some(path.into());
        self
    }

    /// The line of standard input that it is about.
    pub fn at_line(mut self, line: u64) -> Failure {
        self.message = format!("line {line} of standard input: {}", self.message);
        self.input_line = Some(line);
        self
    }

    pub fn exit(&self) -> u8 {
        self.exit
    }

    pub fn is_io(&self) -> bool {
        matches!(self.kind, "io" | "outcome-unknown")
    }

    pub fn from_clap(error: &clap::Error, arguments: &[OsString]) -> Failure {
        let rendered = error.render().to_string();
        let mut lines = rendered
            .lines()
            .map(str::trim)
            .take_while(|line| !line.starts_with("Usage:"));
        let first = lines.next().unwrap_or("the call makes no sense");
        let rest: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        let mut message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        for line in rest {
            message.push_str(if message.ends_with(':') { " " } else { "; " });
            message.push_str(line.strip_prefix("tip: ").unwrap_or(line));
        }
        let command = command_name(arguments);
        let hint = match &command {
            Some(name) => format!("backstory {name} --help"),
            None => "backstory --help".to_owned(),
        };
        Failure::usage(message).hint(hint)
    }

    /// Prints it on standard error; nothing can be done where that fails.
    pub fn print(&self, json: bool) {
        let text = if json { self.as_json() } else { self.as_text() };
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes());
    }

    fn as_text(&self) -> String {
        let mut text = format!("error: {}\n", visible(&self.message));
        if let Some(place) = &self.place {
            text.push_str(&format!("  help: {}\n", place.remedy()));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  try: {}\n", visible(hint)));
        }
        text
    }

    fn as_json(&self) -> String {
        let mut error = Object::new();
        error
            .text("kind", self.kind)
            .text("message", &self.message)
            .number("exit", u64::from(self.exit));
        if let Some(path) = &self.path {
            error.text("path", path);
        }
        if let Some(line) = self.input_line {
            error.number("input_line", line);
        }
        if let Some(place) = &self.place {
            error
                .text("pointer", &place.pointer)
                .number("line", place.line as u64)
                .number("column", place.column as u64)
                .number("offset", place.offset as u64)
                .text("help", place.remedy());
        }
        error.optional_text("try", self.hint.as_deref());
        let mut outer = Object::new();
        outer.raw("error", &error.finish());
        outer.finish() + "\n"
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (kind, exit) = match error.kind() {
            ErrorKind::Usage => ("usage", 2),
            ErrorKind::AlreadyExists => ("already-exists", 2),
            ErrorKind::NotFound => ("not-found", 3),
            ErrorKind::NoArchive => ("no-archive", 3),
            ErrorKind::Conflict => ("conflict", 4),
            ErrorKind::InvalidDocument => ("invalid-document", 5),
            ErrorKind::Corrupt => ("corrupt", 6),
            ErrorKind::Unsupported => ("unsupported", 6),
            ErrorKind::Io => ("io", 7),
            ErrorKind::OutcomeUnknown => ("outcome-unknown", 7),
            ErrorKind::Busy => ("busy", 8),
        };
        let mut failure = Failure::new(kind, exit, error.to_string());
        match error {
            Error::InvalidDocument { path, source } => {
                failure.hint = Some(after_correction(&path, &source));
                failure.path = Some(path);
                failure.place = Some(Box::new(source));
            }
            Error::Conflict { path, .. } if !path.is_empty() => {
                failure.hint = Some(format!("backstory log {}", quote(&format!(":/{path}"))));
                failure.path = Some(path);
            }
            Error::NoArchive(_) => failure.hint = Some("backstory init".to_owned()),
            // Without these nothing can be checked.
            Error::Corrupt(at) if at.file == IDENTITY_FILE || at.file.ends_with(MANIFEST_FILE) => {
                failure.hint = Some("backstory repair".to_owned());
            }
            Error::Corrupt(_) => failure.hint = Some("backstory verify".to_owned()),
            Error::OutcomeUnknown { .. } | Error::Poisoned => {
                failure.hint = Some("backstory log -n 1".to_owned())
            }
            Error::Unsupported(_) => {
                failure.hint = Some("backstory --version, and a newer release of it".to_owned());
            }
            _ => {}
        }
        failure
    }
}

/// What to type once the document is as it should be.
fn after_correction(path: &str, error: &CanonError) -> String {
    let file = quote(path);
    match error.kind {
        CanonErrorKind::NonFinite(_) => format!("backstory save {file} --nan tag"),
        _ => format!(
            "backstory canon {file}   (once line {} is corrected, to see that it is accepted)",
            error.line
        ),
    }
}

/// Did the call ask for JSON, as far as can be told before its arguments are read?
pub(super) fn asked_for_json(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .skip(1)
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
}

fn command_name(arguments: &[OsString]) -> Option<String> {
    use clap::CommandFactory;
    let commands = super::Cli::command();
    arguments
        .iter()
        .skip(1)
        .filter_map(|argument| argument.to_str())
        .find_map(|argument| {
            commands
                .get_subcommands()
                .map(clap::Command::get_name)
                .find(|name| *name == argument)
                .map(str::to_owned)
        })
}
