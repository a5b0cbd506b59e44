//! JSON lines: a version a line, oldest first.

use std::io::{self, Write};

use super::{Export, Tell, Told, unwritten};
use crate::archive::{Loaded, Version};
use crate::commit::SourceForm;
use crate::error::Result;
use crate::time::format_utc;

/// What goes into the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jsonl {
    /// Only the newest version of each path that has one; else every version, deletions too.
    pub newest: bool,
    /// The bytes as they were saved, where no form of the document gives them back.
    pub source: bool,
}

impl Export<'_> {
    /// Writes a line for each version; how many. `docs/cli.md`, "export", has the members.
    ///
    /// # Errors
    /// Where the archive cannot be read or `out` not be written.
    pub fn jsonl(&self, options: &Jsonl, out: &mut dyn Write, tell: Tell<'_>) -> Result<u64> {
        let mut written = 0;
        let mut write = |version: &Version| -> Result<()> {
            let loaded = match version.is_deleted() {
                true => None,
                false => match self.load(version, tell)? {
                    Some(loaded) => Some(loaded),
                    None => return Ok(()),
                },
            };
            self.line(version, loaded.as_ref(), options, out)
                .map_err(unwritten)?;
            written += 1;
            tell(Told::Written(written));
            Ok(())
        };
        if options.newest {
            for version in self.state()? {
                write(&version?)?;
            }
        } else {
            for commit in self.commits()? {
                commit?.changes.iter().try_for_each(&mut write)?;
            }
        }
        out.flush().map_err(unwritten)?;
        Ok(written)
    }

    fn line(
        &self,
        version: &Version,
        loaded: Option<&Loaded>,
        options: &Jsonl,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        write!(
            out,
            "{{\"path\":{},\"version\":{},\"op\":\"{}\",\"time\":\"{}\",\"recorded\":\"{}\"",
            text(&version.path),
            version.version,
            version.op,
            format_utc(version.time),
            format_utc(version.recorded)
        )?;
        for (name, value) in [("author", &version.author), ("message", &version.message)] {
            if let Some(value) = value {
                write!(out, ",\"{name}\":{}", text(value))?;
            }
        }
        if !version.meta.is_empty() {
            let meta = serde_json::to_string(&version.meta)?;
            write!(out, ",\"meta\":{meta}")?;
        }
        write!(
            out,
            ",\"archive\":\"{}\",\"commit\":\"{}\",\"seq\":{}",
            self.archive.id(),
            version.commit,
            version.seq
        )?;
        if let Some(of) = version.of {
            write!(out, ",\"of\":{of}")?;
        }
        if let Some(other) = &version.other {
            write!(out, ",\"other\":{}", text(other))?;
        }
        if version.file {
            write!(out, ",\"file\":true")?;
        }
        let Some((loaded, id)) = loaded.zip(version.id) else {
            return writeln!(out, ",\"deleted\":true}}");
        };
        write!(out, ",\"id\":\"{id}\"")?;
        if version.nan {
            write!(out, ",\"nan\":true")?;
        }
        match version.form {
            SourceForm::None => {}
            SourceForm::Canonical => write!(out, ",\"form\":\"canonical\"")?,
            SourceForm::Pretty => write!(out, ",\"form\":\"pretty\"")?,
            SourceForm::Object(_) | SourceForm::LaidOut { .. } => {
                write!(out, ",\"form\":\"own\"")?;
                if options.source {
                    // Of a document that was accepted the bytes are text.
                    let source = loaded.source();
                    write!(
                        out,
                        ",\"source\":{}",
                        text(&String::from_utf8_lossy(&source))
                    )?;
                }
            }
        }
        write!(out, ",\"document\":")?;
        out.write_all(loaded.canonical())?;
        writeln!(out, "}}")
    }
}
