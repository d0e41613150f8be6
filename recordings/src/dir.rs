//! Recordings in a folder: one file for each segment, one for the manifest. The only module that
//! touches the file system; what it reads is bounded.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    layout::{MAX_MANIFEST_BYTES, MAX_SEGMENT_BYTES},
    verify::{Report, Verifier},
};

/// The file name of the manifest.
pub const MANIFEST_NAME: &str = "manifest";
/// Most segments of one folder that are read: half a year of segments of 15 s.
pub const MAX_SEGMENTS: usize = 1 << 20;

/// The file name of a segment: ten digits and `.segment`, so that names sort as numbers do.
pub fn segment_name(seq: u32) -> String {
    format!("{seq:010}.segment")
}

/// The sequence number that a file name stands for.
pub fn parse_segment_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".segment")?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused.
    #[error("{} could not be read: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something else than a file under the name of one.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// There are too many segments.
    #[error("{} holds more than {MAX_SEGMENTS} segments", .0.display())]
    TooManySegments(PathBuf),
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    /// The segments by their names, in order.
    pub segments: Vec<u32>,
    /// Whether there is a manifest.
    pub has_manifest: bool,
    /// How many other files there are; they are no part of the recording.
    pub other_files: usize,
}

impl Folder {
    /// Lists a folder.
    ///
    /// # Errors
    /// Where it cannot be listed or holds too many segments.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { path: path.to_owned(), source };
        let mut folder = Self { path: path.to_owned(), segments: Vec::new(), has_manifest: false, other_files: 0 };
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            match name.to_str().map(|name| (name == MANIFEST_NAME, parse_segment_name(name))) {
                Some((true, _)) => folder.has_manifest = true,
                Some((_, Some(seq))) => folder.segments.push(seq),
                _ => folder.other_files += 1,
            }
            if folder.segments.len() > MAX_SEGMENTS {
                return Err(FolderError::TooManySegments(path.to_owned()));
            }
        }
        folder.segments.sort_unstable();
        Ok(folder)
    }

    /// Reads one segment, at most one byte more than a segment may have.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn segment(&self, seq: u32) -> Result<Vec<u8>, FolderError> {
        read(&self.path.join(segment_name(seq)), MAX_SEGMENT_BYTES)
    }

    /// Reads the manifest, if there is one.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn manifest(&self) -> Result<Option<Vec<u8>>, FolderError> {
        self.has_manifest.then(|| read(&self.path.join(MANIFEST_NAME), MAX_MANIFEST_BYTES)).transpose()
    }

    /// Verifies the recording. One segment at a time is in memory.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn verify(&self, mut verifier: Verifier<'_>) -> Result<Report, FolderError> {
        for seq in &self.segments {
            verifier.segment(&self.segment(*seq)?);
        }
        Ok(verifier.finish(self.manifest()?.as_deref()))
    }
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>, FolderError> {
    let failed = |source| FolderError::Io { path: path.to_owned(), source };
    if !std::fs::symlink_metadata(path).map_err(failed)?.is_file() {
        return Err(FolderError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte more shows that the file is too long.
    File::open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
