//! `backstory sql`

use std::ops::ControlFlow;
use std::path::Path;

use super::context::Context;
use super::failure::Failure;
use super::json::Object;
use super::table::{Cell, Table, csv};
use crate::error::{Error, ErrorKind};
use crate::sql::{Query, Value};

/// Ask the archive in SQL
///
/// One SELECT, which can read and nothing else. doc(id) is the document of an id, or of 'PATH@REV', as JSON text:
/// SQLite's operators ->, ->> and its JSON functions work on it. -> keeps every digit of a number, ->> gives SQLite's
/// number. Times are RFC 3339 text in UTC, meta is JSON text.
#[derive(clap::Args)]
#[command(after_help = "Views:
  paths(path, version, id, time, deleted)
  versions(path, version, id, commit_id, seq, time, recorded, author, op, message, meta)
  commits(id, seq, time, recorded, author, message, meta)
  tags(name, path, version, commit_id)

Examples:
  backstory sql \"SELECT version, doc(id)->>'$.accuracy' FROM versions WHERE path = 'runs/1.json'\"
  backstory sql 'SELECT author, count(*) AS saves FROM commits GROUP BY author ORDER BY saves DESC'
  backstory sql --csv \"SELECT path, doc(id)->>'$.loss' AS loss FROM paths WHERE path GLOB 'runs/*'\"
  backstory sql - < report.sql")]
pub(super) struct Args {
    /// The query; `-` reads it from standard input
    #[arg(value_name = "QUERY")]
    query: String,
    /// Comma-separated values with a header
    #[arg(long)]
    csv: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<u8, Failure> {
    if args.csv && context.json() {
        return Err(Failure::usage("--csv and --json exclude each other"));
    }
    let text = match args.query.as_str() {
        "-" => {
            let (_, bytes) = context.read_input(Path::new("-"))?;
            String::from_utf8(bytes)
                .map_err(|_| Failure::usage("the query on standard input is not UTF-8"))?
        }
        query => query.to_owned(),
    };
    let workspace = context.here()?;
    let query = Query::new(workspace.archive(), &text).map_err(failure)?;
    if args.csv {
        context.out.line(&csv(query.columns()));
        each(&query, context, |row, context| {
            let fields = row.iter().map(ToString::to_string);
            context.out.line(&csv(fields));
        })?;
    } else if context.json() {
        each(&query, context, |row, context| {
            let mut line = Object::new();
            for (name, value) in query.columns().iter().zip(row) {
                match value {
                    Value::Null => line.raw(name, "null"),
                    Value::Integer(_) | Value::Real(_) => line.raw(name, &value.to_string()),
                    Value::Text(text) => line.text(name, text),
                    Value::Blob(_) => line.text(name, &value.to_string()),
                };
            }
            context.out.line(&line.finish());
        })?;
    } else {
        let mut table = Table::new(query.columns());
        each(&query, context, |row, _| {
            table.row(row.iter().map(cell).collect());
        })?;
        table.print(&mut context.out);
    }
    Ok(super::DONE)
}

/// Runs the query for as long as somebody reads the answer.
fn each(
    query: &Query,
    context: &mut Context,
    mut row: impl FnMut(&[Value], &mut Context),
) -> Result<(), Failure> {
    let ran = query.for_each(|values| {
        row(values, context);
        match context.out.ended() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    ran.map_err(failure)
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::absent("NULL"),
        Value::Integer(_) | Value::Real(_) => Cell::number(value.to_string()),
        Value::Text(text) => Cell::text(text),
        Value::Blob(_) => Cell::text(&value.to_string()),
    }
}

/// A query that is refused: what there is to ask for.
fn failure(error: Error) -> Failure {
    let refused = error.kind() == ErrorKind::Usage;
    let failure = Failure::from(error);
    match refused {
        true => failure.hint(
            "backstory sql 'SELECT * FROM versions LIMIT 5'   (the views are paths, versions, commits and tags; \
             backstory sql --help has their columns)",
        ),
        false => failure,
    }
}
