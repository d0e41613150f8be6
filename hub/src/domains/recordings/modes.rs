//! Modes of a terminal that decide whether a flood of lines may be left undrawn.

use avt::parser::{AnsiMode, DecMode, Function};

/// Modes under which lines that scroll by leave something behind, or look otherwise than they are.
#[derive(Debug, Default)]
pub(super) struct Modes {
    pub(super) margins: bool,
    insert: bool,
    /// Lines are not wrapped, or may not be: what was saved with a cursor comes back unseen.
    no_wrap: bool,
    drawing: [bool; 2],
    second: bool,
}

impl Modes {
    /// Whether none of them is set.
    pub(super) fn are_plain(&self) -> bool {
        !self.margins && !self.insert && !self.no_wrap && !self.drawing[usize::from(self.second)]
    }

    /// Follows what the terminal is told.
    pub(super) fn follow(&mut self, function: &Function, rows: usize) {
        let drawing = |charset: &avt::Charset| *charset != avt::Charset::Ascii;
        match function {
            Function::Decstbm(top, bottom) => {
                let top = usize::from(*top).max(1);
                let bottom = if *bottom == 0 { rows } else { usize::from(*bottom) };
                if top < bottom && bottom <= rows {
                    self.margins = (top, bottom) != (1, rows);
                }
            }
            Function::Sm(modes) => self.insert |= modes.as_slice().contains(&AnsiMode::Insert),
            Function::Rm(modes) => self.insert &= !modes.as_slice().contains(&AnsiMode::Insert),
            Function::Decrst(modes) => self.no_wrap |= modes.as_slice().contains(&DecMode::AutoWrap),
            Function::Gzd4(charset) => self.drawing[0] = drawing(charset),
            Function::G1d4(charset) => self.drawing[1] = drawing(charset),
            Function::So => self.second = true,
            Function::Si => self.second = false,
            Function::Decstr => *self = Self { no_wrap: self.no_wrap, ..Self::default() },
            Function::Ris => *self = Self::default(),
            _ => {}
        }
    }
}
