//! SHA-256 hashes.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands where there is none, e.g. before the first of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 over the parts, one after the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }

    /// Reads a hash in hexadecimal digits, as it is displayed.
    pub fn from_hex(text: &str) -> Option<Self> {
        let (digits, mut bytes) = (text.as_bytes(), [0; 32]);
        if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The hash in base64, as a checkpoint has it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads the one base64 form of a hash.
    pub fn from_base64(text: &str) -> Option<Self> {
        // Padded, no spare bits: the standard engine takes no second form.
        (text.len() == 44).then(|| STANDARD.decode(text).ok()?.try_into().ok().map(Self))?
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_base64_form_only() {
        let hash = Hash::of(&[b"x"]);
        let text = hash.to_base64();
        assert_eq!(Hash::from_base64(&text), Some(hash));
        let unpadded = text.trim_end_matches('=');
        // The last character before the padding has two spare bits.
        let spare = format!("{}{}=", &text[..42], char::from(text.as_bytes()[42] + 1));
        for other in [unpadded, &format!("{text}="), &format!(" {unpadded}"), &spare, "", "AAAA"] {
            assert_eq!(Hash::from_base64(other), None, "{other}");
        }
    }
}
