//! What the target said: the last megabyte of it, what of it the browser has, and when to stop
//! reading more. Sans-io: no socket, no clock.
//!
//! Positions count bytes since the session began. `acknowledged ≤ sent ≤ end`, and everything from
//! `start` on is retained.
//!
//! INVARIANT: a byte that is not acknowledged is never dropped. Reading from the target stops at
//! [`CREDIT`] unacknowledged bytes, so that memory stays bounded all the same.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Unacknowledged bytes after which nothing more is sent to the browser or read from the target.
pub(super) const CREDIT: u64 = 384 * 1024;
/// Output kept for a browser that comes back.
pub(super) const RETAINED: u64 = 1024 * 1024;
/// Chunks below this are merged, so that a million echoed keys do not become a million allocations.
const SMALL: usize = 4 * 1024;
/// A block of merged chunks is closed at this size.
const BLOCK: usize = 16 * 1024;
/// Once the credit is used up, sending goes on when this much of it is free again: many small
/// messages would cost browser and hub more than they carry.
const REOPEN: u64 = 32 * 1024;
/// Most bytes of one WebSocket message.
const MESSAGE: usize = 32 * 1024;

/// The output of one session.
#[derive(Debug, Default)]
pub(super) struct Output {
    blocks: VecDeque<Bytes>,
    tail: BytesMut,
    start: u64,
    end: u64,
    sent: u64,
    acknowledged: u64,
    exhausted: bool,
    /// Up to here what is retained was replaced by what draws the same screen.
    redrawn: u64,
}

/// Where a browser that comes back continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Continuation {
    /// Position of the first byte that follows.
    pub offset: u64,
    /// The position asked for is no longer retained: the screen must be rebuilt from what is.
    pub snapshot: bool,
}

/// The retained output, shared and not copied.
#[derive(Debug)]
pub(super) struct Retained {
    /// Position of the first byte.
    pub start: u64,
    /// The bytes.
    pub blocks: Vec<Bytes>,
}

impl Output {
    /// Adds what the target said.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.end += chunk.len() as u64;
        if chunk.len() < SMALL {
            self.tail.extend_from_slice(&chunk);
            if self.tail.len() >= BLOCK {
                self.close_block();
            }
        } else {
            self.close_block();
            self.blocks.push_back(chunk);
        }
        self.trim();
    }

    fn close_block(&mut self) {
        if !self.tail.is_empty() {
            self.blocks.push_back(self.tail.split().freeze());
        }
    }

    fn trim(&mut self) {
        while let Some(first) = self.blocks.front() {
            let after = self.start + first.len() as u64;
            if self.end - after < RETAINED || after > self.acknowledged {
                return;
            }
            self.start = after;
            self.blocks.pop_front();
        }
    }

    /// Whether the target may be read: less than the credit is unacknowledged. While input is
    /// stuck a little more is read, because a target that cannot speak may not listen either, and
    /// acknowledgements wait behind that input.
    pub(super) fn may_read(&self, input_is_stuck: bool) -> bool {
        self.end - self.acknowledged < if input_is_stuck { RETAINED } else { CREDIT }
    }

    /// Whether there is something to send and credit for it.
    pub(super) fn may_send(&self) -> bool {
        self.sent < self.end && !self.exhausted && self.sent - self.acknowledged < CREDIT
    }

    /// Whether the browser was sent everything.
    pub(super) fn is_drained(&self) -> bool {
        self.sent == self.end
    }

    /// The next message for the browser, within the credit; counts it as sent.
    pub(super) fn next_message(&mut self) -> Option<Bytes> {
        if !self.may_send() {
            return None;
        }
        let credit = CREDIT - (self.sent - self.acknowledged);
        let limit = usize::try_from(credit.min(self.end - self.sent)).unwrap_or(MESSAGE).min(MESSAGE);
        let message = self.read(self.sent, limit);
        self.sent += message.len() as u64;
        self.exhausted = self.sent - self.acknowledged >= CREDIT;
        Some(message)
    }

    /// Up to `limit` bytes from `position`. One block is shared, several small ones are joined.
    fn read(&self, position: u64, limit: usize) -> Bytes {
        let mut skip = usize::try_from(position - self.start).unwrap_or(usize::MAX);
        let mut joined = BytesMut::new();
        for block in &self.blocks {
            if skip >= block.len() {
                skip -= block.len();
                continue;
            }
            let wanted = limit - joined.len();
            let part = block.slice(skip..block.len().min(skip.saturating_add(wanted)));
            skip = 0;
            if joined.is_empty() && (part.len() == limit || part.len() >= BLOCK / 2) {
                return part;
            }
            joined.extend_from_slice(&part);
            if joined.len() == limit {
                return joined.freeze();
            }
        }
        let rest = self.tail.get(skip..).unwrap_or_default();
        joined.extend_from_slice(&rest[..rest.len().min(limit - joined.len())]);
        joined.freeze()
    }

    /// The browser has parsed everything up to `position`. Going back or beyond what was sent is
    /// ignored: neither can be true.
    pub(super) fn acknowledge(&mut self, position: u64) {
        if position <= self.sent {
            self.acknowledged = self.acknowledged.max(position);
            if CREDIT.saturating_sub(self.sent - self.acknowledged) >= REOPEN {
                self.exhausted = false;
            }
        }
    }

    /// Whether what follows this position is retained, as it was said.
    pub(super) fn has(&self, offset: u64) -> bool {
        (self.start.max(self.redrawn)..=self.end).contains(&offset)
    }

    /// Replaces what is retained before `at` by what draws the screen as it was there, for a browser
    /// that needs the whole screen. Nobody may be attached. `false` when that is not possible.
    pub(super) fn redraw(&mut self, at: u64, drawn: Bytes) -> bool {
        let length = drawn.len() as u64;
        if !(self.start..=self.end).contains(&at) || length > at || length == 0 {
            return false;
        }
        self.close_block();
        let mut position = self.start;
        let mut blocks = VecDeque::from([drawn]);
        for block in &self.blocks {
            let past = usize::try_from(at.saturating_sub(position)).unwrap_or(usize::MAX).min(block.len());
            if past < block.len() {
                blocks.push_back(block.slice(past..));
            }
            position += block.len() as u64;
        }
        self.blocks = blocks;
        self.start = at - length;
        self.redrawn = at;
        true
    }

    /// A browser comes (back) and has everything up to `offset`.
    pub(super) fn attach(&mut self, offset: u64) -> Continuation {
        let continuation = if self.has(offset) {
            Continuation { offset, snapshot: false }
        } else {
            Continuation { offset: self.clean_start(), snapshot: true }
        };
        self.sent = continuation.offset;
        self.acknowledged = continuation.offset;
        self.exhausted = false;
        continuation
    }

    /// Position of the first byte that is retained.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Position after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that were sent and are not acknowledged.
    pub(super) fn in_flight(&self) -> u64 {
        self.sent - self.acknowledged
    }

    /// Bytes that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Forgets what was not sent: something else follows in its place.
    pub(super) fn drop_unsent(&mut self) {
        self.blocks.clear();
        self.tail.clear();
        (self.start, self.end) = (self.sent, self.sent);
    }

    /// What is retained, from a line's beginning on where that is possible.
    pub(super) fn retained(&self) -> Retained {
        let start = self.clean_start();
        let mut skip = usize::try_from(start - self.start).unwrap_or(usize::MAX);
        let mut blocks = Vec::with_capacity(self.blocks.len() + 1);
        for block in &self.blocks {
            let from = skip.min(block.len());
            skip -= from;
            blocks.push(block.slice(from..));
        }
        blocks.push(Bytes::copy_from_slice(self.tail.get(skip..).unwrap_or_default()));
        blocks.retain(|block| !block.is_empty());
        Retained { start, blocks }
    }

    /// Where the retained output can be read from: its start where that is the session's or draws a
    /// screen; else after a line end, so that a replay does not begin inside an escape sequence or a
    /// character.
    fn clean_start(&self) -> u64 {
        if self.start == 0 || self.start < self.redrawn {
            return self.start;
        }
        let mut position = self.start;
        for block in self.blocks.iter().map(|block| &block[..]).chain([&self.tail[..]]) {
            if let Some(at) = block.iter().position(|byte| *byte == b'\n') {
                return position + at as u64 + 1;
            }
            position += block.len() as u64;
        }
        self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(from: u64, length: usize) -> Bytes {
        (from..from + length as u64).map(|position| (position % 251) as u8).collect::<Vec<_>>().into()
    }

    fn send_all(output: &mut Output) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(message) = output.next_message() {
            assert!(!message.is_empty() && message.len() <= MESSAGE);
            sent.extend_from_slice(&message);
        }
        sent
    }

    #[test]
    fn a_browser_that_never_acknowledges_gets_exactly_the_credit() {
        let mut output = Output::default();
        while output.may_read(false) {
            output.push(pattern(output.end, 30_000));
        }
        assert_eq!(send_all(&mut output).len() as u64, CREDIT);
        assert!(!output.may_send());
        output.acknowledge(1_000);
        assert!(!output.may_send(), "a thousand bytes are not worth a message");
        output.acknowledge(REOPEN);
        assert!(output.may_send());
    }

    #[test]
    fn bytes_arrive_in_order_whatever_the_size_of_chunks() {
        let mut output = Output::default();
        let mut received = Vec::new();
        for length in [1, 5, 4_095, 4_096, 9_000, 2, 70_000, 3, 1] {
            output.push(pattern(output.end, length));
            received.extend(send_all(&mut output));
            output.acknowledge(received.len() as u64);
        }
        assert_eq!(received, pattern(0, received.len()));
        assert_eq!(received.len() as u64, output.end);
        assert!(output.is_drained());
    }

    #[test]
    fn a_resume_neither_loses_nor_repeats_a_byte() {
        let mut output = Output::default();
        for _ in 0..40 {
            output.push(pattern(output.end, 333));
        }
        let all = send_all(&mut output);
        assert_eq!(output.attach(5_000), Continuation { offset: 5_000, snapshot: false });
        output.push(pattern(output.end, 100));
        let again = send_all(&mut output);
        assert_eq!(&again[..all.len() - 5_000], &all[5_000..]);
        assert_eq!(again.len(), all.len() - 5_000 + 100);
    }

    #[test]
    fn retained_memory_is_bounded_and_a_lost_offset_is_a_snapshot() {
        let mut output = Output::default();
        for _ in 0..1_000 {
            output.push(Bytes::from(vec![b'x'; 10_000]));
            send_all(&mut output);
            output.acknowledge(output.end);
            assert!(output.end - output.start <= RETAINED + 10_000);
        }
        let continuation = output.attach(0);
        assert!(continuation.snapshot);
        assert_eq!(continuation.offset, output.start);
        assert!(output.attach(output.end + 1).snapshot, "a position from the future is not ours");
    }

    #[test]
    fn unacknowledged_output_is_never_dropped() {
        let mut output = Output::default();
        for _ in 0..300 {
            output.push(pattern(output.end, 10_000));
        }
        assert_eq!(output.start, 0);
        assert_eq!(&send_all(&mut output)[..], &pattern(0, CREDIT as usize)[..]);
    }

    #[test]
    fn a_snapshot_begins_after_a_line_end() {
        let mut output = Output::default();
        output.push(Bytes::from_static(b"0123456789abcdef\nprompt"));
        for _ in 0..120 {
            output.push(Bytes::from(b"half\nwhole line of text\n".repeat(500)));
            send_all(&mut output);
            output.acknowledge(output.end);
        }
        let continuation = output.attach(0);
        assert!(continuation.snapshot);
        assert!(output.next_message().unwrap().starts_with(b"whole"));
    }

    #[test]
    fn impossible_acknowledgements_are_ignored() {
        let mut output = Output::default();
        output.push(pattern(0, 100));
        output.acknowledge(u64::MAX);
        assert_eq!(output.acknowledged, 0);
        send_all(&mut output);
        output.acknowledge(100);
        output.acknowledge(50);
        assert_eq!(output.acknowledged, 100);
    }

    #[test]
    fn small_chunks_do_not_cost_a_block_each() {
        let mut output = Output::default();
        for _ in 0..100_000 {
            output.push(Bytes::from_static(b"k"));
        }
        assert!(output.blocks.len() <= 100_000 / BLOCK + 1, "{} blocks", output.blocks.len());
    }

    #[test]
    fn what_is_retained_is_shared_and_begins_with_a_line() {
        let mut output = Output::default();
        output.push(Bytes::from_static(b"first\n"));
        let retained = output.retained();
        assert_eq!((retained.start, retained.blocks.concat()), (0, b"first\n".to_vec()));
        for _ in 0..200 {
            output.push(Bytes::from(b"half\nwhole line of text\n".repeat(500)));
            send_all(&mut output);
            output.acknowledge(output.end);
        }
        output.push(Bytes::from_static(b"the end"));
        let retained = output.retained();
        let bytes = retained.blocks.concat();
        assert!(retained.start > 0 && bytes.starts_with(b"whole") && bytes.ends_with(b"the end"));
        assert_eq!(retained.start + bytes.len() as u64, output.end());
    }

    #[test]
    fn what_was_not_sent_is_dropped_and_positions_go_on() {
        let mut output = Output::default();
        while output.may_read(false) {
            output.push(pattern(output.end, 30_000));
        }
        let sent = send_all(&mut output).len() as u64;
        output.push(pattern(output.end, 50_000));
        output.drop_unsent();
        assert_eq!((output.end(), output.in_flight()), (sent, sent));
        output.push(Bytes::from_static(b"anew"));
        assert!(output.next_message().is_none(), "there is no credit yet");
        output.acknowledge(sent);
        assert_eq!(&send_all(&mut output)[..], b"anew");
    }

    #[test]
    fn a_screen_that_was_drawn_takes_the_place_of_what_it_shows() {
        let mut output = Output::default();
        for _ in 0..300 {
            output.push(Bytes::from(vec![b'x'; 10_000]));
            send_all(&mut output);
            output.acknowledge(output.end);
        }
        let (at, stale) = (output.end, output.end - 5_000);
        output.push(Bytes::from_static(b"later"));
        assert!(!output.redraw(at + 100, Bytes::from_static(b"S")), "a position that is not there yet");
        assert!(output.redraw(at, Bytes::from_static(b"the whole\nSCREEN ")));
        let continuation = output.attach(0);
        assert_eq!(continuation, Continuation { offset: at - 17, snapshot: true });
        assert_eq!(&send_all(&mut output)[..], b"the whole\nSCREEN later");
        assert_eq!(output.retained().blocks.concat(), b"the whole\nSCREEN later");
        // Who has a part of what was said before the screen cannot go on inside of it.
        assert!(!output.has(stale) && output.attach(stale).snapshot);
        assert_eq!(output.attach(at + 2), Continuation { offset: at + 2, snapshot: false });
        assert_eq!(&send_all(&mut output)[..], b"ter");
    }
}
