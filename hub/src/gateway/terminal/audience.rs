//! Who watches or joins a session, as the task that carries it sees them.
//!
//! INVARIANTS: nobody here makes the session wait: what a participant has no room for is not kept, and
//! they get a fresh screen when they are back. Where nobody watches, output costs one comparison. What
//! a participant types reaches the target only while the session's person allows it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use openpam_ids::ParticipantId;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    messages::{InputRight, Joined, MessageError, NOBODY_ASKS, ServerMessage},
    output::{Output, Retained},
    screen::Sizes,
    socket::Socket,
    typing::{self, Typed, Typing},
};
use crate::domains::{
    recordings::Recorder,
    sessions::{End, Leave, LiveParticipant, ParticipantKind},
};

/// Bytes that may wait for a participant's task.
const WAITING_BYTES: usize = 512 * 1024;
/// Pieces that may wait for it.
const WAITING: usize = 256;
/// What a participant's task is told while the session goes on. When it hears no more, it fell behind.
#[derive(Debug, Clone)]
pub(super) enum Feed {
    /// The target said this.
    Output(Bytes),
    /// The terminal has another size.
    Size(u16, u16),
    /// A message for their socket.
    Told(Utf8Bytes),
}

/// What waits for a participant's task.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// The task took something of this size.
    pub(super) fn took(&self, item: &Feed) {
        self.0.fetch_sub(item.size(), Ordering::Relaxed);
    }
}

impl Feed {
    fn size(&self) -> usize {
        match self {
            Self::Output(bytes) => bytes.len(),
            Self::Size(..) => 0,
            Self::Told(text) => text.len(),
        }
    }
}

/// Whether a participant may type, as the session's person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Consent {
    /// Grows with each decision.
    pub decision: u64,
    pub allowed: bool,
    /// Not their decision: their browser is gone.
    pub person_left: bool,
}

/// What a participant says to the session's task.
#[derive(Debug)]
pub(super) enum Said {
    /// They ask to type.
    AsksToType,
    /// That they may type, by this decision, stands in the trail.
    Written(u64),
    /// It could not be written.
    NotWritten(u64),
    /// They have left.
    Left,
}

/// A participant's wish to see the screen and what follows.
pub(super) struct Subscription {
    pub participant: Arc<LiveParticipant>,
    /// Whether the session's person is told.
    pub visible: bool,
    /// Where to tell of consent; the first time only.
    pub consent: Option<watch::Sender<Consent>>,
    pub answer: oneshot::Sender<View>,
}

/// What they see first, and where the rest comes.
pub(super) struct View {
    pub retained: Retained,
    pub sizes: Sizes,
    pub recorded: bool,
    pub feed: mpsc::Receiver<Feed>,
    pub waiting: Waiting,
    /// Where they type.
    pub typing: mpsc::Sender<Typed>,
}

/// What the screen is drawn from, for a browser that comes back too late for what it missed.
pub(super) struct Lacks {
    pub retained: Retained,
    pub sizes: Sizes,
    /// Position after the last byte.
    pub at: u64,
}

struct Member {
    participant: Arc<LiveParticipant>,
    visible: bool,
    feed: Option<mpsc::Sender<Feed>>,
    waiting: Waiting,
    consent: watch::Sender<Consent>,
    right: InputRight,
    /// What was allowed stands in the trail.
    written: bool,
    /// What they typed and has not gone on.
    typing: Typing,
}

impl Member {
    fn offer(&mut self, item: Feed) {
        let Some(feed) = &self.feed else { return };
        let size = item.size();
        let waiting = self.waiting.0.fetch_add(size, Ordering::Relaxed) + size;
        if waiting > WAITING_BYTES || feed.try_send(item).is_err() {
            self.feed = None;
        }
    }

    fn may_type(&self, decision: u64) -> bool {
        self.right == InputRight::Granted && self.written && self.consent.borrow().decision == decision
    }

    fn decide(&mut self, allowed: bool, person_left: bool) {
        self.right = if allowed { InputRight::Granted } else { InputRight::None };
        self.written = false;
        self.consent.send_modify(|consent| {
            *consent = Consent { decision: consent.decision + 1, allowed, person_left };
        });
    }
}

/// What of the session's task the audience needs.
pub(super) struct Room<'a> {
    pub output: &'a Output,
    pub recorder: Option<&'a mut Box<Recorder>>,
    pub socket: Option<&'a mut Socket>,
}

impl Room<'_> {
    fn mark(&mut self, label: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.mark(label);
        }
    }
}

/// Everybody who watches or joins one session.
pub(super) struct Audience {
    members: Vec<Member>,
    sizes: Sizes,
    /// Whose turn to type it is.
    turn: usize,
    /// Who typed last; `None` for the session's person.
    typist: Option<ParticipantId>,
    /// Bytes that participants typed.
    typed_bytes: u64,
}

impl Audience {
    pub(super) fn new(size: (u16, u16)) -> Self {
        Self { members: Vec::new(), sizes: Sizes::new(size), turn: 0, typist: None, typed_bytes: 0 }
    }

    /// Bytes that participants typed so far.
    pub(super) fn typed_bytes(&self) -> u64 {
        self.typed_bytes
    }

    /// Shows what the target said.
    #[inline]
    pub(super) fn output(&mut self, bytes: &Bytes) {
        if !self.members.is_empty() {
            self.offer(&Feed::Output(bytes.clone()));
        }
    }

    /// The terminal has another size.
    pub(super) fn resized(&mut self, output: &Output, cols: u16, rows: u16) {
        if self.sizes.last() != (cols, rows) {
            self.sizes.change(output.end(), (cols, rows), output.start());
            self.offer(&Feed::Size(cols, rows));
        }
    }

    fn offer(&mut self, item: &Feed) {
        for member in &mut self.members {
            member.offer(item.clone());
        }
    }

    /// What the target said before `at` is replaced by what draws the screen.
    pub(super) fn redrawn(&mut self, at: u64) {
        self.sizes.redrawn(at);
    }

    /// What a browser lacks that has everything up to this position: the whole screen, where that is
    /// no longer retained.
    pub(super) fn lacks(&self, offset: u64, output: &Output) -> Option<Lacks> {
        // Nobody has what was not said yet: whoever claims to is not drawn a screen for it.
        (!output.has(offset) && offset <= output.end()).then(|| Lacks {
            retained: output.retained(),
            sizes: self.sizes.clone(),
            at: output.end(),
        })
    }

    /// Says something to everybody.
    pub(super) fn tell(&mut self, message: &ServerMessage<'_>) {
        if !self.members.is_empty() {
            self.offer(&Feed::Told(message.to_text().into()));
        }
    }

    /// Whether somebody beside the session's person may type.
    pub(super) fn somebody_types(&self) -> bool {
        self.members.iter().any(|member| member.right == InputRight::Granted && member.written)
    }

    /// A piece of what somebody typed, each of them in turn. Never returns where nobody types. Cancel safe.
    pub(super) async fn next_typed(&mut self) -> (ParticipantId, Typed) {
        let Self { members, turn, .. } = self;
        let (at, typed) = typing::next(members, |member| &mut member.typing, turn).await;
        (members[at].participant.id, typed)
    }

    /// The bytes, when whoever typed them may type: the recording then says who it is.
    pub(super) fn admit(&mut self, who: ParticipantId, typed: Typed, room: &mut Room<'_>) -> Option<Bytes> {
        let member = self.members.iter_mut().find(|member| member.participant.id == who)?;
        if !member.may_type(typed.decision) {
            // The piece was the head of the rest, if there is one.
            member.typing.forget_rest();
            return None;
        }
        if self.typist != Some(who) {
            self.typist = Some(who);
            room.mark(&format!("{} types", member.participant.name()));
        }
        member.participant.count_sent(typed.bytes.len());
        self.typed_bytes += typed.bytes.len() as u64;
        Some(typed.bytes)
    }

    /// The session's person types: the recording says so where somebody else did before.
    #[inline]
    pub(super) fn person_types(&mut self, name: &str, recorder: Option<&mut Box<Recorder>>) {
        if self.typist.take().is_some()
            && let Some(recorder) = recorder
        {
            recorder.mark(&format!("{name} types"));
        }
    }

    /// Somebody wants to see the screen and what follows: for the first time, or again.
    pub(super) fn subscribe(&mut self, subscription: Subscription, room: &mut Room<'_>) {
        let Subscription { participant, visible, consent, answer } = subscription;
        let (feed, receiver) = mpsc::channel(WAITING);
        let waiting = Waiting::default();
        let known = self.members.iter().position(|member| member.participant.id == participant.id);
        let fresh = Typing::new();
        let door = known.map_or(&fresh, |at| &self.members[at].typing).door();
        let view = View {
            retained: room.output.retained(),
            sizes: self.sizes.clone(),
            recorded: room.recorder.is_some(),
            feed: receiver,
            waiting: waiting.clone(),
            typing: door,
        };
        if answer.send(view).is_err() {
            return;
        }
        if let Some(at) = known {
            let member = &mut self.members[at];
            (member.feed, member.waiting) = (Some(feed), waiting);
        } else if let Some(consent) = consent {
            if visible {
                let comes = if participant.kind == ParticipantKind::Join { "joined" } else { "watches" };
                room.mark(&format!("{} {comes}", participant.name()));
            }
            let right = InputRight::None;
            let feed = Some(feed);
            self.members.push(Member {
                participant,
                visible,
                feed,
                waiting,
                consent,
                right,
                written: false,
                typing: fresh,
            });
            if visible {
                self.tell_participants(room);
            } else {
                // INVARIANT: who is not to be seen leaves no trace, not even a message that says nothing.
                let message = self.participants();
                if let Some(member) = self.members.last_mut() {
                    member.offer(Feed::Told(message));
                }
            }
        }
    }

    /// A participant says something.
    pub(super) fn on_said(&mut self, id: ParticipantId, said: &Said, room: &mut Room<'_>) {
        let Some(at) = self.members.iter().position(|member| member.participant.id == id) else { return };
        let member = &mut self.members[at];
        let decision = member.consent.borrow().decision;
        match said {
            Said::AsksToType if member.right == InputRight::None => member.right = InputRight::Asked,
            Said::Written(of) if *of == decision && member.right == InputRight::Granted => member.written = true,
            Said::NotWritten(of) if *of == decision => member.right = InputRight::None,
            Said::AsksToType | Said::Written(_) | Said::NotWritten(_) => return,
            Said::Left => {
                let member = self.members.swap_remove(at);
                if !member.visible {
                    return;
                }
                let goes = if member.participant.kind == ParticipantKind::Join { "left" } else { "no longer watches" };
                room.mark(&format!("{} {goes}", member.participant.name()));
            }
        }
        self.tell_participants(room);
    }

    /// The session's person answers who asks to type, or takes back what they allowed.
    ///
    /// # Errors
    /// When nobody of that name asks or types.
    pub(super) fn decide(&mut self, id: ParticipantId, allowed: bool, room: &mut Room<'_>) -> Result<(), MessageError> {
        let member = self.members.iter_mut().find(|member| member.participant.id == id).ok_or(NOBODY_ASKS)?;
        match (member.right, allowed) {
            // INVARIANT: only who asked is given the right: a person who did not ask must not find
            // that their keys go to somebody else's target.
            (InputRight::Asked, _) | (InputRight::Granted, false) => member.decide(allowed, false),
            (InputRight::Granted, true) => return Ok(()),
            (InputRight::None, _) => return Err(NOBODY_ASKS),
        }
        self.tell_participants(room);
        Ok(())
    }

    /// The browser of the session's person is gone: whoever they let type may no longer.
    pub(super) fn person_left(&mut self) {
        let mut changed = false;
        for member in self.members.iter_mut().filter(|member| member.right == InputRight::Granted) {
            member.decide(false, true);
            changed = true;
        }
        if changed {
            let message = self.participants();
            self.offer(&Feed::Told(message));
        }
    }

    /// The session is over.
    pub(super) fn end(&mut self, end: &End) {
        // Who watches is still signed in.
        let end = match end {
            End::Expired { code: "signed_out", .. } => {
                &End::access_ended("session_ended", "The session ended: its person was signed out.")
            }
            end => end,
        };
        for member in self.members.drain(..) {
            member.participant.request_leave(Leave::SessionEnded(end.clone()));
        }
    }

    /// Says who is there to the session's person, where somebody is.
    pub(super) fn introduce(&self, socket: &mut Socket) {
        if self.members.iter().any(|member| member.visible) {
            socket.queue_text(self.participants());
        }
    }

    fn tell_participants(&mut self, room: &mut Room<'_>) {
        let message = self.participants();
        if let Some(socket) = &mut room.socket {
            socket.queue_text(message.clone());
        }
        self.offer(&Feed::Told(message));
    }

    fn participants(&self) -> Utf8Bytes {
        let of = |kind| self.members.iter().filter(move |member| member.visible && member.participant.kind == kind);
        let watching = of(ParticipantKind::Watch).map(|member| member.participant.name()).collect();
        let joined = of(ParticipantKind::Join)
            .map(|member| Joined {
                participant: member.participant.id,
                name: member.participant.name(),
                input: match member.right {
                    InputRight::Granted if !member.written => InputRight::Asked,
                    right => right,
                },
            })
            .collect();
        ServerMessage::Participants { watching, joined }.to_text().into()
    }
}
