//! Telling what a person types from what their terminal answers by itself.

/// Whether a message of input holds anything but answers of the terminal (ECMA-48, xterm's control
/// sequences): a program that asks where the cursor is must not look like a person at work. Focus
/// reports count as answers too: looking at a window is no work in it. Most input does not begin
/// with ESC and costs one comparison.
pub(super) fn is_typed(input: &[u8]) -> bool {
    let mut rest = input;
    while !rest.is_empty() {
        match after_answer(rest) {
            Some(next) => rest = next,
            None => return true,
        }
    }
    false
}

/// What follows the answer at the beginning, if there is one.
fn after_answer(input: &[u8]) -> Option<&[u8]> {
    match input {
        [0x1b, b'[', rest @ ..] => {
            let length = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
            let (parameters, last) = (&rest[..length], rest[length]);
            let private = parameters.first().is_some_and(|byte| matches!(byte, b'?' | b'>' | b'='));
            let is_answer = match last {
                // Cursor position: always two numbers. Shift-F3 looks the same in row 1, which costs nothing.
                b'R' => parameters.contains(&b';'),
                // Device attributes, mode reports, keyboard flags.
                b'c' | b'y' | b'u' => private,
                // Status, window and focus reports.
                b'n' | b't' => true,
                b'I' | b'O' => parameters.is_empty(),
                _ => false,
            };
            is_answer.then(|| &rest[length + 1..])
        }
        // Strings (colours, settings, the terminal's name), to their terminator: BEL or ESC \.
        [0x1b, b']' | b'P', rest @ ..] => {
            let end = rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b))?;
            match &rest[end..] {
                [0x07, after @ ..] | [0x1b, b'\\', after @ ..] => Some(after),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pasted_text_and_the_mouse_are_typed() {
        for typed in [
            "a",
            "\r",
            "\x1b",
            "\x03",
            "é",
            "\x1b[A",
            "\x1bOP",
            "\x1b[1;5C",
            "\x1b[3~",
            "\x1b[<0;10;10M",
            "\x1bx",
            "\x1b[200~text\x1b[201~",
            "\x1b[1;1Rls\r",
            "\x1b[",
            "\x1b]",
            "\x1b[97u",
        ] {
            assert!(is_typed(typed.as_bytes()), "{typed:?}");
        }
    }

    #[test]
    fn what_a_terminal_answers_is_not() {
        for answer in [
            "",
            "\x1b[24;80R",
            "\x1b[?1;2c",
            "\x1b[>0;276;0c",
            "\x1b[0n",
            "\x1b[?2026;2$y",
            "\x1b[8;24;80t",
            "\x1b[I",
            "\x1b[O",
            "\x1b]11;rgb:0000/0000/0000\x1b\\",
            "\x1b]10;rgb:ffff/ffff/ffff\x07",
            "\x1bP1$r0m\x1b\\",
            "\x1bP>|xterm.js(6)\x1b\\\x1b[1;1R",
            "\x1b[?0u",
        ] {
            assert!(!is_typed(answer.as_bytes()), "{answer:?}");
        }
    }
}
