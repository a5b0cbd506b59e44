//! A call whose pointers are missing or find nothing: what there is instead.

use super::PathSeries;
use crate::archive::{Archive, LoadedDocument};
use crate::cli::failure::Failure;
use crate::cli::table::cut;
use crate::cli::text::quote;
use crate::pointer::Pointer;
use crate::series::{Places, near, scalars};
use crate::workspace::Workspace;

/// Pointers that a message names.
const NAMED: usize = 6;
/// Versions that are looked at for them, about.
const LOOKED_AT: usize = 16;
/// Letters of each, at most.
const LETTERS: usize = 80;

/// No pointer in the call: which numbers the newest version of its first path has.
pub(super) fn no_pointer(paths: &[String], workspace: &Workspace) -> Failure {
    let archive = workspace.archive();
    let newest = paths
        .iter()
        .find_map(|path| Some((path, newest_document(archive, path)?)));
    let failure = Failure::usage("series needs a JSON Pointer, such as /accuracy");
    let Some((path, document)) = newest else {
        return failure;
    };
    let found = scalars(document.canonical(), NAMED);
    let Some(first) = found.first() else {
        return failure;
    };
    Failure::usage(format!(
        "series needs a JSON Pointer; numbers in {path}: {}",
        list(found.iter().map(|pointer| pointer.as_str()))
    ))
    .hint(call(path, first.as_str()))
}

/// No version has a value there: what is near it.
pub(super) fn found_nowhere(places: &Places, all: &[PathSeries], archive: &Archive) -> Failure {
    let which = match all {
        [series] => format!("no version of {}", series.path),
        _ => format!("no version of the {} paths", all.len()),
    };
    let message = format!("{which} that was looked at has a value at {places}");
    let Some((path, found)) = all
        .iter()
        .find_map(|series| Some((&series.path, near_by(places, series, archive)?)))
    else {
        let load = |series: &PathSeries| format!("backstory load {}", argument(&series.path));
        let hint = all.first().map(load).unwrap_or_default();
        return Failure::not_found(message).hint(hint);
    };
    let Some(first) = found.first() else {
        return Failure::not_found(message);
    };
    let names = list(found.iter().map(|pointer| pointer.as_str()));
    Failure::not_found(format!("{message}; near it there is {names}"))
        .about(path)
        .hint(call(path, first.as_str()))
}

/// What some version has near the places: mostly the newest, but that may be empty where others are not.
fn near_by(places: &Places, series: &PathSeries, archive: &Archive) -> Option<Vec<Pointer>> {
    let points = &series.points;
    let step = (points.len() / LOOKED_AT).max(1);
    let versions = points.iter().rev().step_by(step).map(|p| &p.version);
    let documents = versions.filter_map(|version| archive.load_document(version).ok());
    documents
        .map(|document| near(document.canonical(), places, NAMED))
        .find(|found| !found.is_empty())
}

/// The newest document of a path; nothing where damage has taken it, as this is for a message only.
fn newest_document(archive: &Archive, path: &str) -> Option<LoadedDocument> {
    let history = archive.history(crate::archive::HistoryQuery {
        path: Some(path.to_owned()),
        ..Default::default()
    });
    let version = history
        .ok()?
        .filter_map(Result::ok)
        .find(|version| !version.is_deleted())?;
    archive.load_document(&version).ok()
}

fn list<'a>(pointers: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = pointers.map(|p| shown(p).into_owned()).collect();
    names.join(", ")
}

fn shown(pointer: &str) -> std::borrow::Cow<'_, str> {
    match pointer {
        "" => "'' (the whole document)".into(),
        other => cut(other, LETTERS),
    }
}

fn call(path: &str, pointer: &str) -> String {
    format!("backstory series {} {}", argument(path), quote(pointer))
}

fn argument(path: &str) -> String {
    quote(&format!(":/{path}")).into_owned()
}
