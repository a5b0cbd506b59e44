//! `backstory tag`

use clap::ValueHint;

use super::arguments::NoteArgs;
use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::load::not_found;
use super::output::style;
use super::text::{quote, short, visible};
use crate::archive::Tag;
use crate::revision::check_tag_name;
use crate::workspace::Workspace;

/// Name a version, or the whole archive as it is now
///
/// A tag is used as PATH@TAG. Without REV it names the whole archive at its newest commit, so that PATH@TAG is what
/// each path was then. A tag that exists is moved; that is a commit too, and the history keeps the old place.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory tag best metrics.json@12
  backstory tag release-1.0
  backstory tag --list
  backstory tag --delete best")]
pub(super) struct Args {
    /// The name: not digits, a date or `latest`
    #[arg(
        value_name = "NAME",
        required_unless_present = "list",
        conflicts_with = "list"
    )]
    name: Option<String>,
    /// Which version
    #[arg(value_name = "REV", conflicts_with = "list", value_hint = ValueHint::FilePath)]
    rev: Option<String>,
    /// List all tags
    #[arg(long, short)]
    list: bool,
    /// Remove the tag
    #[arg(long, short, conflicts_with_all = ["list", "rev"])]
    delete: bool,
    #[command(flatten)]
    note: NoteArgs,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    let workspace = context.workspace_for(args.rev.as_slice())?;
    let Some(name) = &args.name else {
        return list(&workspace, context);
    };
    let before = find(name, &workspace)?;
    let archive = workspace.archive();
    let mut edit = match &args.rev {
        _ if args.delete => archive.delete_tag(name),
        Some(rev) => {
            check_tag_name(name).map_err(|error| Failure::usage(error.to_string()))?;
            let version = workspace
                .resolve(&workspace.target(rev, None)?)
                .map_err(|error| not_found(error, rev))?;
            archive.tag_version(name, &version)
        }
        None => {
            check_tag_name(name).map_err(|error| Failure::usage(error.to_string()))?;
            archive.tag_archive(name, archive.head()?.seq)
        }
    };
    edit.note(args.note.note(context));
    edit.commit().map_err(|error| {
        let missing = error.is_not_found();
        let failure = Failure::from(error);
        if missing {
            failure.hint("backstory tag --list")
        } else {
            failure
        }
    })?;
    let (verb, tag) = match (args.delete, before) {
        (true, before) => ("removed the tag", before),
        (false, before) => (
            if before.is_some() {
                "moved the tag"
            } else {
                "tagged"
            },
            find(name, &workspace)?,
        ),
    };
    if let Some(tag) = tag {
        if context.json() {
            context.out.line(&tag_json(&tag));
        } else {
            context.say(&format!("{verb} {}  {}", visible(&tag.name), meaning(&tag)));
        }
    }
    Ok(super::DONE)
}

fn find(name: &str, workspace: &Workspace) -> Result<Option<Tag>, Failure> {
    Ok(workspace
        .archive()
        .tags()?
        .into_iter()
        .find(|tag| tag.name == name))
}

fn list(workspace: &Workspace, context: &mut Context) -> Result<u8, Failure> {
    for tag in workspace.archive().tags()? {
        let line = if context.json() {
            tag_json(&tag)
        } else {
            format!(
                "{}  {}",
                context.out.paint(style::NAME, &visible(&tag.name)),
                meaning(&tag)
            )
        };
        context.out.line(&line);
    }
    Ok(super::DONE)
}

fn meaning(tag: &Tag) -> String {
    match (&tag.path, tag.version) {
        (Some(path), Some(version)) => quote(&visible(&format!("{path}@{version}"))).into_owned(),
        _ => format!("the archive at commit {}", short(tag.commit)),
    }
}

fn tag_json(tag: &Tag) -> String {
    let mut line = Object::new();
    line.text("name", &tag.name)
        .optional_text("path", tag.path.as_deref())
        .optional_number("version", tag.version)
        .text("commit", &tag.commit.to_string());
    line.finish()
}
