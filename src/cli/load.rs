//! `backstory load`

use std::path::PathBuf;

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::{quote, size, visible};
use crate::archive::{LoadedDocument, Version};
use crate::canon::{Form, render};
use crate::pointer::Pointer;

/// Print a version, or write it to a file
///
/// Without a form, these are the bytes as they were saved; a document that came without bytes of its own, from JSON
/// lines or a library, is printed as with --pretty.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory load config/production.json@3
  backstory load config/production.json@2026-11-01 -o /tmp/old.json
  backstory load metrics.json@-1 --pointer /accuracy
  backstory load metrics.json --canonical | b3sum")]
pub(super) struct Args {
    /// Which version: PATH, PATH@3, PATH@-1, PATH@TAG, PATH@2026-11-01
    #[arg(value_name = "REV", value_hint = ValueHint::FilePath)]
    rev: String,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    form: FormArgs,
    /// Only the value at this JSON Pointer
    #[arg(long, value_name = "PTR", conflicts_with = "source")]
    pointer: Option<String>,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct FormArgs {
    /// The bytes as they were saved (the default)
    #[arg(long)]
    source: bool,
    /// Indented by two spaces
    #[arg(long)]
    pretty: bool,
    /// Without white space
    #[arg(long)]
    compact: bool,
    /// The canonical form (RFC 8785), whose BLAKE3 is the object id
    #[arg(long)]
    canonical: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let pointer = match &args.pointer {
        Some(text) => {
            Some(Pointer::parse(text).map_err(|error| Failure::usage(error.to_string()))?)
        }
        None => None,
    };
    let workspace = context.workspace_for(&[&args.rev])?;
    let version = workspace
        .resolve(&workspace.target(&args.rev, None)?)
        .map_err(|error| not_found(error, &args.rev))?;
    let archive = workspace.archive();
    let form = &args.form;
    let bytes = if pointer.is_some() || form.canonical || form.compact || form.pretty {
        let document = archive
            .load_document(&version)
            .map_err(|error| not_found(error, &args.rev))?;
        match &pointer {
            Some(pointer) => value_at(&document, &version, pointer, form)?,
            None if form.canonical => document.canonical().to_vec(),
            None if form.compact => document.render(Form::Compact),
            None => document.render(Form::Pretty),
        }
    } else {
        match archive.load(&version) {
            Ok(loaded) => loaded.into_source(),
            Err(error) if error.is_corrupt() && archive.load_document(&version).is_ok() => {
                let rev = quote(&args.rev);
                return Err(Failure::from(error).hint(format!(
                    "backstory load --pretty {rev}   (the document is whole, only how it was written is not)"
                )));
            }
            Err(error) => return Err(not_found(error, &args.rev)),
        }
    };
    let Some(file) = args.output.as_ref().filter(|file| file.as_os_str() != "-") else {
        context.out.bytes(&bytes);
        return Ok(super::DONE);
    };
    let mut note = NoteArgs::default().note(context);
    note.message = Some("what was on disk before it was replaced".to_owned());
    let (saved, aside) = workspace
        .write_file(file, &bytes, note, context.stamp())
        .map_err(|error| {
            Failure::from(error).hint(format!("backstory load {} -o FILE", quote(&args.rev)))
        })?;
    if let Some(rev) = saved {
        context.notice(&format!(
            "note: what was in {} is saved as {rev}",
            file.display()
        ));
    }
    if let Some(aside) = aside {
        context.warn(&format!(
            "warning: what was in {} could not be saved and is now {}",
            file.display(),
            aside.display()
        ));
    }
    if context.json() {
        let mut line = Object::new();
        line.text("path", &version.path)
            .number("version", version.version)
            .optional("id", version.id)
            .text("rev", &context.rev(&version.rev()))
            .text("file", &file.to_string_lossy())
            .number("bytes", bytes.len() as u64);
        context.out.line(&line.finish());
    } else {
        let text = format!(
            "wrote {} from {} ({})",
            file.display(),
            version.rev(),
            size(bytes.len() as u64)
        );
        context.say(&visible(&text));
    }
    Ok(super::DONE)
}

/// A value has no bytes of its own: it is laid out for reading unless another form is asked for.
fn value_at(
    document: &LoadedDocument,
    version: &Version,
    pointer: &Pointer,
    form: &FormArgs,
) -> Result<Vec<u8>, Failure> {
    let value = document.pointer(pointer).ok_or_else(|| {
        Failure::not_found(format!(
            "{} has no value at {}",
            version.rev(),
            pointer.as_str()
        ))
        .about(&version.path)
        .hint(format!(
            "backstory load {}",
            quote(&format!(":/{}", version.rev()))
        ))
    })?;
    if form.canonical {
        return Ok(value.to_vec());
    }
    let mut bytes = Vec::new();
    render(
        value,
        if form.compact {
            Form::Compact
        } else {
            Form::Pretty
        },
        version.nan,
        &mut bytes,
    );
    Ok(bytes)
}

/// A version that is not there: the history says which are.
pub(super) fn not_found(error: crate::error::Error, rev: &str) -> Failure {
    let missing = error.is_not_found();
    let failure = Failure::from(error);
    if !missing {
        return failure;
    }
    let (path, spec) = crate::revision::split(rev);
    match spec {
        Some(_) if !path.is_empty() => failure.hint(format!("backstory log {}", quote(path))),
        _ => failure.hint("backstory ls"),
    }
}
