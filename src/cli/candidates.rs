//! What an archive knows that could stand where a shell asks to complete a word: paths, versions, tags and commits.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::CommandFactory;

use super::context::Context;
use super::failure::Failure;
use super::text::short;
use crate::workspace::Workspace;

/// More paths than this are not looked through: the shell waits.
const MAX_PATHS: usize = 50_000;
/// So many versions, and commits, are offered.
const NEWEST: usize = 20;

/// What stands at a place of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Path,
    Rev,
    Tag,
    Commit,
}

/// What could be the last of these words, which follow the name of the program.
pub(super) fn candidates(words: &[String], context: &mut Context) -> Vec<String> {
    let Some((word, before)) = words.split_last() else {
        return Vec::new();
    };
    let Some((kind, archive)) = asked(before, word) else {
        return Vec::new();
    };
    // A shell has no use for why there is nothing.
    let found = open(archive, context).and_then(|workspace| match kind {
        Kind::Path => paths(&workspace, word),
        Kind::Rev => match word.rsplit_once('@') {
            Some((path, _)) => revs(&workspace, path, word),
            None => paths(&workspace, word),
        },
        Kind::Tag => {
            let tags = workspace.archive().tags()?;
            let names = tags.into_iter().map(|tag| tag.name);
            Ok(names
                .filter(|name| name.starts_with(word.as_str()))
                .collect())
        }
        Kind::Commit => commits(&workspace, word),
    });
    found.unwrap_or_default()
}

fn open(archive: Option<PathBuf>, context: &mut Context) -> Result<Workspace, Failure> {
    match archive {
        Some(folder) => {
            let folder = context.cwd.join(folder);
            context.open(&folder)
        }
        None => context.here(),
    }
}

/// What is asked for, and the archive that the words in front name.
fn asked(before: &[String], word: &str) -> Option<(Kind, Option<PathBuf>)> {
    if word.starts_with('-') {
        return None;
    }
    let all = super::Cli::command();
    let mut archive = None;
    let mut command: Option<&clap::Command> = None;
    let mut positionals = 0;
    let mut words = before.iter();
    let mut pending = None;
    while let Some(text) = words.next() {
        if text == "--" {
            continue;
        }
        if let Some(option) = text.strip_prefix("--") {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let known = command.and_then(|command| option_of(command, name));
            let known = known.or_else(|| option_of(&all, name));
            if known.is_some_and(|known| known.get_action().takes_values()) && value.is_none() {
                match words.next() {
                    Some(value) if name == "archive" => archive = Some(PathBuf::from(value)),
                    Some(_) => {}
                    None => pending = Some(name.to_owned()),
                }
            } else if let Some(value) = value.filter(|_| name == "archive") {
                archive = Some(PathBuf::from(value));
            }
        } else if let Some(letter) = text.strip_prefix('-').and_then(|text| text.chars().last()) {
            let known = command.and_then(|command| {
                let mut options = command.get_arguments();
                options.find(|argument| argument.get_short() == Some(letter))
            });
            if known.is_some_and(|known| known.get_action().takes_values())
                && words.next().is_none()
            {
                pending = Some(String::new());
            }
        } else if command.is_none() {
            command = Some(all.find_subcommand(text)?);
        } else {
            positionals += 1;
        }
    }
    let kind = match (command?.get_name(), pending.as_deref(), positionals) {
        ("tag", None, 0) => Kind::Tag,
        ("export", Some("since"), _) => Kind::Commit,
        (_, Some(_), _) => return None,
        ("load" | "blame", None, 0) | ("diff", None, 0 | 1) | ("tag", None, 1) => Kind::Rev,
        ("log" | "ls" | "apply" | "mv", None, 0) => Kind::Path,
        ("rollback" | "delete" | "undelete" | "series", None, _) => Kind::Path,
        ("undo", None, 0) => Kind::Commit,
        _ => return None,
    };
    Some((kind, archive))
}

fn option_of<'a>(command: &'a clap::Command, name: &str) -> Option<&'a clap::Arg> {
    let mut options = command.get_arguments();
    options.find(|argument| argument.get_long() == Some(name))
}

/// Archived paths that go on from `word`, as far as the end of the next folder's name.
fn paths(workspace: &Workspace, word: &str) -> Result<Vec<String>, Failure> {
    let (lead, typed) = match word.strip_prefix(":/") {
        Some(typed) => (":/", typed),
        None => ("", word),
    };
    let base = match lead {
        "" => workspace.prefix_argument(".").unwrap_or_default(),
        _ => String::new(),
    };
    let folder = match (base.is_empty(), typed.rsplit_once('/')) {
        (true, None) => String::new(),
        (true, Some((folder, _))) => folder.to_owned(),
        (false, None) => base.clone(),
        (false, Some((folder, _))) => format!("{base}/{folder}"),
    };
    let base_len = if base.is_empty() { 0 } else { base.len() + 1 };
    let mut found = BTreeSet::new();
    let mut after: Option<String> = None;
    let mut count = 0;
    while count < MAX_PATHS {
        let page = workspace
            .archive()
            .path_names(&folder, after.as_deref(), 1024)?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        count += page.len();
        for path in &page {
            let Some(rest) = path.get(base_len..).filter(|rest| rest.starts_with(typed)) else {
                continue;
            };
            let end = rest[typed.len()..].find('/');
            let end = end.map_or(rest.len(), |end| typed.len() + end + 1);
            found.insert(format!("{lead}{}", &rest[..end]));
        }
    }
    Ok(found.into_iter().collect())
}

/// The newest versions of a path, and the tags that name one.
fn revs(workspace: &Workspace, path: &str, word: &str) -> Result<Vec<String>, Failure> {
    let archive = workspace.archive();
    let archived = workspace.path_argument(path)?;
    let newest = archive
        .newest(&archived)?
        .map_or(0, |newest| newest.version);
    let tags = archive.tags()?.into_iter();
    let tags = tags.filter(|tag| tag.path.as_ref().is_none_or(|path| *path == archived));
    let versions = (1..=newest).rev().take(NEWEST);
    let all = versions
        .map(|version| version.to_string())
        .chain(tags.map(|tag| tag.name));
    Ok(all
        .map(|spec| format!("{path}@{spec}"))
        .filter(|rev| rev.starts_with(word))
        .collect())
}

/// The newest commits.
fn commits(workspace: &Workspace, word: &str) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for commit in workspace.archive().commits()?.take(NEWEST) {
        let id = commit?.commit.to_string();
        if id.starts_with(word) {
            found.push(match word.len() < short(&id).len() {
                true => short(id),
                false => id,
            });
        }
    }
    Ok(found)
}
