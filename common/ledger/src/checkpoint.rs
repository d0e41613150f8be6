//! Checkpoints (C2SP tlog-checkpoint): the signed head of a tenant's tree, and of the system tree over the
//! tenants' checkpoints.

use std::fmt;

use uuid::Uuid;

use crate::{
    layout::{Hash, MAX_TREE_SIZE},
    note::{KeyType, MAX_KEY_NAME_BYTES, Note, NoteError, VerifierKey},
    proof::TreeHead,
};

/// Most extension lines of a note that are read; a checkpoint has none.
const MAX_EXTENSIONS: usize = 16;
const TENANTS: &str = "/tenants/";
const SYSTEM: &str = "/system";

/// The name of an installation's ledger, like `pam.example.com/ledger`: its logs' origins begin with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LedgerName(String);

impl LedgerName {
    /// Takes a name of 1 to 200 letters, digits, `.`, `-`, `_` and `/`, that neither begins nor ends with `/`.
    pub fn new(name: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
        let fits = !name.is_empty() && name.len() <= MAX_KEY_NAME_BYTES - TENANTS.len() - 36 - 10;
        let plain = !name.starts_with('/') && !name.ends_with('/') && name.bytes().all(allowed);
        (fits && plain).then(|| Self(name.to_owned()))
    }

    /// The origin of one of its logs.
    pub fn origin(&self, log: Log) -> String {
        match log {
            Log::Tenant(tenant_id) => format!("{}{TENANTS}{tenant_id}", self.0),
            Log::System => format!("{}{SYSTEM}", self.0),
        }
    }

    /// The log that an origin is of, where it is of this ledger.
    pub fn log(&self, origin: &str) -> Option<Log> {
        let rest = origin.strip_prefix(self.0.as_str())?;
        if rest == SYSTEM {
            return Some(Log::System);
        }
        let tenant_id = Uuid::parse_str(rest.strip_prefix(TENANTS)?).ok()?;
        // One form only: lower case, with hyphens.
        (self.origin(Log::Tenant(tenant_id)) == origin).then_some(Log::Tenant(tenant_id))
    }
}

impl fmt::Display for LedgerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One of a ledger's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    /// A tenant's entries.
    Tenant(Uuid),
    /// The tenants' checkpoints.
    System,
}

/// The head of a log's tree, under the log's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of one of a ledger's logs.
    pub fn new(ledger: &LedgerName, log: Log, head: TreeHead) -> Self {
        Self { origin: ledger.origin(log), head, extensions: Vec::new() }
    }

    /// The same with a line more, which is signed with it. It is not empty and has no line break.
    #[must_use]
    pub fn with_extension(mut self, line: String) -> Self {
        self.extensions.push(line);
        self
    }

    /// The lines behind the root.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Reads the text of a note as a checkpoint.
    ///
    /// # Errors
    /// Where it differs from the form.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let mut lines = text.strip_suffix('\n').ok_or(malformed("checkpoint"))?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed("checkpoint"));
        };
        if origin.is_empty() || origin.len() > MAX_KEY_NAME_BYTES {
            return Err(malformed("origin"));
        }
        let number = size.parse().ok().filter(|number: &u64| *number <= MAX_TREE_SIZE && number.to_string() == size);
        let size = number.ok_or(malformed("tree size"))?;
        let root = Hash::from_base64(root).ok_or(malformed("root hash"))?;
        let extensions = lines.map(str::to_owned).collect::<Vec<_>>();
        if extensions.len() > MAX_EXTENSIONS || extensions.iter().any(String::is_empty) {
            return Err(malformed("extension lines"));
        }
        Ok(Self { origin: origin.to_owned(), head: TreeHead { size, root }, extensions })
    }

    /// The text of the note; a tenant's is a leaf of the system tree.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.head.size, self.head.root.to_base64());
        for extension in &self.extensions {
            text.push_str(extension);
            text.push('\n');
        }
        text
    }

    /// The log that it is of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tree.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The key of a log: it bears the log's origin as its name, so that one Ed25519 key in the vault serves
    /// all logs of a ledger and a signature counts for one of them only.
    ///
    /// # Errors
    /// Where the origin cannot be a key's name, which that of [`new`](Self::new) can.
    pub fn log_key(&self, public: [u8; 32]) -> Result<VerifierKey, NoteError> {
        VerifierKey::new(&self.origin, KeyType::Ed25519, public)
    }

    /// The note that is to be signed.
    ///
    /// # Errors
    /// Where an origin that was read has control characters.
    pub fn to_note(&self) -> Result<Note, NoteError> {
        Note::new(self.to_text())
    }
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signers {
    /// These, and no others.
    Trusted {
        /// The ledger's Ed25519 keys, the present one and those before it.
        log_keys: Vec<[u8; 32]>,
        /// Witnesses that may have cosigned.
        witnesses: Vec<VerifierKey>,
        /// How many of them must have.
        needed: usize,
    },
    /// Any: signatures are not checked. Then a ledger is at best consistent with itself.
    Any,
}

/// A checkpoint whose signatures were checked as [`Signers`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses that cosigned, and when, in seconds since 1970-01-01 UTC.
    pub witnesses: Vec<(String, u64)>,
}

impl Signers {
    /// Reads a signed checkpoint of that log and checks it. One with extension lines is a statement about the log, such
    /// as a beat, and not its checkpoint.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(&self, ledger: &LedgerName, log: Log, note: &[u8]) -> Result<Verified, NoteError> {
        let verified = self.verify_extended(ledger, log, note)?;
        if !verified.checkpoint.extensions().is_empty() {
            return Err(NoteError::Malformed("a checkpoint, for it has extension lines"));
        }
        Ok(verified)
    }

    /// The same, whatever extension lines it has.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify_extended(&self, ledger: &LedgerName, log: Log, note: &[u8]) -> Result<Verified, NoteError> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != ledger.origin(log) {
            return Err(NoteError::OtherOrigin { origin: checkpoint.origin });
        }
        let Self::Trusted { log_keys, witnesses, needed } = self else {
            return Ok(Verified { checkpoint, witnesses: Vec::new() });
        };
        let log_keys = log_keys.iter().map(|key| checkpoint.log_key(*key)).collect::<Result<Vec<_>, _>>()?;
        if note.verify(&log_keys)?.is_empty() {
            return Err(NoteError::NotSigned);
        }
        let cosigners = witnesses.iter().filter(|key| key.kind() == KeyType::CosignatureV1);
        let mut cosigned = Vec::new();
        let mut publics = Vec::new();
        for signed in note.verify(cosigners)? {
            // A witness that is listed under two names is one witness.
            if let (Some(time), false) = (signed.time, publics.contains(signed.key.public())) {
                publics.push(*signed.key.public());
                cosigned.push((signed.key.name().to_owned(), time));
            }
        }
        if cosigned.len() < *needed {
            return Err(NoteError::TooFewWitnesses { found: cosigned.len(), needed: *needed });
        }
        Ok(Verified { checkpoint, witnesses: cosigned })
    }
}
