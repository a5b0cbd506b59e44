//! Answers in rows and columns: aligned for people, CSV for programs.

use std::borrow::Cow;
use std::io::IsTerminal;

use unicode_width::UnicodeWidthStr;

use super::output::{Output, style};
use super::text::visible;

/// Letters of a cell that are shown to people: an id has so many. Numbers are shown whole.
const CELL: usize = 64;
/// Between two columns.
const GAP: &str = "  ";

/// Rows under a header.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A value in a table.
pub(super) struct Cell {
    text: String,
    width: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Absent,
}

impl Cell {
    /// A number: shown whole, and to the right.
    pub fn number(text: impl Into<String>) -> Cell {
        Cell::new(text.into(), Kind::Number)
    }

    /// Any other value; what is long is cut.
    pub fn text(text: &str) -> Cell {
        Cell::new(cut(&visible(text), CELL).into_owned(), Kind::Text)
    }

    /// What stands where there is no value.
    pub fn absent(text: &str) -> Cell {
        Cell::new(text.to_owned(), Kind::Absent)
    }

    fn new(text: String, kind: Kind) -> Cell {
        let width = text.width();
        Cell { text, width, kind }
    }
}

impl Table {
    pub fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>) -> Table {
        let shown = |name: T| cut(&visible(name.as_ref()), CELL).into_owned();
        Table {
            header: header.into_iter().map(shown).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Prints it: with a rule under the header on a terminal.
    pub fn print(&self, out: &mut Output) {
        let columns = 0..self.header.len();
        let right: Vec<bool> = columns
            .clone()
            .map(|column| {
                let mut kinds = self.rows.iter().filter_map(|row| row.get(column));
                let mut numbers = false;
                kinds.all(|cell| {
                    numbers |= cell.kind == Kind::Number;
                    cell.kind != Kind::Text
                }) && numbers
            })
            .collect();
        let widths: Vec<usize> = columns
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.width).max().unwrap_or(0);
                widest.max(self.header[column].width())
            })
            .collect();
        let header = self.header.iter().map(|name| {
            let painted = out.paint(style::NAME, name);
            (painted, name.width())
        });
        let header = aligned(header, &widths, &right);
        out.line(&header);
        if std::io::stdout().is_terminal() {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            let rule = out.paint(style::DIM, &rules.join(GAP));
            out.line(&rule);
        }
        for row in &self.rows {
            let cells = row.iter().map(|cell| match cell.kind {
                Kind::Absent => (out.paint(style::DIM, &cell.text), cell.width),
                _ => (cell.text.clone(), cell.width),
            });
            let line = aligned(cells, &widths, &right);
            out.line(&line);
            if out.ended() {
                break;
            }
        }
    }
}

fn aligned(
    cells: impl Iterator<Item = (String, usize)>,
    widths: &[usize],
    right: &[bool],
) -> String {
    let mut line = String::new();
    for (column, (text, width)) in cells.enumerate() {
        if column > 0 {
            line.push_str(GAP);
        }
        let space = widths.get(column).map_or(0, |w| w.saturating_sub(width));
        if right.get(column) == Some(&true) {
            line.extend(std::iter::repeat_n(' ', space));
            line.push_str(&text);
        } else {
            line.push_str(&text);
            line.extend(std::iter::repeat_n(' ', space));
        }
    }
    line.truncate(line.trim_end_matches(' ').len());
    line
}

/// The first letters of a text, and a sign that there were more.
pub(super) fn cut(text: &str, letters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(letters) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text.char_indices().nth(letters.saturating_sub(1));
            let end = end.map_or(text.len(), |(at, _)| at);
            Cow::Owned(format!("{}…", &text[..end]))
        }
    }
}

/// A line of CSV (RFC 4180, with a plain line end).
pub(super) fn csv<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> String {
    let mut line = String::new();
    let mut single_and_empty = false;
    for (number, field) in fields.into_iter().enumerate() {
        let field = field.as_ref();
        single_and_empty = number == 0 && field.is_empty();
        if number > 0 {
            line.push(',');
        }
        if field.contains(['"', ',', '\n', '\r']) {
            line.push('"');
            line.push_str(&field.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(field);
        }
    }
    if single_and_empty {
        // An empty line would be no record at all.
        line.push_str("\"\"");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(csv(["a", "b c", ""]), "a,b c,");
        assert_eq!(
            csv(["a,b", "say \"x\"", "1\n2"]),
            "\"a,b\",\"say \"\"x\"\"\",\"1\n2\""
        );
        assert_eq!(csv([""]), "\"\"");
        assert_eq!(csv(["", "a"]), ",a");
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let cells = |texts: [(&str, usize); 2]| texts.map(|(t, w)| (t.to_owned(), w)).into_iter();
        let line = aligned(cells([("7", 1), ("x", 1)]), &[3, 5], &[true, false]);
        assert_eq!(line, "  7  x");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
