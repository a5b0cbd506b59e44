//! The numbers as a chart in a file.

use std::path::Path;

use super::plot::{self, Axis, Chart, Line};
use super::{Args, PathSeries, X, cells, columns};
use crate::cli::arguments::NoteArgs;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::text::{count, visible};
use crate::series::{Found, Places};
use crate::workspace::Workspace;

/// Draws the numbers of all paths into a file.
pub(super) fn draw(
    file: &Path,
    args: &Args,
    all: &[PathSeries],
    places: &[Places],
    workspace: &Workspace,
    context: &mut Context,
) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for series in all {
        let columns = columns([series], places);
        let xs = positions(series, args.x);
        let rows: Vec<Vec<Option<&Found>>> =
            series.points.iter().map(|p| cells(p, &columns)).collect();
        for (column, pointer) in columns.iter().enumerate() {
            let y = |row: &Vec<Option<&Found>>| row[column].and_then(Found::number);
            let mut points: Vec<(f64, Option<f64>)> =
                xs.iter().copied().zip(rows.iter().map(y)).collect();
            if points.iter().all(|(_, y)| y.is_none()) {
                continue;
            }
            // A claimed time may lie before that of the version in front.
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let label = match (all.len(), columns.len()) {
                (1, _) => pointer.to_string(),
                (_, 1) => series.path.clone(),
                _ => format!("{} {pointer}", series.path),
            };
            lines.push(Line { label, points });
        }
    }
    if lines.is_empty() {
        let message = "there is no number to draw: the values are of other kinds";
        return Err(Failure::usage(message));
    }
    let axis = match args.x {
        X::Version => Axis::Version,
        X::Time => Axis::Time,
    };
    let chart = Chart {
        title: title(all, places),
        y_label: places
            .iter()
            .map(Places::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        axis,
        lines,
    };
    let svg = plot::svg(&chart).map_err(Failure::io)?;
    let mut note = NoteArgs::default().note(context);
    note.message = Some("what was on disk before it was replaced".to_owned());
    let (saved, aside) = workspace.write_file(file, svg.as_bytes(), note, context.stamp())?;
    if let Some(rev) = saved {
        let shown = file.display();
        context.notice(&format!("note: what was in {shown} is saved as {rev}"));
    }
    if let Some(aside) = aside {
        let (shown, aside) = (file.display(), aside.display());
        context.warn(&format!(
            "warning: what was in {shown} could not be saved and is now {aside}"
        ));
    }
    // Where the values themselves are printed there is nothing else on standard output.
    if !args.csv {
        let lines = count(chart.lines.len() as u64, "line");
        let points: usize = all.iter().map(|series| series.points.len()).sum();
        let versions = count(points as u64, "version");
        let message = format!("wrote {}: {lines}, {versions}", file.display());
        context.say(&visible(&message));
    }
    Ok(())
}

/// Where the points stand along the chart: at the number of their version, or at their time in seconds. Versions of
/// the path's older names are counted back from its first.
fn positions(series: &PathSeries, x: X) -> Vec<f64> {
    let mut positions = Vec::new();
    let mut next = 1.0;
    for point in series.points.iter().rev() {
        let version = &point.version;
        let position = match x {
            X::Time => version.time as f64 / 1e6,
            X::Version if version.path == series.path => version.version as f64,
            X::Version => next - 1.0,
        };
        next = position;
        positions.push(position);
    }
    positions.reverse();
    positions
}

fn title(all: &[PathSeries], places: &[Places]) -> String {
    match (all, places) {
        ([series], [place]) => format!("{} {place}", series.path),
        ([series], _) => series.path.clone(),
        (_, [place]) => format!("{place} of {}", count(all.len() as u64, "path")),
        _ => count(all.len() as u64, "path"),
    }
}
