//! What guests type, on its way to the session: each at their own pace, and in turn.
//!
//! INVARIANT: a guest holds up neither the session nor other guests, and has at most
//! 3 × [`MAX_WAITING`] bytes waiting.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Bytes of a guest that may wait; so many may come in one message, too.
pub(super) const MAX_WAITING: usize = 64 * 1024;
/// What a guest typed goes on in pieces of at most this size, each taking its time: what the target has is
/// out of the reach of who takes the right back.
const PIECE: usize = 512;
const BYTES_PER_SECOND: u32 = 8 * 1024;
/// Where something was refused nothing is taken until nothing came for so long: what follows at once belongs to it.
const QUIET: Duration = Duration::from_secs(1);

/// What somebody typed, by which decision.
#[derive(Debug)]
pub(super) struct Typed {
    pub decision: u64,
    pub bytes: Bytes,
}

/// What a guest's task keeps while the session has no room for it.
#[derive(Debug, Default)]
pub(super) struct Parked {
    bytes: BytesMut,
    decision: u64,
    /// Something was refused, and so is all that follows before that.
    refusing_until: Option<Instant>,
}

/// What becomes of a message of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parking {
    Taken,
    /// There is no room for it: none of it goes on.
    Refused,
    /// So it was before, and they were told.
    RefusedAgain,
}

impl Parked {
    /// Takes a message, whole or not at all.
    pub(super) fn take(&mut self, decision: u64, bytes: &[u8], now: Instant) -> Parking {
        if self.decision != decision {
            self.forget();
            self.decision = decision;
        }
        if self.refusing_until.is_some_and(|until| now < until) {
            self.refusing_until = Some(now + QUIET);
            return Parking::RefusedAgain;
        }
        self.refusing_until = None;
        if bytes.len() > MAX_WAITING - self.bytes.len() {
            self.refusing_until = (!self.bytes.is_empty()).then(|| now + QUIET);
            return Parking::Refused;
        }
        self.bytes.extend_from_slice(bytes);
        Parking::Taken
    }

    /// What the session has no room for, and the right to type is taken back.
    pub(super) fn forget(&mut self) {
        self.bytes = BytesMut::new();
        self.refusing_until = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Hands over what waits, if there is room for it.
    pub(super) fn hand_over(&mut self, way: &mpsc::Sender<Typed>) {
        if !self.bytes.is_empty()
            && let Ok(room) = way.try_reserve()
        {
            room.send(Typed { decision: self.decision, bytes: std::mem::take(&mut self.bytes).freeze() });
        }
    }
}

/// What one guest typed, as the session's task has it.
#[derive(Debug)]
pub(super) struct Typing {
    /// Kept, so that the way never closes.
    door: mpsc::Sender<Typed>,
    way: mpsc::Receiver<Typed>,
    /// What of it is to go on yet, and when.
    rest: Option<Typed>,
    next_at: Instant,
}

impl Typing {
    pub(super) fn new() -> Self {
        let (door, way) = mpsc::channel(1);
        Self { door, way, rest: None, next_at: Instant::now() }
    }

    /// Where the guest types.
    pub(super) fn door(&self) -> mpsc::Sender<Typed> {
        self.door.clone()
    }

    /// What was typed and has not gone on goes nowhere.
    pub(super) fn forget_rest(&mut self) {
        self.rest = None;
    }

    /// The next piece, where there is one and its time has come.
    fn poll_piece(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<Typed> {
        if self.rest.is_none()
            && let Poll::Ready(typed) = self.way.poll_recv(cx)
        {
            self.rest = typed;
        }
        let rest = self.rest.as_mut().filter(|_| self.next_at <= now)?;
        let bytes = rest.bytes.split_to(rest.bytes.len().min(PIECE));
        let decision = rest.decision;
        if rest.bytes.is_empty() {
            self.rest = None;
        }
        self.next_at = now + Duration::from_secs(1) * u32::try_from(bytes.len()).unwrap_or(u32::MAX) / BYTES_PER_SECOND;
        Some(Typed { decision, bytes })
    }
}

/// The next piece of somebody, and their position: after each piece it is the next one's turn. Never returns
/// where nobody types. Cancel safe: everything is in `guests`.
pub(super) async fn next<G>(
    guests: &mut [G],
    typing: impl Fn(&mut G) -> &mut Typing,
    turn: &mut usize,
) -> (usize, Typed) {
    let mut alarm = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let now = Instant::now();
            let mut due: Option<Instant> = None;
            let (count, first) = (guests.len(), *turn);
            for at in (0..count).map(|place| (first + place) % count) {
                let typing = typing(&mut guests[at]);
                if let Some(piece) = typing.poll_piece(cx, now) {
                    *turn = at + 1;
                    return Poll::Ready((at, piece));
                }
                if typing.rest.is_some() {
                    due = Some(due.map_or(typing.next_at, |due| due.min(typing.next_at)));
                }
            }
            let Some(due) = due else { return Poll::Pending };
            alarm.as_mut().reset(due);
            ready!(alarm.as_mut().poll(cx));
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(decision: u64, typed: &[u8]) -> Typing {
        let guest = Typing::new();
        let mut parked = Parked::default();
        assert_eq!(parked.take(decision, typed, Instant::now()), Parking::Taken);
        parked.hand_over(&guest.door());
        guest
    }

    #[tokio::test(start_paused = true)]
    async fn guests_take_turns_and_each_has_their_own_pace() {
        let mut guests = [guest(1, &[b'a'; 8 * 1024]), guest(2, &[b'b'; 2 * 1024])];
        let (mut turn, began) = (0, Instant::now());
        let mut last = [began; 2];
        let mut order = Vec::new();
        for _ in 0..20 {
            let (at, piece) = next(&mut guests, |guest| guest, &mut turn).await;
            assert!(piece.bytes.len() <= PIECE && piece.decision == at as u64 + 1);
            order.push(at);
            last[at] = Instant::now();
        }
        assert_eq!(order[..8], [0, 1, 0, 1, 0, 1, 0, 1], "one waits for the other's paste");
        assert_eq!(order.iter().filter(|at| **at == 1).count(), 4);
        // 8 KiB a second each, whoever else types; the last piece needs no more time.
        for (at, kib) in [(0, 8), (1, 2)] {
            let took = last[at] - began;
            let most = Duration::from_millis(1000 * kib / 8);
            assert!(took <= most && took >= most.mul_f64(0.7), "guest {at} took {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_types_while_anothers_paste_takes_its_time_does_not_wait_for_it() {
        let mut guests = [guest(1, &[b'a'; 4 * 1024]), Typing::new()];
        let mut turn = 0;
        assert_eq!(next(&mut guests, |guest| guest, &mut turn).await.0, 0);
        let door = guests[1].door();
        let typing = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            door.try_send(Typed { decision: 1, bytes: Bytes::from_static(b"x") }).unwrap();
            Instant::now()
        };
        let (typed_at, (at, piece)) = tokio::join!(typing, next(&mut guests, |guest| guest, &mut turn));
        assert_eq!((at, &piece.bytes[..], Instant::now() - typed_at), (1, &b"x"[..], Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_is_not_awaited_to_its_end_is_not_lost() {
        let mut guests = [guest(1, &[b'a'; 1024])];
        let mut turn = 0;
        next(&mut guests, |guest| guest, &mut turn).await;
        let hurry = tokio::time::timeout(Duration::from_millis(1), next(&mut guests, |guest| guest, &mut turn));
        assert!(hurry.await.is_err(), "the second piece came before its time");
        assert_eq!(next(&mut guests, |guest| guest, &mut turn).await.1.bytes.len(), 512);
    }

    #[test]
    fn what_has_no_room_is_refused_whole_with_all_that_follows_it() {
        let guest = Typing::new();
        let mut parked = Parked::default();
        let now = Instant::now();
        let take = |parked: &mut Parked, decision, bytes: &[u8], millis| {
            parked.take(decision, bytes, now + Duration::from_millis(millis))
        };
        assert_eq!(take(&mut parked, 1, &vec![0; MAX_WAITING + 1], 0), Parking::Refused, "one that is too large alone");
        assert_eq!(take(&mut parked, 1, &vec![0; MAX_WAITING - 1], 0), Parking::Taken, "the next is another one");
        assert_eq!(take(&mut parked, 1, b"ab", 0), Parking::Refused);
        assert_eq!(take(&mut parked, 1, b"c", 0), Parking::RefusedAgain, "a gap in a paste");
        parked.hand_over(&guest.door());
        assert!(parked.is_empty());
        // There is room again; what follows belongs to what was refused all the same.
        assert_eq!(take(&mut parked, 1, b"d", 900), Parking::RefusedAgain, "a gap in a slow paste");
        assert_eq!(take(&mut parked, 1, b"e", 1_800), Parking::RefusedAgain);
        assert_eq!(take(&mut parked, 1, b"f", 2_900), Parking::Taken, "after a second without any");
        parked.hand_over(&guest.door());
        assert!(!parked.is_empty(), "the session took a second message before the first");
        assert_eq!(take(&mut parked, 2, b"e", 2_900), Parking::Taken, "by another decision");
        assert_eq!(&parked.bytes[..], b"e", "what was typed by the decision before goes on");
    }
}
