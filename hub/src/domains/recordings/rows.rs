//! Lines of text on a terminal's screen: rows that belong together are one.

use std::ops::Range;

use avt::{Screen as View, Terminal as Model};

use super::lines::MOST_LINE;

/// Cells of the rows of one line that are put together.
pub(super) const MOST_WRAPPED: usize = MOST_LINE;

/// The line that a row is part of, and how many of its bytes stand before the column; `above` is the beginning of
/// the screen's first line.
pub(super) fn line_at(model: &Model, above: &str, row: usize, col: usize) -> (String, usize) {
    let lines = model.screen().visible_lines().collect::<Vec<_>>();
    let most = (MOST_WRAPPED / model.size().0.max(1)).max(1);
    let mut first = row.min(lines.len().saturating_sub(1));
    while first > 0 && row - first < most && lines[first - 1].is_wrapped() {
        first -= 1;
    }
    let mut text = if first == 0 { above.to_owned() } else { String::new() };
    let mut before = 0;
    for (number, line) in lines.iter().enumerate().skip(first).take(2 * most) {
        if number == row {
            let cells = line.cells().iter().take(col).filter(|cell| cell.width() > 0);
            before = text.len() + cells.map(|cell| cell.char().len_utf8()).sum::<usize>();
        }
        text.extend(line.chars());
        if !line.is_wrapped() {
            break;
        }
    }
    (text, before)
}

/// Calls back with the text of each line, and in which rows it is.
pub(super) fn each_line(view: View<'_>, mut each: impl FnMut(Range<usize>, &str)) {
    let (mut text, mut first, mut next, mut cells) = (String::new(), 0, 0, 0);
    for line in view.visible_lines() {
        text.extend(line.chars());
        cells += line.len();
        next += 1;
        if !line.is_wrapped() || cells >= MOST_WRAPPED {
            each(first..next, &text);
            text.clear();
            (first, cells) = (next, 0);
        }
    }
    if !text.is_empty() {
        each(first..next, &text);
    }
}
