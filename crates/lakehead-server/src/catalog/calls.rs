//! A call that is let in, with all that its answer may depend on.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use lakehead_table::embedded::{Answer, Attempt, EmbeddedCatalog, Page, Refusal, RefusalKind};

use super::auth::Guest;
use super::route::Call;
use super::{EmbeddedCatalogs, answer, body};
use crate::http::answer::Body;

/// What a list has on a page if its asker does not say.
const PAGE_SIZE: usize = 100;
/// What a page may have.
const PAGE_SIZE_MAX: usize = 1000;

/// A call and its surroundings.
pub(super) struct Asked {
    pub(super) catalogs: Arc<EmbeddedCatalogs>,
    pub(super) catalog: Arc<EmbeddedCatalog>,
    pub(super) bucket: String,
    pub(super) guest: Guest,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Of a call that changes something and is to be done once.
    pub(super) attempt: Option<Attempt>,
}

pub(super) type Answered = Result<Response<Body>, Refusal>;

impl Asked {
    /// Answers the call.
    pub(super) async fn answer(&self, call: Call) -> Response<Body> {
        let answered = match &self.attempt {
            None => self.dispatch(call).await,
            Some(attempt) => self.once(attempt, call).await,
        };
        answered.unwrap_or_else(|refusal| answer::refusal(&refusal))
    }

    /// Does what was not done yet, or else repeats the answer.
    async fn once(&self, attempt: &Attempt, call: Call) -> Answered {
        if let Some(kept) = self.catalog.answered(attempt).await? {
            return self.repeated(kept).await;
        }
        let refusal = match self.dispatch(call).await {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        // The same request may have come twice at a time: what the other one has done makes this one fail.
        if let Some(kept) = self.catalog.answered(attempt).await? {
            return self.repeated(kept).await;
        }
        self.catalog.note_refusal(attempt, &refusal).await;
        Err(refusal)
    }

    async fn repeated(&self, kept: Answer) -> Answered {
        match kept {
            Answer::Nothing => Ok(answer::nothing()),
            Answer::Body(body) => Ok(answer::json(&body)),
            Answer::Refused { name, text } => Err(EmbeddedCatalog::kept_refusal(&name, &text)),
            Answer::Table { table, uuid, metadata_location } => {
                let current = self.catalog.answered_table(&table, uuid, &metadata_location).await?;
                self.loaded(&current)
            }
        }
    }

    async fn dispatch(&self, call: Call) -> Answered {
        match call {
            Call::ListNamespaces => self.list_namespaces().await,
            Call::CreateNamespace => self.create_namespace().await,
            Call::LoadNamespace(ns) => self.load_namespace(ns).await,
            Call::NamespaceExists(ns) => self.namespace_exists(ns).await,
            Call::DropNamespace(ns) => self.drop_namespace(ns).await,
            Call::UpdateProperties(ns) => self.update_properties(ns).await,
            Call::ListTables(ns) => self.list_tables(ns).await,
            Call::CreateTable(ns) => self.create_table(ns).await,
            Call::RegisterTable(ns) => self.register_table(ns).await,
            Call::LoadTable(ns, name) => self.load_table(ns, name).await,
            Call::TableExists(ns, name) => self.table_exists(ns, name).await,
            Call::CommitTable(ns, name) => self.commit_table(ns, name).await,
            Call::DropTable(ns, name) => self.drop_table(ns, name).await,
            Call::LoadCredentials(ns, name) => self.load_credentials(ns, name).await,
            Call::RenameTable => self.rename_table().await,
            Call::CommitTransaction => self.commit_transaction().await,
            // Nobody here reads them.
            Call::ReportMetrics(..) => Ok(answer::nothing()),
            Call::Config | Call::OauthToken => {
                Err(Refusal::new(RefusalKind::Damaged, "a call without a catalog came to one"))
            }
        }
    }

    pub(super) fn object(&self) -> Result<body::Object, Refusal> {
        body::Object::parse(&self.body)
    }

    /// The last value of a parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.param(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::bad(format!("{name}: is {other:?}; true or false is needed"))),
        }
    }

    /// Everything, unless a page is asked for.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let (size, token) = (self.param("pageSize"), self.param("pageToken"));
        if size.is_none() && token.is_none() {
            return Ok(Page::default());
        }
        let bad = || Refusal::bad("pageSize: is no number from 1");
        let size = size.map(|text| text.parse().map_err(|_| bad())).transpose()?.unwrap_or(PAGE_SIZE);
        if size == 0 {
            return Err(bad());
        }
        let token = token.filter(|token| !token.is_empty()).map(str::to_owned);
        Ok(Page { size: Some(size.min(PAGE_SIZE_MAX)), token })
    }
}
