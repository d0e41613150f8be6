//! A file as an anchor: lines of JSON that are appended.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
};

use openpam_ledger::TreeHead;

use super::{AnchorError, Largest, Line, Trust, counts};

/// Bytes of one line of the file.
const MAX_LINE: u64 = 256 << 10;

impl From<io::Error> for AnchorError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Checkpoints of a log, the largest first, that are looked at until one counts. Only somebody else's are in front of it.
const MAX_READ: usize = 1_000;

/// The largest checkpoint of each log that counts. Of a last line that was not written whole nothing does.
pub(super) fn largest(path: &Path, trust: Option<&Trust>) -> Result<Largest, AnchorError> {
    let mut logs = BTreeMap::<String, BTreeMap<(u64, usize), (TreeHead, String)>>::new();
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Largest::new()),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    for number in 0.. {
        text.clear();
        if io::Read::take(&mut reader, MAX_LINE).read_line(&mut text)? == 0 {
            break;
        }
        let Some((checkpoint, note)) = Line::parse(text.as_bytes()) else { continue };
        let log = logs.entry(checkpoint.origin().to_owned()).or_default();
        log.insert((checkpoint.head().size, number), (checkpoint.head(), note));
        // Whoever put more than that in front of the last one holds up signing, and no more.
        if log.len() > MAX_READ {
            log.pop_first();
        }
    }
    let mut largest = Largest::new();
    for (origin, log) in logs {
        let counted = log.values().rev().find(|(_, note)| counts(trust, &origin, note)).map(|(head, _)| *head);
        match counted {
            Some(head) => drop(largest.insert(origin, vec![head])),
            None if log.len() == MAX_READ => {
                return Err(AnchorError::Failed(format!("{MAX_READ} checkpoints of {origin} are not signed")));
            }
            None => {}
        }
    }
    Ok(largest)
}

/// A file that had something and is gone is not begun anew.
pub(super) fn append(path: &Path, lines: &[Line], is_new: bool) -> Result<(), AnchorError> {
    let mut file = OpenOptions::new().create(is_new).append(true).open(path)?;
    // Behind a line that was not written whole, on one of its own.
    let mut text = String::from("\n");
    for line in lines {
        text.push_str(&line.to_json()?);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|_| is_new) {
        Some(folder) if !folder.as_os_str().is_empty() => Ok(File::open(folder)?.sync_all()?),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::line, *};

    #[test]
    fn the_largest_counts_and_a_line_that_is_not_whole_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        assert!(largest(&path, None).unwrap().is_empty(), "there is no file yet");
        assert!(matches!(append(&path, &[line(3)], false), Err(AnchorError::Gone)), "what is gone is not begun anew");
        append(&path, &[line(3), line(7)], true).unwrap();
        append(&path, &[line(5)], false).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();
        assert_eq!(largest(&path, None).unwrap()["x/ledger/system"][0].size, 7);
        append(&path, &[line(9)], false).unwrap();
        assert_eq!(largest(&path, None).unwrap()["x/ledger/system"][0].size, 9, "what follows a broken line counts");
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&vec![b'x'; 600 << 10]).unwrap();
        append(&path, &[line(11)], false).unwrap();
        assert_eq!(largest(&path, None).unwrap()["x/ledger/system"][0].size, 11, "a line that is too long is skipped");
    }
}
