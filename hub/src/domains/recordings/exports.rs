//! Exports under way: so many at the same time, and not all of them one person's. Each holds some segments in memory for as
//! long as whoever asked for it takes to read them.

use std::{
    io,
    sync::{LazyLock, Mutex, PoisonError},
};

use futures::Stream;
use tokio::{
    sync::mpsc::{self, error::SendTimeoutError},
    time::Duration,
};

use super::Error;
use crate::{context::Context, tally::Tally};

/// Pieces of an export that wait for a slow reader.
const WAITING: usize = 2;
/// How long who exports a recording may take to read a piece of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A part of what is sent.
enum Part {
    Piece(Vec<u8>),
    /// That was all. What ends without it broke off.
    End,
}

/// Where the pieces of an export go.
pub(super) struct Pieces(mpsc::Sender<Part>);

impl Pieces {
    /// Sends one; `false` where nobody listens any more.
    ///
    /// # Errors
    /// `NotRead`, when it is not read in time.
    pub(super) async fn send(&self, piece: Vec<u8>) -> Result<bool, Error> {
        self.part(Part::Piece(piece)).await
    }

    /// Says that this was all.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn end(&self) -> Result<(), Error> {
        self.part(Part::End).await.map(drop)
    }

    async fn part(&self, part: Part) -> Result<bool, Error> {
        match self.0.send_timeout(part, PATIENCE).await {
            Ok(()) => Ok(true),
            Err(SendTimeoutError::Closed(_)) => Ok(false),
            Err(SendTimeoutError::Timeout(_)) => Err(Error::NotRead),
        }
    }
}

/// A way for pieces, and what comes out of it. INVARIANT: it ends well only where the sender said that it had sent
/// everything; whatever else became of the sender, a download that lacks its end must not look whole.
pub(super) fn pieces() -> (Pieces, impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let stream = futures::stream::unfold(Some(receiver), async |receiver| {
        let mut receiver: mpsc::Receiver<Part> = receiver?;
        match receiver.recv().await {
            Some(Part::Piece(piece)) => Some((Ok(piece), Some(receiver))),
            Some(Part::End) => None,
            None => Some((Err(io::Error::other("the export broke off")), None)),
        }
    });
    (Pieces(sender), stream)
}

/// Exports of a hub at the same time, and of one person.
const MOST: usize = 16;
const MOST_OF_PERSON: usize = 2;

static UNDER_WAY: LazyLock<Mutex<Tally<String>>> = LazyLock::new(Mutex::default);

/// A place for an export, given back when dropped.
#[derive(Debug)]
pub(super) struct Place(String);

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).take_off(&self.0);
    }
}

/// A place for an export.
///
/// # Errors
/// When there is none.
pub(super) fn place(context: &Context) -> Result<Place, Error> {
    take(context.principal.actor.to_string()).ok_or(Error::TooManyExports)
}

fn take(who: String) -> Option<Place> {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    if under_way.total() >= MOST || under_way.of(&who) >= MOST_OF_PERSON {
        return None;
    }
    under_way.add(who.clone());
    Some(Place(who))
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_export_ends_well_only_where_its_end_was_sent() {
        let (sender, stream) = pieces();
        let sending = async move {
            assert!(sender.send(b"a".to_vec()).await.unwrap());
            sender.end().await.unwrap();
        };
        let ((), whole) = tokio::join!(sending, stream.collect::<Vec<_>>());
        assert!(matches!(whole.as_slice(), [Ok(piece)] if piece == b"a"), "{whole:?}");

        // Its reader takes so long that the end is not sent any more: what was sent before is followed by a break.
        let (sender, stream) = pieces();
        for _ in 0..WAITING {
            assert!(sender.send(b"a".to_vec()).await.unwrap());
        }
        assert!(matches!(sender.send(b"last".to_vec()).await, Err(Error::NotRead)));
        assert!(matches!(sender.end().await, Err(Error::NotRead)));
        drop(sender);
        let broken = stream.collect::<Vec<_>>().await;
        assert!(broken.len() == WAITING + 1 && broken[WAITING].is_err(), "{broken:?}");

        // Whoever left misses nothing.
        let (sender, stream) = pieces();
        drop(stream);
        assert!(!sender.send(b"a".to_vec()).await.unwrap());
    }

    #[test]
    fn one_person_leaves_places_to_others_and_gives_theirs_back() {
        let ada = (0..MOST_OF_PERSON).map(|_| take("ada".to_owned()).unwrap()).collect::<Vec<_>>();
        assert!(take("ada".to_owned()).is_none());
        let others = (0..MOST).map_while(|number| take(number.to_string())).collect::<Vec<_>>();
        assert_eq!(others.len(), MOST - MOST_OF_PERSON);
        drop(ada);
        assert!(take("ada".to_owned()).is_some());
    }
}
