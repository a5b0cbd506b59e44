//! Path arguments with wildcards.

use globset::{GlobBuilder, GlobMatcher, escape};

use super::context::Context;
use super::failure::Failure;
use super::text::quote;
use crate::commit::Op;
use crate::workspace::Workspace;

/// What makes an argument a pattern.
const WILD: [char; 4] = ['*', '?', '[', '{'];

/// The archived paths that the arguments name, in their order and each once: `*` and `?` stay within a folder, `**`
/// does not. An argument that is the name of a path is that path, whatever is in it.
pub(super) fn expand(
    arguments: &[&str],
    workspace: &Workspace,
    context: &Context,
) -> Result<Vec<String>, Failure> {
    let mut paths: Vec<String> = Vec::new();
    for argument in arguments {
        let path = workspace.path_argument(argument)?;
        let found = if workspace.archive().path_exists(&path)? {
            vec![path]
        } else if path.contains(WILD) {
            matching(argument, &path, workspace)?
        } else {
            Vec::new()
        };
        if found.is_empty() {
            return Err(Failure::not_found(format!(
                "no path in the archive matches {}",
                context.rev(argument)
            ))
            .about(*argument)
            .hint("backstory ls"));
        }
        for path in found {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

fn matching(argument: &str, path: &str, workspace: &Workspace) -> Result<Vec<String>, Failure> {
    // The current folder is no pattern, whatever its name.
    let base = match argument.starts_with(":/") {
        true => String::new(),
        false => workspace.prefix_argument(".").unwrap_or_default(),
    };
    let pattern = match path.strip_prefix(&base).and_then(|p| p.strip_prefix('/')) {
        Some(rest) if !base.is_empty() => format!("{}/{rest}", escape(&base)),
        _ => path.to_owned(),
    };
    let glob = GlobBuilder::new(&pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| {
            Failure::usage(format!("{argument} is no pattern: {}", error.kind()))
                .hint(format!("backstory ls {}", quote(&folder_of(path))))
        })?
        .compile_matcher();
    let versions = workspace.archive().list(&folder_of(path))?;
    let matches = |path: &str| glob.is_match(path);
    Ok(versions
        .iter()
        .filter(|version| matches(&version.path))
        // The history of a path that was renamed comes with its new name.
        .filter(|version| {
            let renamed = version.op == Op::RenameAway;
            !(renamed && version.other.as_deref().is_some_and(matches))
        })
        .map(|version| version.path.clone())
        .collect())
}

/// The part of a pattern in front of its first folder with a wildcard.
fn folder_of(pattern: &str) -> String {
    let wild = pattern.find(WILD).unwrap_or(pattern.len());
    let plain = &pattern[..wild];
    plain.rfind('/').map_or("", |end| &plain[..end]).to_owned()
}

/// A path, a folder or a pattern.
pub(super) struct Wanted {
    path: String,
    pattern: Option<GlobMatcher>,
}

impl Wanted {
    /// Each of the arguments, which must name something that the archive has or had.
    pub fn all(arguments: &[String], workspace: &Workspace) -> Result<Vec<Wanted>, Failure> {
        let mut wanted = Vec::new();
        for argument in arguments {
            wanted.push(Wanted::new(argument, workspace)?);
        }
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let paths = workspace.archive().list("")?;
        for (wanted, argument) in wanted.iter().zip(arguments) {
            if !paths.iter().any(|version| wanted.has(&version.path)) {
                return Err(
                    Failure::not_found(format!("no such path in the archive: {argument}"))
                        .about(argument)
                        .hint("backstory ls"),
                );
            }
        }
        Ok(wanted)
    }

    /// Does one of these mean the path? Where there are none, every path is meant.
    pub fn any_has(wanted: &[Wanted], path: &str) -> bool {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.has(path))
    }

    fn new(argument: &str, workspace: &Workspace) -> Result<Wanted, Failure> {
        let path = workspace.prefix_argument(argument)?;
        let pattern = GlobBuilder::new(&path)
            .literal_separator(true)
            .build()
            .map_err(|error| Failure::usage(format!("{argument} is not a pattern: {error}")));
        let pattern = match pattern {
            Ok(pattern) => Some(pattern.compile_matcher()),
            // A name may look like half a pattern.
            Err(_) if workspace.archive().path_exists(&path)? => None,
            Err(failure) => return Err(failure),
        };
        Ok(Wanted { path, pattern })
    }

    fn has(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.path);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.is_empty())
            || self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(path))
    }
}
