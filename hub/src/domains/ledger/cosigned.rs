//! Verification of what witnesses signed: each signature is under a checkpoint that is there.

use std::collections::BTreeMap;

use openpam_ledger::{LedgerName, Log, Note, VerifierKey};
use sqlx::PgConnection;

use super::{
    error::LedgerError,
    store::verify as stored,
    verify::{Findings, Outcome, outcome_of},
};

/// Signatures that are read together.
const MOST: i32 = 10_000;

/// An outcome for each witness: how much it signed, up to where, and what of it does not fit.
pub(super) async fn verify_cosignatures(
    connection: &mut PgConnection,
    ledger: &LedgerName,
    witnesses: &[VerifierKey],
) -> Result<Vec<Outcome>, LedgerError> {
    let mut found = BTreeMap::<String, (u64, u64, Findings)>::new();
    for key in witnesses {
        found.insert(key.name().to_owned(), (0, 0, Findings::default()));
    }
    let origin = ledger.origin(Log::System);
    let (mut size, mut witness) = (0, String::new());
    loop {
        let page = stored::cosignatures(connection, &origin, (size, &witness), MOST).await?;
        let Some(last) = page.last() else { break };
        (size, witness) = (last.size, last.witness.clone());
        for one in page {
            // Of those that nobody names, nobody can say whether they fit.
            let Some((count, up_to, findings)) = found.get_mut(&one.witness) else { continue };
            *count += 1;
            let Some(note) = &one.note else {
                let message =
                    format!("it signed the system's log of {} leaves, of which no checkpoint is there", one.size);
                findings.add("cosigned_missing", message);
                continue;
            };
            let signed = Note::parse(format!("{note}{}", one.line).as_bytes());
            let fits = signed.and_then(|note| {
                Ok(!note.verify(witnesses.iter().filter(|key| key.name() == one.witness))?.is_empty())
            });
            if fits.is_ok_and(|fits| fits) {
                *up_to = one.size.cast_unsigned();
            } else {
                let message = format!("what is kept as its signature under {} leaves is none", one.size);
                findings.add("cosignature_invalid", message);
            }
        }
    }
    let outcomes = found.into_iter().map(|(name, (count, up_to, findings))| {
        let is_silent = findings.listed.is_empty() && up_to == 0;
        let outcome = Outcome { anchored: Some(up_to), ..outcome_of(format!("witness {name}"), count, findings) };
        if is_silent { Outcome { verdict: "consistent", ..outcome } } else { outcome }
    });
    Ok(outcomes.collect())
}
