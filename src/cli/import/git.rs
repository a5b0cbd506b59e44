//! `backstory import git`

use std::path::PathBuf;

use clap::ValueHint;

use super::super::arguments::Nan;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::text::quote;
use super::{Place, import};
use crate::import::GitImport;

/// The history of the JSON files in a git repository
///
/// Each git commit that changed such files is a commit with its author, time and message; its metadata names it. A file
/// that git takes for renamed is linked to its old path there, and where its content is the same the history follows. The
/// time is the one at which it was committed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory import git .
  backstory import git ~/site --path 'config/**/*.json' --under site
  backstory import git . --since v1.0 --first-parent")]
pub(super) struct Args {
    /// The repository, or a folder in its work tree
    #[arg(value_name = "REPO", value_hint = ValueHint::DirPath)]
    repository: PathBuf,
    /// Only these files, as patterns with *, ** and ?; may be repeated [default: **/*.json]
    #[arg(long = "path", value_name = "GLOB")]
    paths: Vec<String>,
    /// Only commits that this one does not contain
    #[arg(long, value_name = "REV")]
    since: Option<String>,
    /// Up to this commit
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    rev: String,
    /// A merge is one commit with all that it brings, and what was merged is not followed
    #[arg(long)]
    first_parent: bool,
    #[command(flatten)]
    place: Place,
    /// What becomes of NaN, Infinity and -Infinity [default: as in the newest version, else reject]
    #[arg(long, value_name = "MODE")]
    nan: Option<Nan>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.here()?;
    let options = GitImport {
        revision: args.rev.clone(),
        since: args.since.clone(),
        paths: args.paths.clone(),
        first_parent: args.first_parent,
        under: args.place.under(&workspace)?,
        nan: args.nan.map(Into::into),
        ..GitImport::new(context.cwd.join(&args.repository))
    };
    let repository = args.repository.display().to_string();
    let hint = |path: &str, place: &str| {
        let (repository, object) = (quote(&repository), format!("{place}:{path}"));
        format!(
            "git -C {repository} show {} | backstory canon",
            quote(&object)
        )
    };
    import(&repository, context, &hint, |tell| {
        options.run(workspace.archive(), tell)
    })
    .map_err(|failure| failure.hint_else(|| "git log".to_owned()))
}
