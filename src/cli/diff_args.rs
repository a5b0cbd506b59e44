//! What a comparison leaves out, as arguments of `diff` and `profile`.

use crate::diff::{DiffOptions, Pattern, Tolerance};

/// What is left out of a comparison, and what counts as equal.
#[derive(clap::Args)]
pub(super) struct DiffArgs {
    /// Leave out what is at this JSON Pointer; * stands for any member or element; may be repeated
    #[arg(long, value_name = "PTR", value_parser = pattern)]
    ignore: Vec<Pattern>,
    /// Numbers that differ by at most this are the same; PTR=X for those at and below a pointer; may be repeated
    #[arg(long, value_name = "[PTR=]X", value_parser = tolerance)]
    tolerance: Vec<(Option<Pattern>, f64)>,
    /// The same, as a share of the larger number: 0.01 is one percent
    #[arg(long, value_name = "[PTR=]X", value_parser = tolerance)]
    rel_tolerance: Vec<(Option<Pattern>, f64)>,
    /// The member that tells the objects of an array apart, as in /hosts=name; may be repeated
    #[arg(long, value_name = "PTR=NAME", value_parser = key)]
    key: Vec<(Pattern, String)>,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|error| error.to_string())
}

/// `0.1`, or `/metrics=0.1`.
fn tolerance(text: &str) -> Result<(Option<Pattern>, f64), String> {
    let (at, number) = match text.rsplit_once('=') {
        Some((at, number)) => (Some(pattern(at)?), number),
        None => (None, text),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "a number is expected, or a JSON Pointer, = and a number".to_owned())?;
    match number.is_finite() && number >= 0.0 {
        true => Ok((at, number)),
        false => Err("a tolerance is 0 or more".to_owned()),
    }
}

fn key(text: &str) -> Result<(Pattern, String), String> {
    let (at, name) = text
        .rsplit_once('=')
        .ok_or("a JSON Pointer, = and the name of a member are expected")?;
    Ok((pattern(at)?, name.to_owned()))
}

impl DiffArgs {
    pub fn options(&self) -> DiffOptions {
        let absolute = self.tolerance.iter().map(|(at, most)| Tolerance {
            at: at.clone(),
            absolute: *most,
            relative: 0.0,
        });
        let relative = self.rel_tolerance.iter().map(|(at, most)| Tolerance {
            at: at.clone(),
            absolute: 0.0,
            relative: *most,
        });
        DiffOptions {
            ignore: self.ignore.clone(),
            tolerances: absolute.chain(relative).collect(),
            keys: self.key.clone(),
        }
    }
}
