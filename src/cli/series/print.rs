//! The values as lines of JSON, as CSV, and as tables.

use super::{PathSeries, cells, columns, sparkline};
use crate::canon::{Form, render};
use crate::cli::context::Context;
use crate::cli::json::Object;
use crate::cli::output::style;
use crate::cli::table::{Cell, Table, csv};
use crate::cli::text::{clock, visible};
use crate::pointer::Pointer;
use crate::series::{Found, Places, Point};
use crate::time::format_utc;

pub(super) fn print_json(all: &[PathSeries], context: &mut Context) {
    for point in all.iter().flat_map(|series| &series.points) {
        let mut values = Object::new();
        for (number, found) in point.values.iter().enumerate() {
            // Two pointers of the call may stand for the same place.
            let before = &point.values[..number];
            if !before.iter().any(|other| other.pointer == found.pointer) {
                values.raw(found.pointer.as_str(), &found.json);
            }
        }
        let version = &point.version;
        let mut line = Object::new();
        line.text("path", &version.path)
            .number("version", version.version)
            .text("time", &format_utc(version.time))
            .text("commit", &version.commit.to_string())
            .raw("values", &values.finish());
        context.out.line(&line.finish());
        if context.out.ended() {
            break;
        }
    }
}

pub(super) fn print_csv(all: &[PathSeries], places: &[Places], context: &mut Context) {
    let columns = columns(all, places);
    let names = columns.iter().map(Pointer::as_str);
    let header = ["path", "version", "time", "commit"].into_iter();
    context.out.line(&csv(header.chain(names)));
    for point in all.iter().flat_map(|series| &series.points) {
        let version = &point.version;
        let mut fields = vec![
            version.path.clone(),
            version.version.to_string(),
            format_utc(version.time),
            version.commit.to_string(),
        ];
        for found in cells(point, &columns) {
            fields.push(found.map_or_else(String::new, |found| plain(found, point)));
        }
        context.out.line(&csv(fields));
        if context.out.ended() {
            break;
        }
    }
}

/// A value as text: of a string what is in it, else the canonical form; numbers that JSON does not have by name.
fn plain(found: &Found, point: &Point) -> String {
    if found.json.starts_with('"')
        && let Ok(text) = serde_json::from_str(&found.json)
    {
        return text;
    }
    shown(found, point)
}

/// The canonical form; numbers that JSON does not have by name.
fn shown(found: &Found, point: &Point) -> String {
    if !point.version.nan {
        return found.json.clone();
    }
    let mut bytes = Vec::new();
    render(found.json.as_bytes(), Form::Compact, true, &mut bytes);
    String::from_utf8(bytes).unwrap_or_else(|_| found.json.clone())
}

pub(super) fn print_tables(all: &[PathSeries], places: &[Places], context: &mut Context) {
    for (number, series) in all.iter().enumerate() {
        if all.len() > 1 {
            let blank = if number > 0 { "\n" } else { "" };
            let name = context.out.paint(style::NAME, &visible(&series.path));
            context.out.line(&format!("{blank}{name}"));
        }
        print_table(series, &columns([series], places), context);
        if context.out.ended() {
            break;
        }
    }
}

fn print_table(series: &PathSeries, columns: &[Pointer], context: &mut Context) {
    let label = |pointer: &Pointer| match pointer.is_root() {
        true => "(document)".to_owned(),
        false => pointer.to_string(),
    };
    let header = ["version", "time"].into_iter().map(str::to_owned);
    let mut table = Table::new(header.chain(columns.iter().map(label)));
    for point in &series.points {
        let version = &point.version;
        let mut row = vec![
            match version.path == series.path {
                true => Cell::number(version.version.to_string()),
                false => Cell::text(&version.rev()),
            },
            Cell::text(&clock(version.time)),
        ];
        for found in cells(point, columns) {
            row.push(match found {
                None => Cell::absent("-"),
                Some(found) if found.number().is_some() => Cell::number(&found.json),
                Some(found) => Cell::text(&shown(found, point)),
            });
        }
        table.row(row);
    }
    table.print(&mut context.out);
    let width = columns.iter().map(|c| label(c).chars().count()).max();
    for (column, pointer) in columns.iter().enumerate() {
        let found = series.points.iter().map(|p| cells(p, columns)[column]);
        let found: Vec<Option<&Found>> = found.collect();
        if let Some(line) = summary(&found) {
            let (width, label) = (width.unwrap_or(0), visible(&label(pointer)).into_owned());
            let label = context.out.paint(style::NAME, &format!("{label:<width$}"));
            context.out.line(&format!("{label}  {line}"));
        }
    }
}

/// The numbers of a column as bars, with the values that a person asks for first, each with every digit.
fn summary(column: &[Option<&Found>]) -> Option<String> {
    let number = |found: &Option<&Found>| found.and_then(Found::number);
    let numbers: Vec<(f64, &str)> = column
        .iter()
        .filter_map(|found| Some((number(found)?, found.as_ref()?.json.as_str())))
        .collect();
    let (first, last) = (numbers.first()?.1, numbers.last()?.1);
    if numbers.len() < 2 {
        return None;
    }
    let min = numbers.iter().min_by(|a, b| a.0.total_cmp(&b.0))?.1;
    let max = numbers.iter().max_by(|a, b| a.0.total_cmp(&b.0))?.1;
    let bars = sparkline::sparkline(&column.iter().map(number).collect::<Vec<_>>());
    Some(format!(
        "{bars}  min {min}  max {max}  first {first}  last {last}"
    ))
}
