//! `backstory series`

mod draw;
mod missing;
mod plot;
mod print;
mod sparkline;
mod ticks;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};

use super::arguments::{moment, moment_until};
use super::context::Context;
use super::failure::Failure;
use super::progress;
use crate::pointer::Pointer;
use crate::series::{Found, Places, Point, SeriesQuery};
use crate::workspace::Workspace;

/// Show values over the versions of documents, oldest first
///
/// An argument that starts with / is a JSON Pointer, '' is the whole document, everything else is a path (:/p from the
/// archive's root). Paths may have wildcards, and so may pointers: * is every member or element. Numbers are printed
/// with every digit; only the chart and the bars below a table round them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstory series metrics.json /accuracy
  backstory series 'runs/*/metrics.json' /loss /accuracy --last 20
  backstory series sensors.json '/rooms/*/temperature' --csv > rooms.csv
  backstory series metrics.json /accuracy --since 2026-11-01 --plot accuracy.svg --x time")]
pub(super) struct Args {
    /// Paths, and the JSON Pointers to look at in each
    #[arg(value_name = "PATH|POINTER", required = true, value_hint = ValueHint::FilePath)]
    arguments: Vec<String>,
    /// Only the newest N versions of each path
    #[arg(long, short = 'n', value_name = "N")]
    last: Option<usize>,
    /// Not before this time; a date is its first moment (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Not after this time; a date is its last moment (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment_until)]
    until: Option<i64>,
    /// Only versions in which one of the values differs from the version before
    #[arg(long)]
    changes: bool,
    /// Comma-separated values with a header
    #[arg(long)]
    csv: bool,
    /// Draw a chart of the numbers into this file
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    plot: Option<PathBuf>,
    /// What runs along the chart
    #[arg(long, value_name = "AXIS", default_value = "version")]
    x: X,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum X {
    Version,
    Time,
}

/// The points of one path.
struct PathSeries {
    path: String,
    points: Vec<Point>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    check(args, context)?;
    let is_pointer = |argument: &&str| argument.is_empty() || argument.starts_with('/');
    let arguments = args.arguments.iter().map(String::as_str);
    let (pointers, names): (Vec<&str>, Vec<&str>) = arguments.partition(is_pointer);
    let mut places = Vec::new();
    for pointer in pointers {
        places.push(Places::parse(pointer)?);
    }
    if names.is_empty() {
        let message = "series needs a path; what starts with / is a JSON Pointer (`:/p` is a path)";
        return Err(Failure::usage(message));
    }
    let workspace = context.workspace_for(&names)?;
    let paths = super::globs::expand(&names, &workspace, context)?;
    if places.is_empty() {
        return Err(missing::no_pointer(&paths, &workspace));
    }
    let mut all = Vec::new();
    let watched = progress::spinner("reading versions", context);
    for path in paths {
        all.push(read(path, &places, args, &workspace, context)?);
    }
    watched.finish();
    if all.iter().all(|series| series.points.is_empty()) {
        context.notice("note: there are no versions in that time");
        return Ok(super::DONE);
    }
    for place in &places {
        let mut values = all.iter().flat_map(|s| &s.points).flat_map(|p| &p.values);
        if !values.any(|found| place.covers(&found.pointer)) {
            return Err(missing::found_nowhere(place, &all, workspace.archive()));
        }
    }
    if args.changes {
        for series in &mut all {
            keep_changes(&mut series.points);
        }
    }
    if args.csv {
        print::print_csv(&all, &places, context);
    } else if context.json() {
        print::print_json(&all, context);
    } else if args.plot.is_none() {
        print::print_tables(&all, &places, context);
    }
    if let Some(file) = &args.plot {
        draw::draw(file, args, &all, &places, &workspace, context)?;
    }
    Ok(super::DONE)
}

fn check(args: &Args, context: &Context) -> Result<(), Failure> {
    if args.csv && context.json() {
        return Err(Failure::usage("--csv and --json exclude each other"));
    }
    let is_svg = |file: &PathBuf| {
        let extension = file.extension();
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case("svg"))
    };
    if let Some(file) = args.plot.as_ref().filter(|file| !is_svg(file)) {
        let shown = file.display();
        return Err(Failure::usage(format!(
            "a chart is SVG, and {shown} does not end with .svg"
        )));
    }
    Ok(())
}

/// Reads the values of one path. A version that cannot be read is reported, and the others are read all the same.
fn read(
    path: String,
    places: &[Places],
    args: &Args,
    workspace: &Workspace,
    context: &mut Context,
) -> Result<PathSeries, Failure> {
    let mut query = SeriesQuery::new(path.as_str(), places.to_vec());
    query.last = args.last;
    query.since = args.since;
    query.until = args.until;
    let mut points = Vec::new();
    for point in workspace.archive().series(query)? {
        match point {
            Ok(point) => points.push(point),
            Err(error) => context.report(error.into()),
        }
    }
    Ok(PathSeries { path, points })
}

/// Leaves out the versions in which nothing has changed.
fn keep_changes(points: &mut Vec<Point>) {
    let mut before: Option<Vec<Found>> = None;
    points.retain(|point| {
        let same = before.as_ref() == Some(&point.values);
        before = Some(point.values.clone());
        !same
    });
}

/// The pointers that have a column of their own, in the order in which they came up.
fn columns<'a>(all: impl IntoIterator<Item = &'a PathSeries>, places: &[Places]) -> Vec<Pointer> {
    let all: Vec<&PathSeries> = all.into_iter().collect();
    let mut known = HashSet::new();
    let mut columns = Vec::new();
    for place in places {
        if !place.is_wild() && known.insert(place.pointer().clone()) {
            columns.push(place.pointer().clone());
        }
        if place.is_wild() {
            for found in all.iter().flat_map(|s| &s.points).flat_map(|p| &p.values) {
                if place.covers(&found.pointer) && known.insert(found.pointer.clone()) {
                    columns.push(found.pointer.clone());
                }
            }
        }
    }
    columns
}

/// What a point has in each of the columns.
fn cells<'a>(point: &'a Point, columns: &[Pointer]) -> Vec<Option<&'a Found>> {
    let by_pointer: HashMap<_, _> = point.values.iter().map(|v| (&v.pointer, v)).collect();
    columns
        .iter()
        .map(|pointer| by_pointer.get(pointer).copied())
        .collect()
}
