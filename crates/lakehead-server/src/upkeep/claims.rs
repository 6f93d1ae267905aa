//! What commits of flows, under way or left by an earlier process, may still put into tables: what their intents name.
//!
//! An intent is stored before a file of it is published, and goes when its commit is known to be in the table: a file in the bucket
//! that no intent names is in the table already, or will never be. An intent that stays for minutes is one whose outcome may be
//! unknown: while there is one for a table, nothing of the table is deleted.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lakehead_meta::{FlowKey, Store};
use lakehead_model::{Clock, Position};
use lakehead_sink::StagedFile;
use lakehead_table::{CatalogError, CatalogErrorKind, Claims, TableIdent, Unresolved, Uuid};
use parking_lot::Mutex;
use serde::Deserialize;

/// An intent that is older than this, by the looks at it, may be of a commit whose outcome is unknown.
const UNDECIDED_AFTER: Duration = Duration::from_secs(300);

/// When each intent was seen first: the position from which it goes, and the time.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<HashMap<FlowKey, (Position, Duration)>>);

/// What of an intent concerns tables. The rest is its flow's.
#[derive(Deserialize)]
struct UnderWay {
    files: Vec<StagedFile>,
    #[serde(default)]
    table: Option<OfTable>,
}

#[derive(Deserialize)]
struct OfTable {
    /// Upper and lower half.
    uuid: (u64, u64),
}

/// The claims on one table.
pub(super) struct FlowClaims {
    store: Arc<Store>,
    table: (u64, u64),
    watched: Arc<Watched>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for FlowClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowClaims").finish_non_exhaustive()
    }
}

impl FlowClaims {
    pub(super) fn new(store: Arc<Store>, table: Uuid, watched: Arc<Watched>, clock: Arc<dyn Clock>) -> Self {
        FlowClaims { store, table: table.as_u64_pair(), watched, clock }
    }
}

#[async_trait]
impl Claims for FlowClaims {
    async fn unresolved(&self, _: &TableIdent) -> Result<Unresolved, CatalogError> {
        let (store, table, watched) = (Arc::clone(&self.store), self.table, Arc::clone(&self.watched));
        let now = self.clock.monotonic();
        let looked = tokio::task::spawn_blocking(move || look(&store, table, &watched, now)).await;
        let failed = |text: String| CatalogError::new(CatalogErrorKind::Unavailable, text);
        looked.map_err(|e| failed(e.to_string()))?.map_err(|text| failed(format!("intents of flows: {text}")))
    }
}

fn look(store: &Store, table: (u64, u64), watched: &Watched, now: Duration) -> Result<Unresolved, String> {
    let mut unresolved = Unresolved::default();
    let mut there = HashSet::new();
    for key in store.flow_keys().map_err(|e| e.to_string())? {
        let Some(flow) = store.flow(key).map_err(|e| e.to_string())? else { continue };
        let Some(text) = flow.intent else { continue };
        let under_way: UnderWay =
            serde_json::from_slice(&text).map_err(|e| format!("that of {key} cannot be read: {e}"))?;
        there.insert(key);
        let mut watched = watched.0.lock();
        let seen = watched.entry(key).or_insert((flow.state.committed, now));
        if seen.0 != flow.state.committed {
            *seen = (flow.state.committed, now);
        }
        let is_old = now.saturating_sub(seen.1) >= UNDECIDED_AFTER;
        unresolved.commit |= is_old && under_way.table.is_some_and(|of| of.uuid == table);
        unresolved.keys.extend(under_way.files.into_iter().map(|file| file.key));
    }
    watched.0.lock().retain(|key, _| there.contains(key));
    Ok(unresolved)
}

#[cfg(test)]
mod tests;
