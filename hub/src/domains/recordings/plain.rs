//! Lines that only ever move the cursor to the right and to the next line: printable characters and tabs,
//! colours and "erase to the end of the line", ended with CR LF. Where enough of them follow each other, the
//! screen behind them is that of the last ones.

/// Bytes that are looked at together.
const BLOCK: usize = 256;

/// How much at the beginning is whole plain lines, in bytes.
pub(super) fn plain_lines(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    'blocks: while at < bytes.len() {
        if let Some(window) = bytes.get(at..=at + BLOCK)
            && is_plain(window)
        {
            at += BLOCK;
            // A line end is not cut.
            at += usize::from(bytes[at - 1] == b'\r');
            continue;
        }
        let until = at + BLOCK;
        while at < until {
            at += match bytes.get(at) {
                Some(b'\t' | 0x20..=0x7e) => 1,
                Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => 2,
                // U+0080 to U+009F are controls.
                Some(0xc2) if bytes.get(at + 1).is_some_and(|next| *next < 0xa0) => break 'blocks,
                Some(0x80..) => 1,
                Some(0x1b) => match style(&bytes[at..]) {
                    Some((_, length)) => length,
                    None => break 'blocks,
                },
                _ => break 'blocks,
            }
        }
    }
    let plain = &bytes[..at.min(bytes.len())];
    plain.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// Whether there is nothing but ASCII text and whole line ends; the last byte is looked at for a line end only.
/// Without branches, so that many bytes are compared at once.
fn is_plain(window: &[u8]) -> bool {
    let (bytes, next) = (&window[..window.len() - 1], &window[1..]);
    let mut other = u8::from(window[0] == b'\n');
    for (byte, next) in bytes.iter().zip(next) {
        let control = (*byte < 0x20) & (*byte != b'\t') & (*byte != b'\r') & (*byte != b'\n');
        other |= u8::from(control | (*byte >= 0x7f) | ((*byte == b'\r') != (*next == b'\n')));
    }
    other == 0
}

/// Whether bytes go on as plain lines of ASCII without colours, behind a carriage return or not; where they do, whether
/// they end with one, whose line feed is to come.
pub(super) fn goes_on(bytes: &[u8], behind_return: bool) -> Option<bool> {
    let (first, last) = (*bytes.first()?, *bytes.last()?);
    if (first == b'\n') != behind_return {
        return None;
    }
    let is_control = |byte: u8| (byte < 0x20) & (byte != b'\t') & (byte != b'\r') & (byte != b'\n') | (byte >= 0x7f);
    let mut other = u8::from(is_control(last));
    for (byte, next) in bytes.iter().zip(&bytes[1..]) {
        other |= u8::from(is_control(*byte) | ((*byte == b'\r') != (*next == b'\n')));
    }
    (other == 0).then_some(last == b'\r')
}

/// What of plain lines decides something: the end of the first one, which may have been begun before, and the last
/// `lines`, with what stands behind them. None where that is all.
pub(super) fn ends(bytes: &[u8], lines: usize) -> Option<(&[u8], &[u8])> {
    let first = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let last = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').nth(lines).map(|(at, _)| at + 1)?;
    (first < last).then(|| (&bytes[..first], &bytes[last..]))
}

/// What a control sequence at the beginning does, if it is plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Forgets every colour.
    Reset,
    Colour,
    /// Erases to the end of the line.
    Erase,
}

/// The sequence at the beginning, and how many bytes it has.
fn style(bytes: &[u8]) -> Option<(Style, usize)> {
    const LONGEST: usize = 32;
    let parameters = bytes.strip_prefix(b"\x1b[")?;
    let length = parameters.iter().take(LONGEST).position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    let style = match (parameters[length], &parameters[..length]) {
        (b'm', b"" | b"0") => Style::Reset,
        (b'm', _) => Style::Colour,
        (b'K', b"" | b"0") => Style::Erase,
        _ => return None,
    };
    Some((style, length + 3))
}

/// Where the last `lines` of plain lines begin; none where there are not more.
pub(super) fn last_lines(text: &str, lines: usize) -> Option<usize> {
    text.as_bytes().iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').nth(lines).map(|(at, _)| at + 1)
}

/// The colours that hold behind plain lines, as sequences that set them.
pub(super) fn colours(text: &str) -> String {
    let mut colours = String::new();
    if !text.contains('\u{1b}') {
        return colours;
    }
    // What was set before the last reset does not matter.
    let mut at = ["\u{1b}[0m", "\u{1b}[m"].iter().filter_map(|reset| text.rfind(reset)).max().unwrap_or(0);
    while let Some(begun) = text[at..].find('\u{1b}').map(|begun| at + begun) {
        let (style, length) = style(&text.as_bytes()[begun..]).unwrap_or((Style::Erase, 1));
        at = begun + length;
        if style != Style::Erase {
            colours.push_str(&text[begun..at]);
        }
    }
    colours
}

/// A plain line without colours, in `to` where there are some.
pub(super) fn without_colours<'a>(line: &'a str, to: &'a mut String) -> &'a str {
    if !line.contains('\u{1b}') {
        return line;
    }
    to.clear();
    let mut at = 0;
    while let Some(begun) = line[at..].find('\u{1b}').map(|begun| at + begun) {
        to.push_str(&line[at..begun]);
        at = begun + style(&line.as_bytes()[begun..]).map_or(1, |(_, length)| length);
    }
    to.push_str(&line[at..]);
    to
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_lines_end_where_something_else_begins() {
        for (text, plain) in [
            ("a\r\nb", 3),
            ("a\r\nb\r\n", 6),
            ("a\r\nb\n", 3),
            ("\na\r\n", 0),
            ("a\r\rb\r\n", 0),
            ("\u{1b}[1;31ma\u{1b}[0m\u{1b}[K\r\nb", 17),
            ("a\r\n\u{1b}[2Jb\r\n", 3),
            ("a\r\n\u{9b}b\r\n", 3),
            ("é\t界\u{a0}\r\n", 10),
            ("a\r\n\u{1b}[", 3),
        ] {
            assert_eq!(plain_lines(text), plain, "{text:?}");
        }
        let mut shown = String::new();
        assert_eq!(without_colours("\u{1b}[1;31ma\u{1b}[0mb\u{1b}[K", &mut shown), "ab");
        assert_eq!(colours("\u{1b}[1mx\u{1b}[my\u{1b}[3m\u{1b}[Kz\u{1b}[38:5:1m"), "\u{1b}[m\u{1b}[3m\u{1b}[38:5:1m");
        assert_eq!(last_lines("a\r\nb\r\nc\r\n", 1), Some(6));
        assert_eq!(last_lines("a\r\nb\r\nc\r\n", 3), None);
    }

    #[test]
    fn plain_ascii_goes_on_from_piece_to_piece() {
        for (bytes, behind_return, goes) in [
            ("a\r\nb", false, Some(false)),
            ("a\r\nb\r", false, Some(true)),
            ("\nb\t", true, Some(false)),
            ("\n", true, Some(false)),
            ("\r", false, Some(true)),
            ("\n", false, None),
            ("a", true, None),
            ("a\nb", false, None),
            ("a\rb", false, None),
            ("a\u{1b}[m", false, None),
            ("\u{1b}", false, None),
            ("é", false, None),
            ("", false, None),
        ] {
            assert_eq!(goes_on(bytes.as_bytes(), behind_return), goes, "{bytes:?}");
        }
        assert_eq!(ends(b"x\r\na\r\nb\r\nc", 1), Some((&b"x\r\n"[..], &b"b\r\nc"[..])));
        assert_eq!(ends(b"x\r\nb\r\nc", 1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// Looking at blocks finds what looking at bytes finds.
        #[test]
        fn blocks_are_as_exact_as_bytes(
            pieces in prop::collection::vec(prop_oneof![
                20 => "[a-z é]{0,90}\r\n", 1 => "\r|\n|\u{1b}\\[[0-9]{1,3}m|\u{1b}\\[2J|\u{7f}|\u{85}",
            ], 0..40),
        ) {
            let text = pieces.concat();
            let plain = plain_lines(&text);
            prop_assert!(text.is_char_boundary(plain));
            let (mut at, mut end) = (0, 0);
            let bytes = text.as_bytes();
            while at < bytes.len() {
                match bytes[at] {
                    b'\r' if bytes.get(at + 1) == Some(&b'\n') => { at += 2; end = at; }
                    0x1b => match style(&bytes[at..]) { Some((_, length)) => at += length, None => break },
                    0xc2 if bytes[at + 1] < 0xa0 => break,
                    byte if byte >= 0x20 && byte != 0x7f => at += 1,
                    _ => break,
                }
            }
            prop_assert_eq!(plain, end);
        }
    }
}
