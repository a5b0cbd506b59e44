//! The name under which a document is kept: which texts are one.

/// Longest path, in bytes of UTF-8.
pub const MAX_PATH_BYTES: usize = 4096;
/// First segment that no path may have: the folder of the archive itself.
pub const RESERVED: &str = ".backstory";

/// Why a text cannot be the path of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path is empty.
    #[error("the path is empty; give a name such as config/production.json")]
    Empty,
    /// The path is longer than [`MAX_PATH_BYTES`].
    #[error(
        "the path is {bytes} bytes long, and at most {MAX_PATH_BYTES} are allowed; give a shorter name"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The path begins with `/`.
    #[error("the path begins with `/`; paths are relative: leave it out")]
    Absolute,
    /// The path ends with `/`.
    #[error("the path ends with `/`; name the document, not its folder")]
    TrailingSlash,
    /// Two `/` follow each other.
    #[error("the path has an empty segment at byte {offset}; write one `/` between two names")]
    EmptySegment {
        /// Byte offset of the segment, from 0.
        offset: usize,
    },
    /// A segment is `.` or `..`.
    #[error("the path has the segment `{segment}` at byte {offset}; write the path without it")]
    DotSegment {
        /// `.` or `..`.
        segment: &'static str,
        /// Byte offset of the segment, from 0.
        offset: usize,
    },
    /// A control character: U+0000 to U+001F or U+007F.
    #[error("the path has the control character U+{code:04X} at byte {offset}; leave it out")]
    Control {
        /// The character.
        code: u32,
        /// Its byte offset, from 0.
        offset: usize,
    },
    /// The first segment is [`RESERVED`].
    #[error("the folder `{RESERVED}` belongs to the archive; choose another name")]
    Reserved,
}

/// Whether a text can be the path of a document: names with single `/` between them, relative,
/// 1 to [`MAX_PATH_BYTES`] bytes.
///
/// Paths are names in the archive, not of files: case counts, and what an operating system
/// forbids (`con`, `a:b`, `\`) is allowed.
///
/// # Errors
/// The first problem, with what to write instead.
pub fn check_path(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong { bytes: path.len() });
    }
    if let Some(offset) = path.bytes().position(|byte| byte < 0x20 || byte == 0x7f) {
        let code = u32::from(path.as_bytes()[offset]);
        return Err(PathError::Control { code, offset });
    }
    if path.starts_with('/') {
        return Err(PathError::Absolute);
    }
    if path.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    let mut offset = 0;
    for segment in path.split('/') {
        match segment {
            "" => return Err(PathError::EmptySegment { offset }),
            "." => return Err(dot(".", offset)),
            ".." => return Err(dot("..", offset)),
            RESERVED if offset == 0 => return Err(PathError::Reserved),
            _ => offset += segment.len() + 1,
        }
    }
    Ok(())
}

fn dot(segment: &'static str, offset: usize) -> PathError {
    PathError::DotSegment { segment, offset }
}

/// Would a file of this name, below some folder, belong to git or to an archive? Whoever brings such a path from
/// elsewhere could have programs run by it. Names that only some file systems take for `.git` count too.
pub fn is_reserved_on_disk(path: &str) -> bool {
    path.split('/').any(|segment| {
        let stem = segment.split(':').next().unwrap_or(segment);
        let stem = stem.trim_end_matches(['.', ' ']);
        [".git", "git~1", RESERVED]
            .iter()
            .any(|name| stem.eq_ignore_ascii_case(name))
    })
}

/// A path below a folder of the archive; the folder is empty for the root.
pub fn join(under: &str, path: &str) -> String {
    match under {
        "" => path.to_owned(),
        under => format!("{under}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_git_and_of_archives_are_known() {
        for path in [
            ".git/config",
            "a/.GIT/x",
            "a/.git",
            "x/.backstory/log",
            ".git. /x",
            "git~1/a",
            ".git::$X/a",
        ] {
            assert!(is_reserved_on_disk(path), "{path}");
        }
        for path in ["a.git/x", ".gitignore", "git/x", "a/.backstory2", "a"] {
            assert!(!is_reserved_on_disk(path), "{path}");
        }
    }

    #[test]
    fn names_that_are_paths() {
        let longest = "é".repeat(MAX_PATH_BYTES / 2);
        for path in [
            "a",
            "config/production.json",
            "A/.hidden/..x/x..",
            "a@b/c.json",
            "-n",
            ":/x",
            "a b\\c",
            "x/.backstory",
            ".backstory2",
            "日本/語",
            &longest,
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn names_that_are_not() {
        for (path, part) in [
            ("", "is empty"),
            ("/a", "begins with `/`"),
            ("a/", "ends with `/`"),
            ("/", "begins with `/`"),
            ("a//b", "byte 2"),
            ("a/./b", "`.` at byte 2"),
            ("é/../b", "`..` at byte 3"),
            ("..", "`..` at byte 0"),
            ("a\nb", "U+000A at byte 1"),
            ("a\u{7f}", "U+007F"),
            ("a\0", "U+0000"),
            (".backstory", "belongs to the archive"),
            (".backstory/log", "belongs to the archive"),
            (&"a".repeat(4097), "4097 bytes"),
        ] {
            let error = check_path(path).unwrap_err().to_string();
            assert!(error.contains(part), "{path}: {error}");
        }
    }
}
