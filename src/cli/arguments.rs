//! Arguments that more than one command takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ColorChoice, ValueEnum, ValueHint};
use serde_json::{Map, Value};

use super::context::Context;
use super::failure::Failure;
use crate::archive::Note;
use crate::canon::NanMode;
use crate::pointer::Pointer;
use crate::time::{parse_day_end, parse_time};

/// Options of every command, accepted in front of its name and behind it.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Globals {
    /// The folder that holds .backstory [default: $BACKSTORY_ARCHIVE, else the nearest above the file]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Global options")]
    pub archive: Option<PathBuf>,
    /// JSON on standard output, and errors as JSON on standard error
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// No messages and no status lines
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// How long to wait for another writer
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Global options")]
    pub wait: Duration,
    /// When to colour the output
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub color: ColorChoice,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is expected, such as 5 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What a commit says about itself.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct NoteArgs {
    /// Why: kept with the commit
    #[arg(long, short, value_name = "MSG")]
    pub message: Option<String>,
    /// Something else to keep with the commit; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub meta: Vec<(String, String)>,
    /// Who [default: $BACKSTORY_AUTHOR, else the login name]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// The time the change is said to be from (RFC 3339), where that is not now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub time: Option<i64>,
}

impl NoteArgs {
    pub fn note(&self, context: &Context) -> Note {
        let meta: Map<String, Value> = self
            .meta
            .iter()
            .map(|(key, value)| (key.clone(), Value::String(value.clone())))
            .collect();
        Note {
            message: self.message.clone(),
            author: self
                .author
                .clone()
                .or_else(|| context.environment.author.clone()),
            meta,
            time: self.time,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("KEY=VALUE is expected, such as run=42".to_owned()),
    }
}

/// A time; a plain date is its first moment in UTC.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    parse_time(text).map_err(|error| error.to_string())
}

/// A time; a plain date is its last moment in UTC.
pub(super) fn moment_until(text: &str) -> Result<i64, String> {
    parse_day_end(text)
        .or_else(|_| parse_time(text))
        .map_err(|error| error.to_string())
}

/// A JSON Pointer.
pub(super) fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::parse(text).map_err(|error| error.to_string())
}

/// What becomes of NaN and the infinities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Nan {
    /// They are an error
    Reject,
    /// They are kept, and given back on load
    Tag,
}

impl From<Nan> for NanMode {
    fn from(nan: Nan) -> NanMode {
        match nan {
            Nan::Reject => NanMode::Reject,
            Nan::Tag => NanMode::Tag,
        }
    }
}

/// The canonical form of a plain file or of standard input.
pub(super) fn canonical_file(file: &Path, nan: Nan, context: &Context) -> Result<Vec<u8>, Failure> {
    let (name, bytes) = context.read_input(file)?;
    crate::canon::canonicalize_with(&bytes, nan.into())
        .map(|(canonical, _)| canonical)
        .map_err(|source| {
            Failure::from(crate::error::Error::InvalidDocument { path: name, source })
        })
}
