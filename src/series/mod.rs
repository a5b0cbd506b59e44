//! Values over versions: what stands at some places of a document, from its oldest version to its newest.
//!
//! ```
//! # fn main() -> Result<(), backstory::Error> {
//! use backstory::series::{Places, SeriesQuery};
//! use backstory::{Archive, Document};
//!
//! let archive = Archive::in_memory()?;
//! for text in ["{\"loss\": 0.50}", "{\"loss\": 0.25}", "{}"] {
//!     let mut save = archive.save();
//!     save.add("runs/1.json", Document::source(text))?;
//!     save.commit()?;
//! }
//! let query = SeriesQuery::new("runs/1.json", [Places::parse("/loss")?]);
//! let mut values = Vec::new();
//! for point in archive.series(query)? {
//!     let point = point?;
//!     values.push(point.value("/loss").map(str::to_owned));
//! }
//! assert_eq!(values, [Some("0.5".to_owned()), Some("0.25".to_owned()), None]);
//! # Ok(())
//! # }
//! ```

mod near;
mod places;

use std::vec::IntoIter;

pub use near::{near, scalars};
pub use places::Places;

use crate::archive::{Archive, HistoryQuery, Version};
use crate::error::{Error, Result};
use crate::pointer::Pointer;

/// Which values, of which versions of a path.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// The path.
    pub path: String,
    /// What to look at in each version.
    pub places: Vec<Places>,
    /// Only the newest so many of the versions.
    pub last: Option<usize>,
    /// Not before this time, microseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Not after this time.
    pub until: Option<i64>,
    /// Begin with the path that this one was renamed from.
    pub follow: bool,
}

impl SeriesQuery {
    /// All versions of a path, renames followed.
    pub fn new(path: impl Into<String>, places: impl IntoIterator<Item = Places>) -> SeriesQuery {
        SeriesQuery {
            path: path.into(),
            places: places.into_iter().collect(),
            last: None,
            since: None,
            until: None,
            follow: true,
        }
    }
}

/// The values of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The version. One in which the path ended has no values.
    pub version: Version,
    /// What was found, in the order of the query, and of the document where a pointer has wildcards. What is absent is
    /// left out.
    pub values: Vec<Found>,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where: a pointer without wildcards.
    pub pointer: Pointer,
    /// The value in its canonical form: numbers have every digit.
    pub json: String,
}

impl Found {
    /// The number as a double, where the value is one: for charts, as the text is exact and this need not be.
    pub fn number(&self) -> Option<f64> {
        let number = matches!(self.json.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
        let value = number.then(|| self.json.parse::<f64>().ok()).flatten();
        value.filter(|value| value.is_finite())
    }
}

impl Point {
    /// The canonical form of the value at a pointer, where the version has it.
    pub fn value(&self, pointer: &str) -> Option<&str> {
        let found = self.values.iter().find(|v| v.pointer.as_str() == pointer);
        found.map(|found| found.json.as_str())
    }
}

/// The points of a [`SeriesQuery`], oldest first. Each version is decoded once, and each rests on the one before it.
pub struct Series<'a> {
    archive: &'a Archive,
    versions: IntoIter<Version>,
    places: Vec<Places>,
}

impl Series<'_> {
    /// The newest version that has a document, of those still to come.
    pub fn newest_document(&self) -> Option<&Version> {
        let versions = self.versions.as_slice();
        versions.iter().rev().find(|version| !version.is_deleted())
    }
}

impl Iterator for Series<'_> {
    type Item = Result<Point>;

    fn next(&mut self) -> Option<Result<Point>> {
        let version = self.versions.next()?;
        let mut values = Vec::new();
        if !version.is_deleted() {
            match self.archive.load_document(&version) {
                Ok(document) => {
                    for places in &self.places {
                        places.find(document.canonical(), &mut values);
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(Point { version, values }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.versions.size_hint()
    }
}

impl ExactSizeIterator for Series<'_> {}

impl Archive {
    /// Values over the versions of a path, oldest first. An error ends nothing: the points behind it can be asked for.
    ///
    /// # Errors
    /// `NotFound` where there is no such path.
    pub fn series(&self, query: SeriesQuery) -> Result<Series<'_>> {
        if !self.path_exists(&query.path)? {
            let message = format!("no such path in the archive: {}", query.path);
            return Err(Error::not_found(message));
        }
        let history = self.history(HistoryQuery {
            path: Some(query.path),
            limit: query.last,
            since: query.since,
            until: query.until,
            follow: query.follow,
        })?;
        let mut versions = history.collect::<Result<Vec<_>>>()?;
        versions.reverse();
        Ok(Series {
            archive: self,
            versions: versions.into_iter(),
            places: query.places,
        })
    }
}
