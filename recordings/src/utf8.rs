//! UTF-8 whose characters are cut anywhere: between records, and between segments.

/// Decodes UTF-8 that comes in pieces. What can be no character becomes U+FFFD.
#[derive(Debug, Clone, Default)]
pub struct Utf8 {
    /// The beginning of a character whose end has not come yet: at most three bytes.
    pending: Vec<u8>,
}

impl Utf8 {
    /// Goes on where another one was: `pending` is what its [`Self::pending`] gave.
    pub fn resume(pending: &[u8]) -> Self {
        let mut utf8 = Self::default();
        // Anything else is no beginning of a character.
        if std::str::from_utf8(pending).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none()) {
            utf8.pending.extend_from_slice(pending);
        }
        utf8
    }

    /// The beginning of a character whose end has not come yet: at most three bytes.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Appends the characters that are whole with these bytes.
    pub fn decode(&mut self, bytes: &[u8], to: &mut String) {
        let joined;
        let mut rest = bytes;
        if !self.pending.is_empty() {
            // Rare and short: only where a character was cut.
            joined = [std::mem::take(&mut self.pending).as_slice(), bytes].concat();
            rest = &joined;
        }
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return to.push_str(text),
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    to.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    let Some(length) = error.error_len() else {
                        self.pending.extend_from_slice(invalid);
                        return;
                    };
                    to.push('\u{fffd}');
                    rest = &invalid[length..];
                }
            }
        }
    }

    /// Whether a character was left unfinished; it is given up.
    pub fn finish(&mut self) -> bool {
        !std::mem::take(&mut self.pending).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_anywhere_is_put_together_again() {
        let text = "aä€😀z".as_bytes();
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let mut utf8 = Utf8::default();
                let mut decoded = String::new();
                for piece in [&text[..cut], &text[cut..second], &text[second..]] {
                    utf8.decode(piece, &mut decoded);
                }
                assert_eq!(decoded, "aä€😀z", "cut at {cut} and {second}");
                assert!(!utf8.finish());
            }
            let mut first = Utf8::default();
            let mut decoded = String::new();
            first.decode(&text[..cut], &mut decoded);
            Utf8::resume(first.pending()).decode(&text[cut..], &mut decoded);
            assert_eq!(decoded, "aä€😀z", "resumed at {cut}");
        }
        assert_eq!(Utf8::resume(b"ab").pending(), b"", "only the beginning of a character is taken");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_as_the_standard_library_does() {
        let bytes = b"a\xff\xc3(\xf0\x9f\x98b\xe2\x82";
        for cut in 0..=bytes.len() {
            let mut utf8 = Utf8::default();
            let mut decoded = String::new();
            utf8.decode(&bytes[..cut], &mut decoded);
            utf8.decode(&bytes[cut..], &mut decoded);
            if utf8.finish() {
                decoded.push('\u{fffd}');
            }
            assert_eq!(decoded, String::from_utf8_lossy(bytes), "cut at {cut}");
        }
    }
}
