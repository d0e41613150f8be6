//! The JSON messages of `openpam.terminal.v1` (binary messages are terminal bytes).

use chrono::{DateTime, Utc};
use openpam_ids::{ParticipantId, SessionId};
use serde::{Deserialize, Serialize};

/// Name of the WebSocket subprotocol.
pub(super) const SUBPROTOCOL: &str = "openpam.terminal.v1";
/// Most columns and rows a terminal may have.
const MAX_SIZE: u16 = 1_000;
/// Longest text message that is looked at.
const MAX_TEXT: usize = 4 * 1024;

/// From the hub.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    /// The terminal works; bytes follow.
    Ready {
        session_id: SessionId,
        resume_token: &'a str,
        /// Position of the first byte that follows.
        offset: u64,
        /// The screen must be reset first: what follows rebuilds it.
        snapshot: bool,
        /// Whether the session is recorded.
        recorded: bool,
        /// How long, in seconds, the session is kept for a browser whose connection was lost.
        resume_seconds: u64,
        /// Bytes of input the hub has taken since the session began: what the browser sent beyond that was
        /// lost with its connection, and is to be sent again.
        input: u64,
    },
    /// To who watches: what follows draws the screen, on a terminal of this size, and goes on from there.
    /// Comes again, with another position, for who fell behind.
    #[serde(rename = "ready")]
    Watching {
        session_id: SessionId,
        /// Who they are to the session.
        participant: ParticipantId,
        user_name: &'a str,
        /// Position of the first byte that follows.
        offset: u64,
        snapshot: bool,
        recorded: bool,
        cols: u16,
        rows: u16,
    },
    /// To who watches: the terminal has another size from here on.
    Size { cols: u16, rows: u16 },
    /// Who is there beside the session's person.
    Participants { watching: Vec<&'a str>, joined: Vec<Joined<'a>> },
    /// Something the person should know.
    Notice {
        message: &'a str,
        /// What it is about, where a program should know.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<NoticeCode>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ends_at: Option<DateTime<Utc>>,
        /// Whether the session is recorded from now on, where that has changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        recorded: Option<bool>,
    },
    /// The session is over.
    Exit {
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<&'a str>,
        reason: &'a str,
    },
    /// Something went wrong.
    Error {
        code: &'a str,
        message: &'a str,
        /// Finds the session's log lines.
        request_id: &'a str,
    },
}

/// What a notice is about, where a program should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoticeCode {
    /// The session ends for nobody types, unless a key is pressed.
    IdleSoon,
    /// A key was pressed after that.
    IdleOver,
}

/// Somebody who joined.
#[derive(Debug, Serialize)]
pub(super) struct Joined<'a> {
    pub participant: ParticipantId,
    pub name: &'a str,
    pub input: InputRight,
}

/// Whether somebody who joined may type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InputRight {
    /// They only look.
    None,
    /// They have asked, and wait for an answer.
    Asked,
    /// They type.
    Granted,
}

impl<'a> ServerMessage<'a> {
    /// Something the person should know.
    pub(super) const fn notice(message: &'a str) -> Self {
        Self::Notice { message, code: None, ends_at: None, recorded: None }
    }

    /// The recording broke off, and the session may go on without.
    pub(super) const fn no_longer_recorded() -> Self {
        let message = "This session is no longer recorded.";
        Self::Notice { message, code: None, ends_at: None, recorded: Some(false) }
    }

    /// The same notice with what it is about.
    #[must_use]
    pub(super) const fn about(mut self, what: Option<NoticeCode>) -> Self {
        if let Self::Notice { code, .. } = &mut self {
            *code = what;
        }
        self
    }

    /// The same notice about something that happens at this time.
    #[must_use]
    pub(super) fn until(mut self, at: DateTime<Utc>) -> Self {
        if let Self::Notice { ends_at, .. } = &mut self {
            *ends_at = Some(at);
        }
        self
    }

    /// The message as JSON text.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// From the browser.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    /// The terminal has another size.
    Resize { cols: u16, rows: u16 },
    /// Everything up to this position is parsed.
    Ack { bytes: u64 },
    /// The person is done.
    Disconnect,
    /// Somebody who joined asks to type.
    RequestInput,
    /// The session's person answers, or takes back what they allowed.
    Input { participant: ParticipantId, allowed: bool },
}

/// Why a text message was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageError {
    /// Stable code.
    pub code: &'static str,
    /// For a person.
    pub message: &'static str,
}

const MALFORMED: MessageError =
    MessageError { code: "malformed_message", message: "The message is not valid JSON of this protocol." };
const UNKNOWN: MessageError = MessageError { code: "unknown_message", message: "The message's type is not known." };
/// Input, or a new size, from somebody who only looks.
pub(super) const READ_ONLY: MessageError =
    MessageError { code: "read_only", message: "You watch this session: what you type goes nowhere." };
/// A message that somebody else may send.
pub(super) const NOT_YOURS: MessageError =
    MessageError { code: "message_not_allowed", message: "This message is not for you to send here." };
/// More input of a guest than may wait.
pub(super) const TOO_MUCH_INPUT: MessageError = MessageError {
    code: "too_much_input",
    message: "This was not sent: at most 64 KiB of what you type or paste may wait, at 8 KiB a second. Nor is \
              anything else until you have sent nothing for a second.",
};
/// An answer to nobody.
pub(super) const NOBODY_ASKS: MessageError =
    MessageError { code: "nobody_asks", message: "They have left, or do not ask to type any more." };
const SIZE: MessageError =
    MessageError { code: "invalid_size", message: "Columns and rows must be between 1 and 1000." };

const KINDS: [&str; 5] = ["resize", "ack", "disconnect", "request_input", "input"];

/// Reads a text message.
pub(super) fn parse(text: &str) -> Result<ClientMessage, MessageError> {
    if text.len() > MAX_TEXT {
        return Err(MALFORMED);
    }
    match serde_json::from_str(text) {
        Ok(ClientMessage::Resize { cols, rows }) if !is_valid_size(cols, rows) => Err(SIZE),
        Ok(message) => Ok(message),
        Err(_) => {
            #[derive(Deserialize)]
            struct Envelope {
                #[serde(rename = "type")]
                kind: String,
            }
            match serde_json::from_str::<Envelope>(text) {
                Ok(envelope) if !KINDS.contains(&envelope.kind.as_str()) => Err(UNKNOWN),
                _ => Err(MALFORMED),
            }
        }
    }
}

/// Whether a terminal may have this size.
pub(super) fn is_valid_size(cols: u16, rows: u16) -> bool {
    (1..=MAX_SIZE).contains(&cols) && (1..=MAX_SIZE).contains(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_the_contract_are_read() {
        assert_eq!(parse(r#"{"type":"resize","cols":80,"rows":24}"#), Ok(ClientMessage::Resize { cols: 80, rows: 24 }));
        assert_eq!(parse(r#"{"type":"ack","bytes":4294967296}"#), Ok(ClientMessage::Ack { bytes: 1 << 32 }));
        assert_eq!(parse(r#"{"type":"disconnect"}"#), Ok(ClientMessage::Disconnect));
        assert_eq!(parse(r#"{"type":"request_input"}"#), Ok(ClientMessage::RequestInput));
        let text = r#"{"type":"input","participant":"0193e6a0-0000-7000-8000-000000000001","allowed":true}"#;
        let participant = "0193e6a0-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(parse(text), Ok(ClientMessage::Input { participant, allowed: true }));
    }

    #[test]
    fn each_kind_of_bad_message_has_its_code() {
        for (text, code) in [
            ("", "malformed_message"),
            ("{", "malformed_message"),
            ("[]", "malformed_message"),
            (r#"{"type":"ack","bytes":-1}"#, "malformed_message"),
            (r#"{"type":"resize","cols":70000,"rows":24}"#, "malformed_message"),
            (r#"{"type":"input","participant":"x","allowed":true}"#, "malformed_message"),
            (r#"{"type":"shell"}"#, "unknown_message"),
            (r#"{"type":"resize","cols":0,"rows":24}"#, "invalid_size"),
            (r#"{"type":"resize","cols":80,"rows":1001}"#, "invalid_size"),
        ] {
            assert_eq!(parse(text).unwrap_err().code, code, "{text}");
        }
        assert_eq!(parse(&" ".repeat(MAX_TEXT + 1)).unwrap_err().code, "malformed_message");
    }

    #[test]
    fn absent_fields_are_left_out() {
        let exit = ServerMessage::Exit { status: Some(0), signal: None, reason: "done" };
        assert_eq!(exit.to_text(), r#"{"type":"exit","status":0,"reason":"done"}"#);
        assert_eq!(ServerMessage::notice("hello").to_text(), r#"{"type":"notice","message":"hello"}"#);
        let unrecorded = ServerMessage::no_longer_recorded().to_text();
        assert!(unrecorded.ends_with(r#""recorded":false}"#), "{unrecorded}");
    }
}
