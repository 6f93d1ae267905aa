//! Answers to requests that carry an `Idempotency-Key`, so that one that comes again is not done again.
//!
//! ```text
//!   request with key ──► answer kept? ── yes ──► that answer
//!                            │ no
//!                            ▼
//!                   change and answer in one write; who comes second with the key finds the record there
//! ```
//! An answer that refuses for what the catalog holds is kept too, after it was decided; a lost answer (500) is not.
//!
//! **Bounds:** an answer is kept for [`LIFETIME_SECONDS`], at most [`ANSWERS_MAX`] a catalog: younger ones displace older ones.
//! About 500 bytes on disk each, 60 in memory.

use std::collections::VecDeque;

use iceberg::TableIdent;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::EmbeddedCatalog;
use super::records::{Expected, RecordKind, RecordWrite};
use super::refusal::{Refusal, RefusalKind};

/// How long a key is good for.
pub const LIFETIME_SECONDS: u64 = 30 * 60;
/// Answers kept for one catalog.
pub const ANSWERS_MAX: usize = 10_000;
/// Old answers removed with a new one.
const REMOVED_AT_ONCE: usize = 16;

/// A request that is to be done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The `Idempotency-Key`: a UUID.
    pub key: Uuid,
    /// Something that tells this request from others: method, path and a hash of the body.
    pub request: String,
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A success without a body.
    Nothing,
    /// A success with this body.
    Body(Value),
    /// A table as it was made or changed.
    Table {
        /// Its name.
        table: TableIdent,
        /// Its identity.
        uuid: Uuid,
        /// The metadata that was answered.
        metadata_location: String,
    },
    /// A refusal.
    Refused {
        /// The name of the error.
        name: String,
        /// Its text.
        text: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    request: String,
    at_ms: i64,
    answer: Answer,
}

/// The keys that are on disk, oldest first; `None` before the first look.
#[derive(Debug, Default)]
pub(super) struct KeptAnswers(Mutex<Option<VecDeque<(i64, String)>>>);

impl EmbeddedCatalog {
    /// What the request was answered before.
    ///
    /// # Errors
    /// `BadRequest` if the key came with another request, `Unavailable`.
    pub async fn answered(&self, attempt: &Attempt) -> Result<Option<Answer>, Refusal> {
        let Some(record) = self.get(RecordKind::Answer, &attempt.key.to_string()).await? else {
            return Ok(None);
        };
        let stored: Stored = self.parsed(&record.value, &record.key)?;
        if self.now_ms().saturating_sub(stored.at_ms) > lifetime_ms() {
            return Ok(None);
        }
        if stored.request != attempt.request {
            let text =
                "Idempotency-Key: was used for another request; a key belongs to one request and its repeats";
            return Err(Refusal::bad(text));
        }
        Ok(Some(stored.answer))
    }

    /// Keeps a refusal as the answer, if it is one that another try would get too. Best effort: without it, it is decided anew.
    pub async fn note_refusal(&self, attempt: &Attempt, refusal: &Refusal) {
        if RefusalKind::named(refusal.kind.name()) != Some(refusal.kind) {
            return;
        }
        let answer = Answer::Refused { name: refusal.kind.name().to_owned(), text: refusal.text.clone() };
        let noted = match self.answer_writes(Some(attempt), answer).await {
            Ok(writes) => self.write(writes).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        if let Err(error) = noted {
            tracing::debug!(%error, "a refusal was not kept");
        }
    }

    /// The refusal that was kept.
    pub fn kept_refusal(name: &str, text: &str) -> Refusal {
        Refusal::new(RefusalKind::named(name).unwrap_or(RefusalKind::BadRequest), text)
    }

    /// What is written beside a change so that its answer is kept.
    pub(super) async fn answer_writes(
        &self,
        attempt: Option<&Attempt>,
        answer: Answer,
    ) -> Result<Vec<RecordWrite>, Refusal> {
        let Some(attempt) = attempt else { return Ok(Vec::new()) };
        self.read_kept().await?;
        let (now_ms, key) = (self.now_ms(), attempt.key.to_string());
        let mut writes = Vec::new();
        if let Some(kept) = &mut *self.answers.0.lock() {
            while let Some((at_ms, _)) = kept.front() {
                let is_old = now_ms.saturating_sub(*at_ms) > lifetime_ms();
                if !(is_old || kept.len() >= ANSWERS_MAX) || writes.len() >= REMOVED_AT_ONCE {
                    break;
                }
                let old = kept.pop_front().map(|(_, key)| key).unwrap_or_default();
                // The same key after its time: replaced below.
                if old != key {
                    writes.push(self.record(RecordKind::Answer, &old, Expected::Any, None));
                }
            }
            kept.push_back((now_ms, key.clone()));
        }
        let expected = match self.get(RecordKind::Answer, &key).await? {
            Some(old) if self.parsed::<Stored>(&old.value, &old.key)?.at_ms < now_ms - lifetime_ms() => {
                Expected::Version(old.version)
            }
            _ => Expected::Absent,
        };
        let stored = Stored { request: attempt.request.clone(), at_ms: now_ms, answer };
        writes.push(self.record(RecordKind::Answer, &key, expected, Some(self.json(&stored)?)));
        Ok(writes)
    }

    async fn read_kept(&self) -> Result<(), Refusal> {
        if self.answers.0.lock().is_some() {
            return Ok(());
        }
        let mut found = Vec::new();
        for record in self.list(RecordKind::Answer, "").await? {
            let stored: Stored = self.parsed(&record.value, &record.key)?;
            let key = record.key.strip_prefix(&self.prefix).unwrap_or(&record.key).to_owned();
            found.push((stored.at_ms, key));
        }
        found.sort();
        self.answers.0.lock().get_or_insert_with(|| found.into());
        Ok(())
    }
}

fn lifetime_ms() -> i64 {
    i64::try_from(LIFETIME_SECONDS * 1000).unwrap_or(i64::MAX)
}
