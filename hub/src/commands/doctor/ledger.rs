//! The ledger's anchor: there is one, and it takes what is appended.

use std::{fs::OpenOptions, io::ErrorKind, path::Path};

use super::Report;
use crate::config::Ledger;

const ANCHOR: &str = "ledger_anchor";

pub(super) fn examine(config: &Ledger, report: &mut Report) {
    let Some(file) = &config.anchor_file else {
        report.warning(
            ANCHOR,
            "the ledger's checkpoints are kept in the database alone: nobody can tell that it was rolled back",
            "set ledger.anchor_file, on storage where the database's administrator has no hand",
        );
        return;
    };
    let path = Path::new(file);
    // Without writing: what is there stays as it is, and what is not there is made by the hub.
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => report.ok(ANCHOR, format!("{file}: takes checkpoints")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if folder.is_dir() {
                report.ok(ANCHOR, format!("{file}: is made with the first checkpoint"));
            } else {
                report.failed(ANCHOR, format!("{}: is no folder", folder.display()), "make the folder of the anchor");
            }
        }
        Err(error) => report.failed(
            ANCHOR,
            format!("{file}: {error}"),
            "let the hub's user append to ledger.anchor_file: without its anchor a hub signs nothing",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    fn state(anchor_file: Option<String>) -> State {
        let mut report = Report::default();
        examine(&Ledger { anchor_file, ..Ledger::default() }, &mut report);
        report.checks[0].state
    }

    #[test]
    fn an_anchor_is_asked_for_and_must_take_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name).display().to_string());
        assert_eq!(state(None), State::Warning);
        assert_eq!(state(path("not/there/anchor")), State::Failed);
        assert_eq!(state(path("anchor")), State::Ok);
        assert!(!folder.path().join("anchor").exists(), "looking makes nothing");
        std::fs::write(folder.path().join("anchor"), "").unwrap();
        assert_eq!(state(path("anchor")), State::Ok);
        assert_eq!(state(Some(folder.path().display().to_string())), State::Failed, "a folder takes no lines");
    }
}
