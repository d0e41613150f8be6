//! What drawing costs, in cells; and which characters draw none.

use avt::parser::{DecMode, Function};

/// Cells that a function draws or moves, about.
pub(super) fn cost(function: &Function, cols: u64, rows: u64) -> u64 {
    match function {
        Function::Ed(_) | Function::Ris | Function::Decaln => cols * rows,
        Function::Decset(modes) | Function::Decrst(modes) if modes.as_slice().iter().any(switches) => cols * rows,
        Function::Su(lines) | Function::Sd(lines) | Function::Il(lines) | Function::Dl(lines) => {
            rows + cols * rows.min(u64::from(*lines).max(1))
        }
        Function::Lf | Function::Nel | Function::Ri => rows + cols,
        Function::El(_) | Function::Ech(_) | Function::Dch(_) | Function::Ich(_) => cols,
        Function::Rep(times) => u64::from(*times),
        _ => 1,
    }
}

/// Whether a mode takes the screen, or gives it back.
pub(super) fn switches(mode: &DecMode) -> bool {
    matches!(mode, DecMode::AltScreenBuffer | DecMode::SaveCursorAltScreenBuffer)
}

/// Whether a character draws nothing.
pub(super) fn is_control(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

/// Whether a control may open a sequence.
pub(super) fn opens(character: char) -> bool {
    matches!(character, '\u{1b}' | '\u{80}'..='\u{9f}')
}

/// Cells of a screen.
pub(super) fn area((cols, rows): (usize, usize)) -> u64 {
    (cols as u64).saturating_mul(rows as u64)
}
