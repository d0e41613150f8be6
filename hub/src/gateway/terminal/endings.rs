//! When a session's time is over, and what its person hears before: no I/O, the clock is passed in.

use std::time::Duration;

use tokio::time::Instant;

use super::{messages::NoticeCode, session::Limits};
use crate::domains::sessions::End;

/// What is said before the longest time that the session may last.
const ANNOUNCEMENTS: [(Duration, &str); 2] = [
    (Duration::from_secs(300), "This session ends in 5 minutes: its maximum duration is reached."),
    (Duration::from_secs(60), "This session ends in 1 minute: its maximum duration is reached."),
];

/// The same to a browser that came after an announcement.
const SOON: &str = "This session is about to end: its maximum duration is reached.";

/// How long before the end of a session in which nobody types its person is asked for a key; where a
/// session may be idle for less than twice that, half of it.
const IDLE_WARNING: Duration = Duration::from_secs(60);

/// What is due.
#[derive(Debug, PartialEq)]
pub(super) enum Due {
    End(End),
    /// Something to say about an end at that time.
    Say(&'static str, Option<NoticeCode>, Instant),
}

/// The ends that time brings to one session.
#[derive(Debug)]
pub(super) struct Endings {
    limits: Limits,
    begun: Instant,
    last_key: Instant,
    /// How many of the [`ANNOUNCEMENTS`] were made.
    announced: usize,
    /// The person was told that they type nothing, and has typed nothing since.
    warned: bool,
    /// Something was announced to a browser that is not there any more.
    unheard: bool,
}

impl Endings {
    pub(super) const fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, begun: now, last_key: now, announced: 0, warned: false, unheard: false }
    }

    /// The person pressed a key; `true` when a warning about idleness is over with it.
    pub(super) fn key(&mut self, now: Instant) -> bool {
        self.last_key = now;
        std::mem::take(&mut self.warned)
    }

    /// A browser came that has heard nothing yet.
    pub(super) const fn say_again(&mut self) {
        self.warned = false;
        self.unheard = self.announced > 0;
    }

    fn ends(&self) -> Instant {
        self.begun + self.limits.duration
    }

    fn idle_end(&self) -> Instant {
        self.last_key + self.limits.idle
    }

    fn warning(&self) -> Instant {
        self.last_key + self.limits.idle.saturating_sub(IDLE_WARNING).max(self.limits.idle / 2)
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Instant {
        let announcement = ANNOUNCEMENTS.get(self.announced).and_then(|(before, _)| self.ends().checked_sub(*before));
        if self.unheard {
            return self.begun;
        }
        let idle = if self.warned { self.idle_end() } else { self.warning() };
        [Some(idle), announcement].into_iter().flatten().fold(self.ends(), Instant::min)
    }

    /// What is due now; to be asked again until nothing is.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let (ends, idle_end) = (self.ends(), self.idle_end());
        if now >= ends {
            return Some(Due::End(End::max_duration()));
        }
        if now >= idle_end {
            return Some(Due::End(End::idle(self.limits.idle)));
        }
        while let Some((before, message)) = ANNOUNCEMENTS.get(self.announced)
            && ends.checked_sub(*before).is_none_or(|at| now >= at)
        {
            self.announced += 1;
            // A session shorter than the announcement needs none this early.
            if self.limits.duration > *before {
                self.unheard = false;
                return Some(Due::Say(message, None, ends));
            }
        }
        if std::mem::take(&mut self.unheard) {
            return Some(Due::Say(SOON, None, ends));
        }
        // Who is about to lose the session anyway is not asked for a key that would not help.
        if !self.warned && now >= self.warning() {
            self.warned = true;
            if idle_end < ends {
                let message = "Nothing was typed for a while: this session is about to end. Press a key to keep it.";
                return Some(Due::Say(message, Some(NoticeCode::IdleSoon), idle_end));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endings(idle: u64, duration: u64, now: Instant) -> Endings {
        let [idle, duration, grace, keepalive] = [idle, duration, 120, 15].map(Duration::from_secs);
        Endings::new(Limits { idle, duration, grace, keepalive }, now)
    }

    /// Everything that is said until the end, with the second in which it is.
    fn story(endings: &mut Endings, begun: Instant, keys: &[u64]) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        for second in 0..10_000 {
            let now = begun + Duration::from_secs(second);
            if keys.contains(&second) && endings.key(now) {
                told.push((second, "kept".to_owned()));
            }
            while let Some(due) = endings.due(now) {
                match due {
                    Due::Say(message, code, _) => {
                        told.push((second, code.map_or(message.to_owned(), |code| format!("{code:?}"))))
                    }
                    Due::End(end) => {
                        told.push((second, end.code().unwrap_or_default().to_owned()));
                        return told;
                    }
                }
            }
            assert!(endings.next() > now, "a timer that is due for ever at {second} s");
        }
        told
    }

    fn short(told: &[(u64, String)]) -> Vec<(u64, &str)> {
        told.iter().map(|(second, text)| (*second, text.as_str())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_without_keys_is_warned_a_minute_before_its_end() {
        let now = Instant::now();
        let told = story(&mut endings(600, 36_000, now), now, &[]);
        assert_eq!(short(&told), [(540, "IdleSoon"), (600, "idle_timeout")]);
        let told = story(&mut endings(60, 36_000, now), now, &[]);
        assert_eq!(short(&told), [(30, "IdleSoon"), (60, "idle_timeout")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_after_the_warning_keeps_the_session_and_the_next_warning_comes_again() {
        let now = Instant::now();
        let told = story(&mut endings(600, 36_000, now), now, &[100, 650]);
        assert_eq!(short(&told), [(640, "IdleSoon"), (650, "kept"), (1190, "IdleSoon"), (1250, "idle_timeout")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_browser_that_comes_back_hears_of_the_end_again() {
        let now = Instant::now();
        let mut endings = endings(900, 400, now);
        let at = |second| now + Duration::from_secs(second);
        endings.say_again();
        assert_eq!(endings.due(at(50)), None, "nothing was announced yet");
        assert!(matches!(endings.due(at(100)), Some(Due::Say(..))));
        endings.say_again();
        assert!(endings.next() <= at(200));
        assert_eq!(endings.due(at(200)), Some(Due::Say(SOON, None, at(400))));
        assert_eq!(endings.due(at(200)), None);
        endings.say_again();
        assert_eq!(endings.due(at(340)), Some(Due::Say(ANNOUNCEMENTS[1].1, None, at(400))));
        assert_eq!(endings.due(at(340)), None, "one message is enough");
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_is_announced_and_no_key_is_asked_for_that_would_not_help() {
        let now = Instant::now();
        let told = story(&mut endings(900, 920, now), now, &[30]);
        let said = [ANNOUNCEMENTS[0].1, ANNOUNCEMENTS[1].1];
        assert_eq!(short(&told), [(620, said[0]), (860, said[1]), (920, "max_duration")]);
        let told = story(&mut endings(900, 200, now), now, &[]);
        assert_eq!(short(&told), [(140, said[1]), (200, "max_duration")]);
    }
}
