//! MLflow's file store (`mlruns/`): each run as one document of its parameters, metrics and tags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yaml_rust2::parser::{Event, Parser};

use super::{Imported, Intake, Tell, check_under, is_about_one, place};
use crate::archive::{Archive, Document, Note};
use crate::canon::{NanMode, canonicalize_with};
use crate::error::{Error, Result};
use crate::storage::files;
use crate::storage::walk::{folders, modified, walk};

/// The file that describes an experiment, or a run.
const META: &str = "meta.yaml";
/// Longest such file that is read, in bytes.
const META_LEN: u64 = 1 << 20;
/// What MLflow writes for the state of a run.
const STATES: [&str; 5] = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

/// The runs of a file store. The document of a run is `EXPERIMENT/RUN.json`:
/// `{"run_id","experiment_id","experiment","name","status","start_time","end_time","params","tags","metrics","history"}`.
/// `metrics` has the value of each metric's last step, and `history` all of them as `[step, value, timestamp]`. Times are
/// milliseconds, as MLflow has them. A run that has changed since gets a new version.
#[derive(Clone, Debug)]
pub struct MlflowImport {
    /// The folder `mlruns`.
    pub folder: PathBuf,
    /// The folder of the archive that the documents come under; empty for its root.
    pub under: String,
}

/// Is this folder a file store of MLflow?
pub fn is_file_store(folder: &Path) -> bool {
    let experiments = folders(folder).unwrap_or_default();
    experiments.iter().any(|experiment| {
        let meta = read_meta(&folder.join(experiment));
        meta.is_ok_and(|meta| meta.contains_key("artifact_location"))
    })
}

impl MlflowImport {
    /// Imports the runs that the archive does not have as they are, in the order of their times.
    ///
    /// # Errors
    /// `NotFound` where there is no such folder, `Io` where the archive cannot be written. A run that cannot be read is
    /// told of and left out.
    pub fn run(&self, archive: &Archive, tell: Tell<'_>) -> Result<Imported> {
        check_under(&self.under)?;
        if !files::is_folder(&self.folder) {
            let message = format!("no such folder: {}", self.folder.display());
            return Err(Error::not_found(message));
        }
        let mut intake = Intake::new(archive, tell)?;
        let mut runs = Vec::new();
        for experiment in folders(&self.folder)? {
            let folder = self.folder.join(&experiment);
            // `.trash` and `models` are no experiments.
            let Ok(meta) = read_meta(&folder) else {
                continue;
            };
            let name = meta.get("name").cloned();
            for run in folders(&folder)? {
                let folder = folder.join(&run);
                if !files::is_there(&folder.join(META)) || !is_run(&folder) {
                    continue;
                }
                let time = read_meta(&folder).map(|meta| time_of(&meta, &folder));
                runs.push((
                    time.unwrap_or(0),
                    experiment.clone(),
                    run,
                    name.clone(),
                    folder,
                ));
            }
        }
        runs.sort();
        for (_, experiment, run, name, folder) in runs {
            let file = format!("{experiment}/{run}.json");
            let added = (|| {
                let path = place(&self.under, &file)?;
                let (document, note) = read_run(&folder, &experiment, &run, name.as_deref())?;
                let mut save = archive.save();
                let len = document.len();
                save.add(&path, Document::value(document).nan(NanMode::Tag))?;
                save.note(note);
                intake.push(save, len)
            })();
            match added {
                Err(error) if is_about_one(&error) || Error::is_not_found(&error) => {
                    intake.leave_out(file, folder.display().to_string(), error);
                }
                added => added?,
            }
        }
        intake.finish()
    }
}

fn is_run(folder: &Path) -> bool {
    ["params", "metrics", "tags"]
        .iter()
        .any(|part| files::is_folder(&folder.join(part)))
}

/// The document of a run, and what its commit says.
fn read_run(
    folder: &Path,
    experiment: &str,
    run: &str,
    name: Option<&str>,
) -> Result<(Vec<u8>, Note)> {
    let meta = read_meta(folder)?;
    let params = values(&folder.join("params"))?;
    let tags = values(&folder.join("tags"))?;
    let mut last = Members::new();
    let mut history = Members::new();
    for (metric, text) in values(&folder.join("metrics"))? {
        let points = points(&text).ok_or_else(|| {
            Error::invalid(format!("the metric {metric} has a line that is none"))
        })?;
        // As MLflow has it: of the last step, and of its values the one written last.
        if let Some(point) = points.iter().max_by_key(|point| point.order()) {
            last.insert(metric.clone(), point.value.clone());
        }
        let rows = points.iter().map(|point| {
            let Point {
                step,
                value,
                timestamp,
            } = point;
            format!("[{step},{value},{timestamp}]")
        });
        history.insert(metric, format!("[{}]", rows.collect::<Vec<_>>().join(",")));
    }
    let status = meta.get("status").map(|status| {
        let state = status.parse::<usize>().ok();
        let state = state.and_then(|state| STATES.get(state.wrapping_sub(1)).copied());
        state.unwrap_or(status).to_owned()
    });
    let run_name = meta.get("run_name").or_else(|| tags.get("mlflow.runName"));
    let mut members = Members::new();
    let mut put = |name: &str, json: String| members.insert(name.to_owned(), json);
    put("run_id", text(run));
    put("experiment_id", text(experiment));
    put("experiment", name.map_or_else(|| "null".to_owned(), text));
    put(
        "name",
        run_name.map_or_else(|| "null".to_owned(), |name| text(name)),
    );
    put(
        "status",
        status.map_or_else(|| "null".to_owned(), |status| text(&status)),
    );
    for name in ["start_time", "end_time"] {
        let number = meta.get(name).filter(|time| time.parse::<u64>().is_ok());
        put(name, number.cloned().unwrap_or_else(|| "null".to_owned()));
    }
    let strings = |values: &BTreeMap<String, String>| {
        let members = values
            .iter()
            .map(|(name, value)| (name.clone(), text(value)));
        object(&members.collect())
    };
    put("params", strings(&params));
    put("tags", strings(&tags));
    put("metrics", object(&last));
    put("history", object(&history));
    let author = tags.get("mlflow.user").or_else(|| meta.get("user_id"));
    let note = Note {
        message: run_name.map(|name| format!("MLflow run {name}")),
        author: author.filter(|author| !author.is_empty()).cloned(),
        time: Some(time_of(&meta, folder)),
        ..Note::default()
    };
    Ok((object(&members).into_bytes(), note))
}

/// When a run ended, microseconds since the Unix epoch; of one that goes on, when anything in it was last written.
fn time_of(meta: &BTreeMap<String, String>, folder: &Path) -> i64 {
    let end = meta
        .get("end_time")
        .and_then(|time| time.parse::<i64>().ok());
    if let Some(end) = end.filter(|end| *end > 0) {
        return end.saturating_mul(1000);
    }
    let files = walk(folder, &|name| name != "artifacts", &|_| true).unwrap_or_default();
    let newest = files.iter().map(|found| found.modified).max();
    newest.unwrap_or_else(|| modified(folder))
}

/// Members of an object, their values JSON text.
type Members = BTreeMap<String, String>;

fn object(members: &Members) -> String {
    let members = members
        .iter()
        .map(|(name, json)| format!("{}:{json}", text(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// One value of a metric, each part JSON text.
struct Point {
    step: String,
    value: String,
    timestamp: String,
}

impl Point {
    fn order(&self) -> (i64, i64) {
        let number = |text: &str| text.parse().unwrap_or(0);
        (number(&self.step), number(&self.timestamp))
    }
}

/// Lines of `timestamp value step`; the step may be missing.
fn points(text: &str) -> Option<Vec<Point>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let mut parts = line.split_whitespace();
            let (timestamp, value) = (parts.next()?, parts.next()?);
            let step = parts.next().unwrap_or("0");
            Some(Point {
                step: number(step)?,
                value: number(value)?,
                timestamp: number(timestamp)?,
            })
        })
        .collect()
}

/// A number as Python writes it, as JSON text.
fn number(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().trim_start_matches('+') {
        "nan" | "-nan" => Some("NaN".to_owned()),
        "inf" | "infinity" => Some("Infinity".to_owned()),
        "-inf" | "-infinity" => Some("-Infinity".to_owned()),
        plain => canonicalize_with(plain.as_bytes(), NanMode::Reject)
            .ok()
            .filter(|_| plain.parse::<f64>().is_ok())
            .map(|_| plain.to_owned()),
    }
}

/// The files below a folder as names and contents; none where there is no such folder. A name may hold `/`.
fn values(folder: &Path) -> Result<BTreeMap<String, String>> {
    if !files::is_folder(folder) {
        return Ok(BTreeMap::new());
    }
    let mut values = BTreeMap::new();
    for found in walk(folder, &|_| true, &|_| true)? {
        let name = found.name.ok_or_else(|| {
            Error::invalid(format!("the name of {} is not UTF-8", found.file.display()))
        })?;
        let bytes = files::read(&found.file)?;
        values.insert(name, String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(values)
}

/// The names and values of `meta.yaml`. What is not a plain value is left out, and no alias followed.
fn read_meta(folder: &Path) -> Result<BTreeMap<String, String>> {
    let file = folder.join(META);
    let refused = |why: String| Error::invalid(format!("{}: {why}", file.display()));
    if files::size(&file) > META_LEN {
        return Err(refused("it is too long".to_owned()));
    }
    let bytes = files::read(&file)?;
    let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
    flat_mapping(&text).map_err(refused)
}

fn flat_mapping(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut parser = Parser::new_from_str(text);
    let mut members = BTreeMap::new();
    let mut depth = 0_usize;
    let mut name: Option<String> = None;
    loop {
        let (event, _) = parser.next_token().map_err(|error| error.to_string())?;
        match event {
            Event::StreamEnd => return Ok(members),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if depth == 1 {
                    name = None;
                }
                depth += 1;
            }
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            Event::Scalar(text, ..) if depth == 1 => match name.take() {
                None => name = Some(text),
                Some(name) => {
                    members.insert(name, text);
                }
            },
            Event::Alias(_) if depth == 1 => name = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read() {
        let text = "artifact_location: file:///x\nname: 'it''s: \"one\"'\nend_time: null\ntags: [a, {b: c}]\nrun_name: z\n";
        let meta = flat_mapping(text).unwrap();
        assert_eq!(meta["name"], "it's: \"one\"");
        assert_eq!(meta["run_name"], "z");
        assert!(!meta.contains_key("tags"));
        assert!(flat_mapping("a: 'x").is_err());
        assert!(flat_mapping(&format!("a: {}", "[".repeat(100_000))).is_err());
    }

    #[test]
    fn numbers_are_those_of_python() {
        for (text, json) in [
            ("0.1", Some("0.1")),
            ("1e-05", Some("1e-05")),
            ("+5", Some("5")),
            ("nan", Some("NaN")),
            ("-inf", Some("-Infinity")),
            ("1_0", None),
            ("\"1\"", None),
            ("x", None),
        ] {
            assert_eq!(number(text).as_deref(), json, "{text}");
        }
        let points = points("1700000000000 0.5 3\n1700000001000 0.25\n\n").unwrap();
        assert_eq!(
            (points[0].step.as_str(), points[1].value.as_str()),
            ("3", "0.25")
        );
        assert!(super::points("1 x 2").is_none());
    }
}
