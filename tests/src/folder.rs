//! Folders of the suite.

use std::path::PathBuf;

/// A folder of a name of its own, made when something is put into it, removed at the end.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
