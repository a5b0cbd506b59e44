//! `backstory identify`

use std::path::PathBuf;

use clap::ValueHint;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::output::style;
use super::text::{clock, quote, visible};
use crate::time::format_utc;

/// Find the versions that have the content of a file
///
/// Prints every version with the same bytes, or with the same document in another layout, newest first. Exit code 3
/// where there is none.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory identify config/production.json
  backstory identify /tmp/which-one-is-this.json
  backstory load metrics.json@3 | backstory identify -")]
pub(super) struct Args {
    /// The file; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let (name, bytes) = context.read_input(&args.file)?;
    let workspace = context.workspace_for(&[args.file.to_string_lossy()])?;
    let found = workspace
        .archive()
        .identify(&bytes)
        .map_err(|error| match error {
            crate::error::Error::InvalidDocument { source, .. } => {
                Failure::from(crate::error::Error::InvalidDocument {
                    path: name.clone(),
                    source,
                })
            }
            error => error.into(),
        })?;
    if found.is_empty() {
        return Err(Failure::not_found(format!(
            "no version in the archive has the content of {name}"
        ))
        .hint(format!(
            "backstory save {}",
            quote(&args.file.to_string_lossy())
        )));
    }
    for found in found {
        let version = &found.version;
        let same = if found.same_bytes {
            "bytes"
        } else {
            "document"
        };
        if context.json() {
            let mut line = Object::new();
            line.text("path", &version.path)
                .number("version", version.version)
                .text("same", same)
                .text("time", &format_utc(version.time))
                .text("commit", &version.commit.to_string())
                .text("rev", &context.rev(&version.rev()));
            context.out.line(&line.finish());
        } else {
            let rev = context.out.paint(style::NAME, &visible(&version.rev()));
            context.out.line(&format!(
                "{:<13}  {}  {rev}",
                format!("same {same}"),
                clock(version.time)
            ));
        }
    }
    Ok(super::DONE)
}
