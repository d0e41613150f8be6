//! Rows against their entries; and what entries say of the log itself: when places were given, what was erased.

use std::collections::{BTreeSet, HashMap};

use openpam_ledger::{Content, Digests, Entry, Field, Kind, LedgerName, Log, Signers, Verifier, leaf_hash};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    beats::{BEAT, Beat},
    erase::{ERASE, Erased},
    error::LedgerError,
    service,
    store::verify as read_all,
    types::{Draft, EventRow},
    verify::Findings,
};

/// Holes that are told of one log.
const MAX_HOLES: usize = 20;

/// A place, and the kind and id of what has it.
type Place = (u64, i16, Uuid);

/// What entries say of their own log.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Those whose contents are gone.
    erased: Vec<Place>,
    /// The entry that says that something was erased, by its kind and id.
    erasures: HashMap<(i16, Uuid), u64>,
    beats: Vec<Beat>,
    /// Time of the last entry, in microseconds.
    latest: u64,
}

impl Told {
    /// Notes when an entry was.
    pub(super) fn time(&mut self, entry: &Entry<'_>) {
        self.latest = self.latest.max(entry.time);
    }

    fn event(&mut self, seq: u64, row: &EventRow, ledger: &LedgerName, signers: &Signers) {
        if row.action == BEAT {
            let log = Log::Tenant(row.tenant_id);
            self.beats.extend(Beat::read(seq, &row.detail, ledger, log, signers));
        } else if row.action == ERASE {
            self.erasure(seq, row);
        }
    }

    fn erasure(&mut self, seq: u64, row: &EventRow) {
        let Ok(erased) = serde_json::from_str::<Erased>(&row.detail) else { return };
        let events = erased.events.into_iter().map(|id| (Kind::Event as i16, id));
        let changes = erased.row_changes.into_iter().map(|id| (Kind::RowChange as i16, id));
        for key in events.chain(changes) {
            let at = self.erasures.entry(key).or_insert(seq);
            *at = (*at).max(seq);
        }
    }

    /// How many contents are gone.
    pub(super) fn erased(&self) -> u64 {
        self.erased.len() as u64
    }

    /// What is gone and no later entry says that it was erased.
    fn unexplained(&self) -> Vec<Place> {
        let is_told = |(seq, kind, id): &&Place| self.erasures.get(&(*kind, *id)).is_some_and(|at| at > seq);
        self.erased.iter().filter(|place| !is_told(place)).copied().collect()
    }

    /// Adds a finding for each of these. Of a range, entries behind its `end` may say it, each of which is proven to be
    /// in the tree of the last checkpoint, which has `size` entries and this root.
    pub(super) async fn explain(
        &mut self,
        connection: &mut PgConnection,
        behind: Option<(i64, openpam_ledger::TreeHead)>,
        findings: &mut Findings,
    ) -> Result<(), LedgerError> {
        if let Some((end, last)) = behind.filter(|_| !self.unexplained().is_empty()) {
            for (seq, canonical, row) in read_all::erasures(connection, end).await? {
                let draft = row.draft();
                let is_whole = row.salts.is_some() && draft.encode(seq.cast_unsigned()).0 == canonical;
                let seq = seq.cast_unsigned();
                if is_whole && seq < last.size {
                    let proof = service::inclusion(connection, seq, Some(last.size)).await?;
                    let leaf = leaf_hash(&canonical);
                    let holds = openpam_ledger::verify_inclusion(&leaf, seq, last.size, &last.root, &proof.hashes);
                    if holds.is_ok() {
                        self.erasure(seq, &row);
                    }
                }
            }
        }
        for (seq, _, id) in self.unexplained() {
            let message = format!("the contents of entry {seq} ({id}) were erased, and no later entry says so");
            findings.add("content_missing", message);
        }
        Ok(())
    }

    /// Where no hub gave places for longer than beats come.
    pub(super) fn holes(&mut self) -> Vec<String> {
        self.beats.sort_by_key(|beat| beat.seq);
        let mut holes = Vec::new();
        let end = self.beats.last().map(|last| Beat { seq: last.seq, time: self.latest, every: last.every });
        for (before, after) in self.beats.iter().zip(self.beats.iter().skip(1).chain(&end)) {
            let silent = after.time.saturating_sub(before.time);
            if silent > before.patience() {
                holes.push(format!(
                    "no hub gave places for {} minutes behind entry {}, from {}",
                    silent / 60_000_000,
                    before.seq,
                    before.when()
                ));
            }
        }
        let more = holes.len().saturating_sub(MAX_HOLES);
        holes.truncate(MAX_HOLES);
        if more > 0 {
            holes.push(format!("and {more} times more"));
        }
        holes
    }
}

/// Rows against their entries.
pub(super) struct Check<'c, 'b> {
    pub(super) verifier: &'c mut Verifier,
    pub(super) findings: &'c mut Findings,
    pub(super) entries: &'c HashMap<i64, (Entry<'b>, &'b [u8])>,
    pub(super) told: &'c mut Told,
    pub(super) seen: BTreeSet<i64>,
}

impl Check<'_, '_> {
    /// An event, which may speak of the log.
    pub(super) fn event(&mut self, seq: i64, row: &EventRow, ledger: &LedgerName, signers: &Signers) {
        let erased = row.salts.is_none().then(|| row.is_empty());
        self.row(seq, Kind::Event, &row.contents(), erased, |digests| row.draft_with(digests));
        if erased.is_none() && self.entries.contains_key(&seq) {
            self.told.event(seq.cast_unsigned(), row, ledger, signers);
        }
    }

    /// A row of that kind. Where its contents were erased: whether it has none.
    pub(super) fn row(
        &mut self,
        seq: i64,
        kind: Kind,
        contents: &[Content<'_>],
        erased: Option<bool>,
        draft: impl Fn(Digests) -> Draft,
    ) {
        self.seen.insert(seq);
        let Some((entry, canonical)) = self.entries.get(&seq) else { return };
        if entry.kind != kind || draft(entry.digests).encode(entry.seq).0 != *canonical {
            let what = if kind == Kind::Event { "event" } else { "row change" };
            let message = format!("the {what} {} says something else than its entry {seq}", entry.event_id);
            self.findings.add("event_tampered", message);
        }
        if let Some(is_empty) = erased {
            if !is_empty {
                // Nothing proves what is there.
                let message = format!("the contents of entry {seq} are said to be erased, and there are some");
                self.findings.add("content_tampered", message);
            }
            self.told.erased.push((entry.seq, kind as i16, entry.event_id));
            return;
        }
        for content in contents {
            self.verifier.content(entry, content.field, &content.salt, content.bytes);
        }
        let is_there = |field: Field| contents.iter().any(|content| content.field == field);
        for (field, _) in entry.digests.iter().filter(|(field, _)| !is_there(*field)) {
            self.findings.add("content_missing", format!("the {} of entry {seq} was removed", field.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;

    #[test]
    fn a_time_without_beats_is_told_and_a_late_one_is_not() {
        let beat = |seq, minute| Beat { seq, time: minute * MINUTE, every: 600 };
        let mut told = Told { beats: vec![beat(5, 20), beat(1, 10), beat(9, 33), beat(30, 153)], ..Told::default() };
        told.latest = 160 * MINUTE;
        let holes = told.holes();
        assert_eq!(holes.len(), 1, "{holes:?}");
        assert!(holes[0].contains("120 minutes behind entry 9, from 1970-01-01T00:33:00"), "{holes:?}");
        told.latest = 200 * MINUTE;
        assert_eq!(told.holes().len(), 2, "what follows the last beat counts too");
    }

    #[test]
    fn only_a_later_entry_explains_what_is_gone() {
        let id = Uuid::from_u128(1);
        let mut told = Told { erased: vec![(7, 1, id)], ..Told::default() };
        told.erasures.insert((1, id), 6);
        assert_eq!(told.unexplained(), [(7, 1, id)], "it says so before it was written");
        told.erasures.insert((2, id), 9);
        assert_eq!(told.unexplained(), [(7, 1, id)], "it is a row change that was erased");
        told.erasures.insert((1, id), 9);
        assert!(told.unexplained().is_empty());
    }
}
