//! A chart as SVG text: dark on light, with a legend below it.

use std::error::Error as StdError;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use super::ticks::{self, Tick};
use crate::cli::table::cut;
use crate::cli::text::visible;

/// Size of the chart without its legend.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 500;
const LEGEND_ROW: u32 = 22;
/// More lines than this are drawn and not named.
const NAMED: usize = 60;
/// Lines of fewer points than this have a mark at each.
const MARKED: usize = 80;

const INK: RGBColor = RGBColor(38, 38, 38);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// Colours that people who see few colours can tell apart.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 138, 100),
    RGBColor(170, 68, 153),
    RGBColor(180, 130, 0),
    RGBColor(86, 100, 220),
    RGBColor(150, 60, 60),
    RGBColor(90, 90, 90),
];

/// Dash and gap of a line whose colour others have too.
fn dashes(number: usize) -> Option<(i32, i32)> {
    match number / COLORS.len() {
        0 => None,
        1 => Some((8, 4)),
        _ => Some((2, 4)),
    }
}

/// What runs along the bottom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Version,
    Time,
}

/// The numbers of one pointer of one path, in the order of their places; a gap where there is none.
pub(super) struct Line {
    pub label: String,
    pub points: Vec<(f64, Option<f64>)>,
}

/// What is drawn.
pub(super) struct Chart {
    pub title: String,
    pub y_label: String,
    pub axis: Axis,
    pub lines: Vec<Line>,
}

/// The chart as SVG text.
pub(super) fn svg(chart: &Chart) -> Result<String, String> {
    let mut text = String::new();
    draw(chart, &mut text).map_err(|error| format!("could not draw the chart: {error}"))?;
    Ok(text)
}

fn draw(chart: &Chart, text: &mut String) -> Result<(), Box<dyn StdError>> {
    let named = if chart.lines.len() > 1 {
        chart.lines.len().min(NAMED)
    } else {
        0
    };
    let longest = chart
        .lines
        .iter()
        .map(|line| line.label.chars().count())
        .max();
    let columns = match longest.unwrap_or(0) {
        ..25 => 4,
        25..50 => 2,
        _ => 1,
    };
    let legend = named.div_ceil(columns) as u32 * LEGEND_ROW + if named > 0 { 12 } else { 0 };
    let root = SVGBackend::with_string(text, (WIDTH, HEIGHT + legend)).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(HEIGHT);
    draw_lines(chart, &upper)?;
    for (number, line) in chart.lines.iter().take(named).enumerate() {
        let (row, column) = (number / columns, number % columns);
        let x = 40 + column as i32 * (WIDTH as i32 - 60) / columns as i32;
        let y = row as i32 * LEGEND_ROW as i32 + 10;
        let color = COLORS[number % COLORS.len()];
        let (dash, gap) = dashes(number).unwrap_or((24, 0));
        for start in (x..x + 24).step_by((dash + gap) as usize) {
            let end = (start + dash).min(x + 24);
            lower.draw(&PathElement::new(
                [(start, y), (end, y)],
                color.stroke_width(3),
            ))?;
        }
        let style = font(13).into_text_style(&lower).color(&INK);
        let middle = style.pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Left,
            plotters::style::text_anchor::VPos::Center,
        ));
        let label = shown(&line.label, 120);
        lower.draw(&Text::new(label, (x + 30, y), middle))?;
    }
    root.present()?;
    Ok(())
}

fn draw_lines(
    chart: &Chart,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn StdError>> {
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let x_first = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let (x_low, x_high) = around(points().filter_map(|(x, y)| y.map(|_| *x)), 0.01);
    let (mut y_low, y_high) = around(points().filter_map(|(_, y)| *y), 0.05);
    // Where no number is below zero the space below it says nothing.
    if y_low < 0.0 && points().all(|(_, y)| y.is_none_or(|y| y >= 0.0)) {
        y_low = 0.0;
    }
    let x_ticks = match chart.axis {
        // There is no version in front of the first.
        Axis::Version => ticks::numbers(x_low.max(x_first), x_high, 8, true),
        Axis::Time => ticks::times(x_low, x_high, 7),
    };
    let y_ticks = ticks::numbers(y_low, y_high, 8, false);
    let widest = y_ticks.iter().map(|(_, label)| label.len()).max();
    let y_room = 34 + 8 * widest.unwrap_or(0) as u32;
    let (x_count, y_count) = (x_ticks.len().max(1), y_ticks.len().max(1));
    let mut drawn = ChartBuilder::on(area)
        .margin(14)
        .margin_right(34)
        .caption(shown(&chart.title, 90), font(18).color(&INK))
        .x_label_area_size(46)
        .y_label_area_size(y_room)
        .build_cartesian_2d(
            Span {
                range: (x_low, x_high),
                ticks: x_ticks,
            },
            Span {
                range: (y_low, y_high),
                ticks: y_ticks,
            },
        )?;
    drawn
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(font(13).color(&INK))
        .axis_desc_style(font(14).color(&INK))
        .x_labels(x_count)
        .y_labels(y_count)
        .x_desc(match chart.axis {
            Axis::Version => "version",
            Axis::Time => "time (UTC)",
        })
        .y_desc(shown(&chart.y_label, 60))
        .draw()?;
    for (number, line) in chart.lines.iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let marked = line.points.len() < MARKED;
        for run in line.points.split(|(_, y)| y.is_none()) {
            let run: Vec<(f64, f64)> = run.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect();
            // A single value between two gaps would be no line.
            if marked || run.len() == 1 {
                let marks = run.iter().map(|at| Circle::new(*at, 3, color.filled()));
                drawn.draw_series(marks)?;
            }
            let style = color.stroke_width(2);
            match dashes(number) {
                None => drawn.draw_series(LineSeries::new(run, style))?,
                Some((dash, gap)) => {
                    drawn.draw_series(DashedLineSeries::new(run, dash, gap, style))?
                }
            };
        }
    }
    Ok(())
}

/// An axis with marks of its own.
struct Span {
    range: (f64, f64),
    ticks: Vec<Tick>,
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let (low, high) = self.range;
        let share = (value - low) / (high - low);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // The light lines between the marks ask as well.
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|tick| tick.0).collect(),
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Span {
    fn format(value: &f64) -> String {
        value.to_string()
    }

    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *value);
        tick.map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

/// The range of these numbers with some space at both ends; never empty.
fn around(values: impl Iterator<Item = f64>, space: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    // Beyond this the length of the range would overflow.
    let (low, high) = (low.clamp(-8e307, 8e307), high.clamp(-8e307, 8e307));
    let space = match high > low {
        true => (high - low) * space,
        false => (high.abs() * 0.1).max(1.0),
    };
    ((low - space).max(-8.5e307), (high + space).min(8.5e307))
}

fn font(size: i32) -> FontDesc<'static> {
    ("sans-serif", size).into_font()
}

/// A name as text of the chart.
fn shown(text: &str, letters: usize) -> String {
    cut(&visible(text), letters).into_owned()
}
