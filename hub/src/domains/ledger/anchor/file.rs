//! A file as an anchor: lines of JSON that are appended.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
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

/// Where the larger checkpoints of a log are in the file: by size, and by where their lines begin how long these are.
type Places = BTreeMap<(u64, u64), u64>;

/// The largest checkpoint of each log that counts. Of a last line that was not written whole nothing does. Places are
/// kept in memory, and no notes: an anchor grows for years.
pub(super) fn largest(path: &Path, trust: Option<&Trust>) -> Result<Largest, AnchorError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Largest::new()),
        Err(error) => return Err(error.into()),
    };
    let mut largest = Largest::new();
    for (origin, places) in places(&file)? {
        match counted(&mut file, &origin, &places, trust)? {
            Some(head) => drop(largest.insert(origin, vec![head])),
            None if places.len() == MAX_READ => {
                return Err(AnchorError::Failed(format!("{MAX_READ} checkpoints of {origin} are not signed")));
            }
            None => {}
        }
    }
    Ok(largest)
}

fn places(file: &File) -> io::Result<BTreeMap<String, Places>> {
    let mut logs = BTreeMap::<String, Places>::new();
    let mut reader = BufReader::new(file);
    let (mut line, mut offset) = (Vec::new(), 0);
    loop {
        line.clear();
        let length = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(logs);
        }
        if let Some((checkpoint, _)) = Line::parse(&line) {
            let log = logs.entry(checkpoint.origin().to_owned()).or_default();
            log.insert((checkpoint.head().size, offset), length);
            // Whoever put more than that in front of the last one holds up signing, and no more.
            if log.len() > MAX_READ {
                log.pop_first();
            }
        }
        offset += length;
    }
}

/// The largest of these that counts.
fn counted(file: &mut File, origin: &str, places: &Places, trust: Option<&Trust>) -> io::Result<Option<TreeHead>> {
    for ((size, offset), length) in places.iter().rev() {
        file.seek(SeekFrom::Start(*offset))?;
        let mut line = Vec::new();
        (&mut *file).take(*length).read_to_end(&mut line)?;
        // It is read a second time: somebody may have written meanwhile.
        if let Some((checkpoint, note)) = Line::parse(&line)
            && (checkpoint.origin(), checkpoint.head().size) == (origin, *size)
            && counts(trust, origin, &note)
        {
            return Ok(Some(checkpoint.head()));
        }
    }
    Ok(None)
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
        // Bytes that are no text, from whoever writes there too.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"\xff\xfe\n").unwrap();
        append(&path, &[line(12)], false).unwrap();
        assert_eq!(largest(&path, None).unwrap()["x/ledger/system"][0].size, 12, "what is no text is skipped");
    }

    #[test]
    fn of_each_log_the_largest_of_many_is_found_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        let of = |origin: &str, size| {
            let line = line(size);
            let note = line.note.replace("x/ledger/system", origin);
            Line { origin: origin.to_owned(), note, ..line }
        };
        let tenant = "x/ledger/tenants/0197a4b2-0000-7000-8000-000000000001";
        let lines = (1..=3_000).flat_map(|size| [of("x/ledger/system", size), of(tenant, 3_001 - size)]);
        append(&path, &lines.collect::<Vec<_>>(), true).unwrap();
        let found = largest(&path, None).unwrap();
        assert_eq!((found["x/ledger/system"][0].size, found[tenant][0].size), (3_000, 3_000));
        assert_eq!(places(&File::open(&path).unwrap()).unwrap()[tenant].len(), MAX_READ, "no more are kept");
    }
}
