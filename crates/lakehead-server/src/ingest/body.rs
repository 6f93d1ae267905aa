//! Receiving a body: within the size limit, within the memory that all bodies share, and not slower than a minimum rate.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use lakehead_model::Clock;
use lakehead_model::limits::REQUEST_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::inflate::Encoding;

/// A body may pause this long before its rate counts.
const GRACE_SECONDS: u64 = 10;
const RATE_BYTES_PER_SECOND_MIN: u64 = 1024;
/// How long a request waits for room before it is told to come back.
const ROOM_SECONDS_MAX: u64 = 10;
const UNIT_BYTES: usize = 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    TooLarge { limit: usize },
    TooSlow,
    Disconnected,
    NoRoom,
}

/// Memory for the bodies of all requests in flight. A request takes its share before its body is read and holds it until it
/// is answered.
#[derive(Debug)]
pub(super) struct BodyBudget {
    units: Arc<Semaphore>,
}

/// A request's share. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Room(#[expect(dead_code, reason = "held for its release")] OwnedSemaphorePermit);

impl BodyBudget {
    /// `bytes_max` is at least what one request can need: its body and what comes out of it.
    pub(super) fn new(bytes_max: usize) -> Self {
        BodyBudget {
            units: Arc::new(Semaphore::new(
                (bytes_max / UNIT_BYTES).max(2 * REQUEST_BYTES_MAX / UNIT_BYTES + 2),
            )),
        }
    }

    pub(super) async fn room(&self, declared: Option<usize>, encoding: Encoding) -> Result<Room, ReadError> {
        let received = declared.unwrap_or(REQUEST_BYTES_MAX);
        let inflated = if encoding == Encoding::Identity { 0 } else { REQUEST_BYTES_MAX };
        let units =
            u32::try_from((received + inflated).div_ceil(UNIT_BYTES)).map_err(|_| ReadError::NoRoom)?;
        let wait = Arc::clone(&self.units).acquire_many_owned(units);
        match timeout(Duration::from_secs(ROOM_SECONDS_MAX), wait).await {
            Ok(Ok(permit)) => Ok(Room(permit)),
            _ => Err(ReadError::NoRoom),
        }
    }

    /// Reads a whole body.
    pub(super) async fn read(
        &self,
        body: Incoming,
        encoding: Encoding,
        clock: &dyn Clock,
    ) -> Result<(Room, Bytes), ReadError> {
        let too_large = ReadError::TooLarge { limit: REQUEST_BYTES_MAX };
        let declared = match body.size_hint().exact().map(usize::try_from) {
            Some(Ok(n)) if n <= REQUEST_BYTES_MAX => Some(n),
            Some(_) => return Err(too_large),
            None => None,
        };
        let room = self.room(declared, encoding).await?;
        Ok((room, receive(body, declared, clock).await?))
    }
}

async fn receive(mut body: Incoming, declared: Option<usize>, clock: &dyn Clock) -> Result<Bytes, ReadError> {
    let pace = Pace::new(clock);
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut received = 0;
    loop {
        let frame = match timeout(pace.left(received), body.frame()).await {
            Err(_) => return Err(ReadError::TooSlow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(ReadError::Disconnected),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        received += data.len();
        if received > REQUEST_BYTES_MAX {
            return Err(ReadError::TooLarge { limit: REQUEST_BYTES_MAX });
        }
        // A body that came in one piece is passed on as it is.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(before) => {
                all.reserve(declared.unwrap_or(received).max(received));
                all.extend_from_slice(&before);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// The minimum rate of a body that began when this was made.
pub(crate) struct Pace<'c> {
    clock: &'c dyn Clock,
    began: Duration,
}

impl<'c> Pace<'c> {
    pub(super) fn new(clock: &'c dyn Clock) -> Self {
        Pace { clock, began: clock.monotonic() }
    }

    /// How long until `received` bytes are fewer than the minimum rate asks for.
    pub(crate) fn left(&self, received: usize) -> Duration {
        let allowed = Duration::from_secs(GRACE_SECONDS + received as u64 / RATE_BYTES_PER_SECOND_MIN);
        allowed.saturating_sub(self.clock.monotonic().saturating_sub(self.began))
    }
}
