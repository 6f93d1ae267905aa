//! What is tried again, when, and for how long.

use std::sync::Arc;
use std::time::Duration;

use lakehead_model::Random;

use crate::{Error, ErrorKind};

/// Why an attempt did not end with the file in its place.
pub(crate) enum Step {
    /// The outcome is unknown, or the store is in trouble: look what is there and try again.
    Again(Error),
    /// Trying again now cannot help.
    Stop(Error),
}

impl Step {
    /// What a store's error means for the call that got it.
    pub(crate) fn from_store(what: &str, key: &str, e: object_store::Error) -> Step {
        use object_store::Error as E;
        let kind = match &e {
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorKind::Refused,
            E::InvalidPath { .. } | E::UnknownConfigurationKey { .. } => ErrorKind::Settings,
            _ => ErrorKind::Unavailable,
        };
        let error = Error::caused(kind, format!("cannot {what} {key:?}"), e);
        match kind {
            ErrorKind::Unavailable => Step::Again(error),
            _ => Step::Stop(error),
        }
    }

    /// A bucket that is not there.
    pub(crate) fn no_bucket(key: &str, e: object_store::Error) -> Step {
        Step::Stop(Error::caused(
            ErrorKind::Refused,
            format!("cannot put {key:?}; is there such a bucket?"),
            e,
        ))
    }

    pub(crate) fn deadline(what: &str, key: &str, deadline: Duration) -> Step {
        Step::Again(Error::new(
            ErrorKind::Unavailable,
            format!("cannot {what} {key:?}: no answer within {} s", deadline.as_secs()),
        ))
    }
}

impl From<Error> for Step {
    fn from(e: Error) -> Self {
        Step::Stop(e)
    }
}

/// Waits between tries: a random time below a bound that doubles from 0.2 s to 10 s (full jitter, so that many who failed
/// together do not come back together).
pub(crate) struct Backoff {
    random: Arc<dyn Random>,
    tries_left: u32,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(random: Arc<dyn Random>, tries: u32) -> Self {
        Backoff { random, tries_left: tries.saturating_sub(1), bound: Duration::from_millis(200) }
    }

    /// `false` when the tries are used up.
    pub(crate) async fn wait(&mut self) -> bool {
        const BOUND_MAX: Duration = Duration::from_secs(10);
        if self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        let micros = u64::try_from(self.bound.as_micros()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_micros(self.random.u64() % micros)).await;
        self.bound = (self.bound * 2).min(BOUND_MAX);
        true
    }
}
