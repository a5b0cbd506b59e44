//! `backstory import`: one file for each kind of source.

mod archive;
mod bundle;
mod dir;
mod git;
mod jsonl;

use clap::Subcommand;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::text::count;
use super::{DONE, progress};
use crate::error::{Error, ErrorKind};
use crate::import::{Imported, Tell, Told};
use crate::workspace::Workspace;

/// Bring a history with you: from git, JSON lines, another archive, a folder or a bundle
///
/// Run again it goes on where it stopped: it adds what is new, and nothing twice. What is no document is told of and left
/// out (exit 5).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory import git .
  backstory import git ~/site --path 'config/**/*.json' --under site
  backstory import jsonl history.jsonl
  backstory import archive /mnt/jobs/17 --under jobs/17
  backstory import dir runs
  backstory import dir mlruns --under mlflow
  backstory import bundle tuesday.bundle")]
pub(super) struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Subcommand)]
enum Source {
    Git(git::Args),
    Jsonl(jsonl::Args),
    Archive(archive::Args),
    Dir(dir::Args),
    Bundle(bundle::Args),
}

/// Whereto.
#[derive(clap::Args)]
struct Place {
    /// Below this folder of the archive
    #[arg(long, value_name = "PREFIX")]
    under: Option<String>,
}

impl Place {
    fn under(&self, workspace: &Workspace) -> Result<String, Failure> {
        match &self.under {
            Some(under) => Ok(workspace.prefix_argument(under)?),
            None => Ok(String::new()),
        }
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    match &args.source {
        Source::Git(args) => git::run(args, context),
        Source::Jsonl(args) => jsonl::run(args, context),
        Source::Archive(args) => archive::run(args, context),
        Source::Dir(args) => dir::run(args, context),
        Source::Bundle(args) => bundle::run(args, context),
    }
}

/// Runs an import and says what came of it. `hint` says how to look at something that is left out, given its path and
/// where in the source it is.
fn import(
    source: &str,
    context: &mut Context,
    hint: &dyn Fn(&str, &str) -> String,
    run: impl FnOnce(Tell<'_>) -> Result<Imported, Error>,
) -> Result<u8, Failure> {
    let bar = progress::versions(context);
    let imported = run(&mut |told| match told {
        Told::Imported(imported) => bar.reached(imported.versions),
        Told::Note(text) => context.notice(&format!("note: {text}")),
        Told::LeftOut { path, place, error } => {
            let message = format!("{place}: {error}");
            let failure = match error.kind() {
                ErrorKind::InvalidDocument => {
                    Failure::invalid_document(message).hint(hint(&path, &place))
                }
                // A name is what it is.
                ErrorKind::Usage | ErrorKind::NotFound => Failure::invalid_document(message),
                _ => Failure::from(error).hint(hint(&path, &place)),
            };
            context.report(failure.about(path));
        }
    });
    bar.finish();
    let imported = imported.map_err(|error| {
        let conflict = error.is_conflict();
        let failure = Failure::from(error);
        match conflict {
            true => failure.hint(context.again()),
            false => failure,
        }
    })?;
    if context.json() {
        let mut document = Object::new();
        document
            .text("source", source)
            .number("commits", imported.commits)
            .number("versions", imported.versions)
            .number("already", imported.already)
            .number("left_out", imported.left_out);
        context.out.line(&document.finish());
        return Ok(DONE);
    }
    let mut line = format!(
        "imported {} in {}",
        count(imported.versions, "version"),
        count(imported.commits, "commit")
    );
    if imported.already > 0 {
        line.push_str(&format!("; {} there already", imported.already));
    }
    if imported.left_out > 0 {
        line.push_str(&format!("; {} left out", imported.left_out));
    }
    context.say(&line);
    Ok(DONE)
}
