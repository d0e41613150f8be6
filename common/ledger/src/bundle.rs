//! The container of offline bundles: named sections, one after the other, in one file. Reading needs the
//! memory of one section; what is read is checked before it is used. `FORMAT.md` has the layout.

use std::io::{self, Read, Write};

use aws_lc_rs::digest;

use crate::layout::{Fields, Hash, VERSION};

const MAGIC: &[u8; 8] = b"OPAMBDL\0";
/// Most bytes of one section.
pub const MAX_SECTION_BYTES: usize = 8 << 20;
/// Most bytes of a section's name.
pub const MAX_SECTION_NAME_BYTES: usize = 100;
/// Most sections of one bundle.
pub const MAX_SECTIONS: u32 = 1 << 20;
/// Most bytes of all sections of one bundle: 1 TiB.
pub const MAX_BUNDLE_BYTES: u64 = 1 << 40;

/// Why a bundle cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file could not be read or written.
    #[error("the bundle could not be read or written: {0}")]
    Io(#[from] io::Error),
    /// The file does not begin as a bundle does.
    #[error("this file is not a bundle")]
    NotABundle,
    /// The bundle is of another version.
    #[error("this bundle is of version {version}; this program reads version {VERSION}: use a newer one")]
    UnknownVersion {
        /// The version it names.
        version: u16,
    },
    /// The file ends in the middle.
    #[error("the bundle is cut off")]
    Truncated,
    /// Something follows the end.
    #[error("something follows the end of the bundle")]
    TrailingBytes,
    /// There is too much of something.
    #[error("the bundle has more {0} than a bundle may have")]
    TooLarge(&'static str),
    /// A name is not one that a section may have.
    #[error("a section has a name that no section may have")]
    Name,
    /// Sections are not in the order of their names.
    #[error("section {name} is not in its place: sections stand in the order of their names, each once")]
    Order {
        /// The section.
        name: String,
    },
    /// A section's bytes are not those it was written with.
    #[error("section {name} was changed: it does not fit its hash")]
    Hash {
        /// The section.
        name: String,
    },
    /// The list of sections is not the one that was written.
    #[error("the end of the bundle does not fit its sections: some were removed, added or changed")]
    End,
}

impl BundleError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "bundle_io",
            Self::NotABundle => "bundle_not_a_bundle",
            Self::UnknownVersion { .. } => "bundle_unknown_version",
            Self::Truncated => "bundle_truncated",
            Self::TrailingBytes => "bundle_trailing_bytes",
            Self::TooLarge(_) => "bundle_too_large",
            Self::Name => "bundle_name",
            Self::Order { .. } => "bundle_order",
            Self::Hash { .. } => "bundle_hash",
            Self::End => "bundle_end",
        }
    }
}

/// What writer and reader keep of the sections so far.
struct Sections {
    count: u32,
    bytes: u64,
    last: String,
    /// Over the heads of all sections.
    heads: digest::Context,
}

impl Sections {
    fn new() -> Self {
        Self { count: 0, bytes: 0, last: String::new(), heads: digest::Context::new(&digest::SHA256) }
    }

    /// Checks the next section's name, size and place.
    fn next(&mut self, name: &str, size: usize) -> Result<(), BundleError> {
        if !is_section_name(name) {
            return Err(BundleError::Name);
        }
        if name <= self.last.as_str() {
            return Err(BundleError::Order { name: name.to_owned() });
        }
        if size > MAX_SECTION_BYTES {
            return Err(BundleError::TooLarge("bytes in a section"));
        }
        self.bytes = self.bytes.saturating_add(size as u64);
        if self.bytes > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge("bytes"));
        }
        self.count += 1;
        if self.count > MAX_SECTIONS {
            return Err(BundleError::TooLarge("sections"));
        }
        name.clone_into(&mut self.last);
        Ok(())
    }

    fn end(&self) -> Vec<u8> {
        let mut end = vec![0];
        end.extend_from_slice(&self.count.to_be_bytes());
        end.extend_from_slice(self.heads.clone().finish().as_ref());
        end
    }
}

/// Parts of letters, digits, `.`, `_` and `-`, with `/` between them; none begins with a dot, so that a
/// name can be a path below any folder.
fn is_section_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    name.len() <= MAX_SECTION_NAME_BYTES
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed))
}

fn head(name: &str, body: &[u8]) -> Vec<u8> {
    let mut head = vec![name.len() as u8];
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(&(body.len() as u32).to_be_bytes());
    head.extend_from_slice(&Hash::of(&[body]).0);
    head
}

/// Writes a bundle.
pub struct BundleWriter<W> {
    to: W,
    sections: Sections,
}

impl<W: Write> BundleWriter<W> {
    /// Begins a bundle.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(mut to: W) -> Result<Self, BundleError> {
        to.write_all(MAGIC)?;
        to.write_all(&VERSION.to_be_bytes())?;
        Ok(Self { to, sections: Sections::new() })
    }

    /// Adds a section. They come in the order of their names.
    ///
    /// # Errors
    /// Where it does not come in order, is too large, or cannot be written.
    pub fn section(&mut self, name: &str, body: &[u8]) -> Result<(), BundleError> {
        self.sections.next(name, body.len())?;
        let head = head(name, body);
        self.sections.heads.update(&head);
        self.to.write_all(&head)?;
        self.to.write_all(body)?;
        Ok(())
    }

    /// Writes the end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<W, BundleError> {
        self.to.write_all(&self.sections.end())?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Reads a bundle that anybody may have written.
pub struct BundleReader<R> {
    from: R,
    sections: Sections,
    ended: bool,
}

impl<R: Read> BundleReader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// Where it is not that of a bundle of this version.
    pub fn new(mut from: R) -> Result<Self, BundleError> {
        let beginning = exactly(&mut from, MAGIC.len() + 2).map_err(|error| match error {
            BundleError::Truncated => BundleError::NotABundle,
            other => other,
        })?;
        let mut fields = Fields(beginning.strip_prefix(MAGIC).ok_or(BundleError::NotABundle)?);
        let version = fields.u16().ok_or(BundleError::NotABundle)?;
        if version != VERSION {
            return Err(BundleError::UnknownVersion { version });
        }
        Ok(Self { from, sections: Sections::new(), ended: false })
    }

    /// The next section, `None` at the end. Only then is it known that no section is missing.
    ///
    /// # Errors
    /// What is wrong with the file. Nothing more can be read then.
    pub fn section(&mut self) -> Result<Option<Section>, BundleError> {
        if self.ended {
            return Ok(None);
        }
        let length = exactly(&mut self.from, 1)?;
        if length == [0] {
            return self.end();
        }
        let rest = exactly(&mut self.from, usize::from(length[0]) + 4 + 32)?;
        let mut fields = Fields(&rest);
        let name = fields.take(length[0].into()).and_then(|name| std::str::from_utf8(name).ok());
        let name = name.ok_or(BundleError::Name)?.to_owned();
        let (Some(size), Some(hash)) = (fields.u32(), fields.hash()) else { return Err(BundleError::Truncated) };
        let size = usize::try_from(size).map_err(|_| BundleError::TooLarge("bytes in a section"))?;
        self.sections.next(&name, size)?;
        let body = exactly(&mut self.from, size)?;
        if Hash::of(&[&body]) != hash {
            return Err(BundleError::Hash { name });
        }
        self.sections.heads.update(&length);
        self.sections.heads.update(&rest);
        Ok(Some(Section { name, body }))
    }

    fn end(&mut self) -> Result<Option<Section>, BundleError> {
        let expected = self.sections.end();
        if exactly(&mut self.from, expected.len() - 1)? != expected[1..] {
            return Err(BundleError::End);
        }
        let mut more = Vec::new();
        if self.from.by_ref().take(1).read_to_end(&mut more)? > 0 {
            return Err(BundleError::TrailingBytes);
        }
        self.ended = true;
        Ok(None)
    }
}

/// So many bytes. Memory is taken as they come, not as they are announced.
fn exactly(from: &mut impl Read, length: usize) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::with_capacity(length.min(64 << 10));
    from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(BundleError::Truncated) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = BundleWriter::new(Vec::new()).unwrap();
        writer.section("about", b"one").unwrap();
        writer.section("ledger/entries", b"").unwrap();
        writer.section("recording/0", &[7; 100_000]).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Section>, BundleError> {
        let mut reader = BundleReader::new(bytes)?;
        let mut sections = Vec::new();
        while let Some(section) = reader.section()? {
            sections.push(section);
        }
        assert!(reader.section()?.is_none());
        Ok(sections)
    }

    fn code(bytes: &[u8]) -> &'static str {
        read(bytes).map_or_else(|error| error.code(), |_| "read")
    }

    #[test]
    fn sections_survive_and_no_changed_byte_goes_unnoticed() {
        let bytes = written();
        let sections = read(&bytes).unwrap();
        assert_eq!(
            sections.iter().map(|section| section.name.as_str()).collect::<Vec<_>>(),
            ["about", "ledger/entries", "recording/0"]
        );
        assert_eq!(sections[2].body, [7; 100_000]);
        let small = [&bytes[..200], &bytes[bytes.len() - 200..]].concat();
        for at in 0..bytes.len() {
            if at < 200 || at + 200 > bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert!(read(&changed).is_err(), "byte {at}");
                assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            }
        }
        assert!(read(&small).is_err());
        assert_eq!(code(&[bytes.as_slice(), &[0]].concat()), "bundle_trailing_bytes");
    }

    #[test]
    fn a_hostile_file_is_refused_before_memory_is_taken() {
        let with = |name: &[u8], size: u32| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&[0, 1, name.len() as u8]);
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(&[0; 32]);
            bytes
        };
        assert_eq!(code(&with(b"a", u32::MAX)), "bundle_too_large");
        assert_eq!(code(&with(b"a", MAX_SECTION_BYTES as u32)), "bundle_truncated");
        for name in [&b"../a"[..], b"/a", b"a/", b"a//b", b"A", b"a\\b", b"a/.b", b"\xff", b"a b", &[b'a'; 101]] {
            assert_eq!(code(&with(name, 0)), "bundle_name", "{name:?}");
        }
        assert_eq!(code(b"PK\x03\x04"), "bundle_not_a_bundle");
        assert_eq!(code(b""), "bundle_not_a_bundle");
        let mut other = written();
        other[9] = 2;
        assert_eq!(code(&other), "bundle_unknown_version");
    }

    #[test]
    fn sections_stand_in_order_and_once() {
        let mut writer = BundleWriter::new(Vec::new()).unwrap();
        writer.section("b", b"").unwrap();
        for name in ["a", "b"] {
            assert_eq!(writer.section(name, b"").unwrap_err().code(), "bundle_order");
        }
        assert_eq!(writer.section("c", &vec![0; MAX_SECTION_BYTES + 1]).unwrap_err().code(), "bundle_too_large");
        assert_eq!(writer.section("..", b"").unwrap_err().code(), "bundle_name");
        // What a writer would not write.
        let whole = written();
        let first = &whole[10..10 + 1 + 5 + 4 + 32 + 3];
        let twice = [&whole[..10], first, first].concat();
        assert_eq!(code(&twice), "bundle_order");
        let removed = [&whole[..10], &whole[10 + first.len()..]].concat();
        assert_eq!(code(&removed), "bundle_end");
    }
}
