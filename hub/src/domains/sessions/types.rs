//! What a session is, and how it ends.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use openpam_ids::{AuditEventId, AuthSessionId, CredentialId, ParticipantId, SessionId, TargetId, UserId};
use serde::{Deserialize, Serialize};

use crate::domains::targets::Protocol;

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It runs.
    Active,
    /// It ended by itself: the program ended or the person left.
    Completed,
    /// It could not be opened, or broke off.
    Failed,
    /// Somebody or a rule ended it.
    Terminated,
}

impl SessionStatus {
    /// The name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Terminated => "terminated",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "active" => Self::Active,
            "completed" => Self::Completed,
            "terminated" => Self::Terminated,
            _ => Self::Failed,
        }
    }
}

/// A session as it is about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its identifier, already part of the vault's key id.
    pub id: SessionId,
    /// Who.
    pub user_id: UserId,
    /// Their name now.
    pub user_name: String,
    /// The sign-in it depends on.
    pub auth_session: Option<AuthSessionId>,
    /// Where to.
    pub target_id: TargetId,
    /// The target's name now.
    pub target_name: String,
    /// As whom.
    pub credential_id: CredentialId,
    /// The credential's name now.
    pub credential_name: String,
    /// The audit event of the decision.
    pub decision_id: AuditEventId,
    /// How.
    pub protocol: Protocol,
    /// From where.
    pub client_ip: Option<IpAddr>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Where its recording is, if it has one.
    pub recording_path: Option<String>,
}

/// Characters of a message about an end, at most.
const LONGEST_MESSAGE: usize = 2_000;

/// What others said, as it may stand in a row, in the trail and on a page.
pub fn plain(text: &str) -> String {
    let shown = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text.chars().map(shown).take(LONGEST_MESSAGE).collect()
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The program on the target ended.
    Exited {
        /// Its exit status.
        status: Option<u32>,
        /// The signal that ended it.
        signal: Option<String>,
    },
    /// The person left.
    Disconnected,
    /// It could not be opened, or broke off.
    Failed {
        /// Stable code.
        code: &'static str,
        /// For a person.
        message: String,
    },
    /// Somebody ended it.
    Terminated {
        /// Who, and what they said, for a person.
        message: String,
    },
    /// A rule ended it.
    Expired {
        /// Stable code.
        code: &'static str,
        /// For a person.
        message: String,
    },
}

impl End {
    /// Access is no longer given, for the reason with this stable code.
    pub fn access_ended(code: &'static str, message: impl Into<String>) -> Self {
        Self::Expired { code, message: message.into() }
    }

    /// The session lasted as long as one may.
    pub fn max_duration() -> Self {
        Self::access_ended("max_duration", "The session reached its maximum duration.")
    }

    /// Nobody pressed a key for `limit`.
    pub fn idle(limit: Duration) -> Self {
        let time = match limit.as_secs() {
            60 => "a minute".to_owned(),
            seconds if seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
            seconds => format!("{seconds} seconds"),
        };
        Self::access_ended("idle_timeout", format!("The session ended because no key was pressed for {time}."))
    }

    /// The status the session ends with.
    pub fn status(&self) -> SessionStatus {
        match self {
            Self::Exited { .. } | Self::Disconnected => SessionStatus::Completed,
            Self::Failed { .. } => SessionStatus::Failed,
            Self::Terminated { .. } | Self::Expired { .. } => SessionStatus::Terminated,
        }
    }

    /// Stable code, where it did not end by itself.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Exited { .. } | Self::Disconnected => None,
            Self::Failed { code, .. } | Self::Expired { code, .. } => Some(code),
            Self::Terminated { .. } => Some("terminated"),
        }
    }

    /// For a person: without control characters and not long, for a part of it may be the target's words.
    pub fn message(&self) -> String {
        plain(&self.words())
    }

    fn words(&self) -> String {
        match self {
            Self::Exited { status: Some(0), .. } => "The program ended.".to_owned(),
            Self::Exited { signal: Some(signal), .. } => format!("The program was ended by the signal {signal}."),
            Self::Exited { status: Some(status), .. } => format!("The program ended with status {status}."),
            Self::Exited { .. } => "The target closed the session.".to_owned(),
            Self::Disconnected => "You disconnected.".to_owned(),
            Self::Failed { message, .. } | Self::Expired { message, .. } | Self::Terminated { message } => {
                message.clone()
            }
        }
    }
}

/// A session's row.
#[derive(Debug, Clone)]
pub struct Session {
    /// Identifier.
    pub id: SessionId,
    /// Who.
    pub user_id: UserId,
    /// Their name at that time.
    pub user_name: String,
    /// Where to; gone when the target was deleted.
    pub target_id: Option<TargetId>,
    /// The target's name at that time.
    pub target_name: String,
    /// As whom.
    pub credential_id: Option<CredentialId>,
    /// The credential's name at that time.
    pub credential_name: String,
    /// How.
    pub protocol: String,
    /// Where it is in its life.
    pub status: String,
    /// Begin.
    pub start_time: DateTime<Utc>,
    /// End.
    pub end_time: Option<DateTime<Utc>>,
    /// Bytes of input.
    pub bytes_sent: i64,
    /// Bytes of output.
    pub bytes_received: i64,
    /// From where.
    pub client_ip: Option<IpNetwork>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Exit status of the program.
    pub exit_status: Option<i32>,
    /// The signal that ended the program, without `SIG` (RFC 4254 section 6.10).
    pub exit_signal: Option<String>,
    /// Stable code of how it ended, where it did not end by itself.
    pub error_code: Option<String>,
    /// The same for a person.
    pub error_message: Option<String>,
    /// Where its recording is.
    pub recording_path: Option<String>,
    /// Whether a legal hold keeps that.
    pub recording_held: bool,
    /// What the last verification found wrong with it.
    pub recording_defect: Option<String>,
}

/// What is kept of a session's recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingKept {
    /// There is, or was, one.
    Recorded,
    /// There never was one.
    NotRecorded,
    /// A legal hold keeps it.
    Held,
    /// The last verification found something wrong with it.
    Damaged,
    /// It was deleted, or is about to be.
    Deleted,
}

impl RecordingKept {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::NotRecorded => "not_recorded",
            Self::Held => "held",
            Self::Damaged => "damaged",
            Self::Deleted => "deleted",
        }
    }

    /// Whether it says nothing but what each session says of itself: the rest is for those who may play recordings.
    pub(super) const fn is_plain(self) -> bool {
        matches!(self, Self::Recorded | Self::NotRecorded)
    }
}

/// Which sessions a list shows.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only those of this person.
    pub user_id: Option<UserId>,
    /// Only those on this target.
    pub target_id: Option<TargetId>,
    /// Only those in this state.
    pub status: Option<SessionStatus>,
    /// Begun at or after.
    pub from: Option<DateTime<Utc>>,
    /// Begun before.
    pub to: Option<DateTime<Utc>>,
    /// Part of the names or the reason.
    pub text: Option<String>,
    /// Only those of whose recording this is kept.
    pub recording: Option<RecordingKept>,
}

/// A hub process that is alive.
#[derive(Debug, Clone)]
pub struct RunningHub {
    /// Identifier.
    pub id: openpam_ids::HubId,
    /// Where it listens.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub last_seen_at: DateTime<Utc>,
    /// Sessions of the asking tenant that it carries.
    pub active_sessions: i64,
}

/// Another hub, where it takes what is passed on to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Base URL.
    pub url: String,
    /// Scheme, host and port under which browsers reach it.
    pub origin: String,
}

/// How somebody takes part in another person's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParticipantKind {
    /// They look.
    #[default]
    Watch,
    /// They look, are always shown to the session's person, and may ask to type.
    Join,
}

impl ParticipantKind {
    /// The name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Join => "join",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        if name == "join" { Self::Join } else { Self::Watch }
    }
}

/// A participant as they are about to begin.
#[derive(Debug)]
pub(super) struct NewParticipant<'a> {
    pub(super) id: ParticipantId,
    pub(super) session_id: SessionId,
    pub(super) user_id: UserId,
    pub(super) user_name: &'a str,
    pub(super) kind: ParticipantKind,
    pub(super) visible: bool,
    pub(super) decision_id: AuditEventId,
    pub(super) client_ip: Option<IpAddr>,
}

/// A participant's row.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Identifier.
    pub id: ParticipantId,
    /// Who.
    pub user_id: UserId,
    /// Their name at that time.
    pub user_name: String,
    /// `watch` or `join`.
    pub kind: String,
    /// Whether the session's person is told.
    pub visible: bool,
    /// When they came.
    pub began_at: DateTime<Utc>,
    /// When they left.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why they left: a stable code.
    pub end_code: Option<String>,
    /// When they were last allowed to type.
    pub input_granted_at: Option<DateTime<Utc>>,
    /// Bytes they typed.
    pub bytes_sent: i64,
}

/// Why somebody no longer takes part in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// The session is over.
    SessionEnded(End),
    /// They may no longer.
    AccessEnded(End),
}

impl Leave {
    /// How it ended, for them.
    pub fn end(&self) -> &End {
        match self {
            Self::SessionEnded(end) | Self::AccessEnded(end) => end,
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SessionEnded(_) => "session_ended",
            Self::AccessEnded(end) => end.code().unwrap_or("access_denied"),
        }
    }
}

/// What happens to a participant's right to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputChange {
    /// They ask for it.
    Requested,
    /// The session's person allows it.
    Granted,
    /// The session's person does not.
    Refused,
    /// The session's person takes it back, or leaves.
    TakenBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_said_is_short_and_plain() {
        let said = format!("it is for a\0b\u{1b}[2J{}", "x".repeat(100_000));
        let message = End::Failed { code: "host_certificate_refused", message: said }.message();
        assert!(message.starts_with("it is for a\u{fffd}b") && !message.contains(char::is_control), "{message:?}");
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
    }
}
