//! The table that comes out: a line for each comparison, with its ratio and its target.

use std::fmt;

/// A figure and what it counts.
#[derive(Clone, Copy)]
pub enum Amount {
    Seconds(f64),
    Bytes(f64),
    /// Bytes a second.
    Speed(f64),
    /// Saves a second.
    Saves(f64),
}

/// The figure of a peer that is not there; it gets no line.
pub const ABSENT: f64 = f64::NAN;

use Amount::{Bytes, Saves, Seconds, Speed};

impl Amount {
    fn value(self) -> f64 {
        match self {
            Seconds(value) | Bytes(value) | Speed(value) | Saves(value) => value,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Seconds(s) if s < 1e-3 => write!(f, "{} µs", short(s * 1e6)),
            Seconds(s) if s < 1.0 => write!(f, "{} ms", short(s * 1e3)),
            Seconds(s) => write!(f, "{} s", short(s)),
            Bytes(b) if b < 1e5 => write!(f, "{} bytes", short(b)),
            Bytes(b) => write!(f, "{} MB", short(b / 1e6)),
            Speed(b) => write!(f, "{} MB/s", short(b / 1e6)),
            Saves(n) => write!(f, "{}/s", short(n)),
        }
    }
}

/// Three digits, or all of them before the point.
fn short(value: f64) -> String {
    let decimals = match value {
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// What a figure, or a ratio of two, has to be.
#[derive(Clone, Copy)]
pub enum Target<T> {
    AtMost(T),
    AtLeast(T),
    /// Shown for comparison only.
    None,
}

impl Target<f64> {
    fn met(self, ratio: f64) -> &'static str {
        match self {
            Target::AtMost(most) if ratio <= most => "yes",
            Target::AtLeast(least) if ratio >= least => "yes",
            Target::None => "",
            _ => "**no**",
        }
    }
}

/// Lines of the table so far.
pub struct Table {
    /// Smaller amounts of work were measured: what is to hold for the whole is not judged.
    pub quick: bool,
    lines: Vec<[String; 6]>,
    notes: Vec<String>,
}

impl Table {
    pub fn new(quick: bool) -> Table {
        Table {
            quick,
            lines: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Backstory beside a peer. The target is for Backstory's figure divided by the peer's.
    pub fn compare(
        &mut self,
        what: impl Into<String>,
        ours: Amount,
        peer: (&str, Amount),
        target: Target<f64>,
    ) {
        let ratio = ours.value() / peer.1.value();
        if ratio.is_nan() {
            return;
        }
        let bound = match target {
            Target::AtMost(most) => format!("≤ {most} ×"),
            Target::AtLeast(least) => format!("≥ {least} ×"),
            Target::None => String::new(),
        };
        self.push([
            what.into(),
            ours.to_string(),
            format!("{}: {}", peer.0, peer.1),
            format!("{} ×", short(ratio)),
            bound,
            target.met(ratio).into(),
        ]);
    }

    /// A figure that has a target of its own, whatever others do.
    pub fn bound(&mut self, what: impl Into<String>, ours: Amount, target: Target<Amount>) {
        let (bound, met) = match target {
            Target::AtMost(most) => (
                format!("≤ {most}"),
                Target::AtMost(most.value()).met(ours.value()),
            ),
            Target::AtLeast(least) => (
                format!("≥ {least}"),
                Target::AtLeast(least.value()).met(ours.value()),
            ),
            Target::None => (String::new(), ""),
        };
        let met = if self.quick && !met.is_empty() {
            "(quick)"
        } else {
            met
        };
        self.push([
            what.into(),
            ours.to_string(),
            String::new(),
            String::new(),
            bound,
            met.into(),
        ]);
    }

    /// A line of text for below the table; said once, however often it is noted.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Shows a line at once as well: a whole run takes a while.
    fn push(&mut self, line: [String; 6]) {
        eprintln!("    {}", line.join("  "));
        self.lines.push(line);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | Backstory | peer | ratio | target | met |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for line in &self.lines {
            writeln!(f, "| {} |", line.join(" | "))?;
        }
        if self.quick {
            writeln!(f, "\n(quick): less was measured than the target is for.")?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}
