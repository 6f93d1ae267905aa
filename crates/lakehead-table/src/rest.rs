//! The client of any catalog that speaks the Iceberg REST protocol.
//!
//! ```text
//!   Catalog ──► RestCatalog ── GET /v1/config, once ──► Surface: prefix, what it can do
//!                   │
//!                   ├──► Tokens        the token, fetched and renewed
//!                   └──► Connection    one request until a deadline ──► Verdict: what its answer means
//! ```
//! **Invariant:** a request that changes something is sent again only if it is certain that nothing was applied; otherwise the
//! error says `Unknown`. No secret leaves through an error, a log or a redirect.
//! **Bounds:** one call of [`Catalog`] ends within `request_seconds`; an answer has 256 MiB at most, and is in memory whole.
//!
//! Source of the protocol: the OpenAPI document of Apache Iceberg's REST catalog.

mod connection;
mod settings;
mod surface;
mod tokens;
mod verdict;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use iceberg::{NamespaceIdent, TableIdent};
use lakehead_model::{Clock, Random, Secret};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::connection::{Ask, Connection};
use self::surface::Surface;
use self::tokens::Tokens;
use self::verdict::Purpose;
use self::wire::{CommitTable, CreateNamespace, CreateTable, NamespacesPage, Page, TableAnswer, TablesPage};
use crate::{Catalog, CatalogError, CatalogErrorKind, LoadedTable, NewTable, TableChange};

pub use self::settings::{ClientCredentials, REQUEST_SECONDS_DEFAULT, RestAuth, RestSettings};

/// More pages than any list has; ends a list that would never end.
const PAGES_MAX: usize = 10_000;
/// Asks for credentials of the table's files.
const DELEGATION: &str = "x-iceberg-access-delegation";
const VENDED: HeaderValue = HeaderValue::from_static("vended-credentials");

/// A catalog somewhere else. Make one and share it: it keeps connections, the token and what the catalog said of itself.
pub struct RestCatalog {
    base: Url,
    warehouse: Option<String>,
    headers: HeaderMap,
    /// Texts that no error may repeat.
    secrets: Vec<Secret>,
    request_seconds: u64,
    connection: Connection,
    tokens: Tokens,
    surface: Mutex<Option<Arc<Surface>>>,
}

impl fmt::Debug for RestCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestCatalog")
            .field("uri", &self.base.as_str())
            .field("warehouse", &self.warehouse)
            .finish_non_exhaustive()
    }
}

impl RestCatalog {
    /// A client of a catalog, which is not asked anything yet.
    ///
    /// # Errors
    /// `Refused` for settings that cannot work.
    pub fn new(
        settings: &RestSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<RestCatalog, CatalogError> {
        let base = settings::address("uri", &settings.uri)?;
        let headers = settings::headers(&settings.headers, &settings.auth)?;
        let request_seconds = settings.request_seconds.max(1);
        let is_local = connection::is_loopback(&base);
        let connection = Connection::new(request_seconds, is_local, clock, random)?;
        let tokens = Tokens::new(&settings.auth, &base, &headers)?;
        let secrets = settings.headers.iter().map(|(_, value)| value.clone()).chain(tokens.secret().cloned());
        Ok(RestCatalog {
            base,
            warehouse: settings.warehouse.clone(),
            headers,
            secrets: secrets.collect(),
            request_seconds,
            connection,
            tokens,
            surface: Mutex::default(),
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.request_seconds)
    }

    /// What the catalog said of itself; asked once, and again after it knew a path or a token no more.
    async fn surface(&self, deadline: Instant) -> Result<Arc<Surface>, CatalogError> {
        let Ok(mut held) = tokio::time::timeout_at(deadline, self.surface.lock()).await else {
            let text = "the catalog did not say in time how it is asked";
            return Err(CatalogError::new(CatalogErrorKind::Unavailable, text));
        };
        if let Some(surface) = &*held {
            return Ok(Arc::clone(surface));
        }
        let url = surface::config_url(&self.base, self.warehouse.as_deref())?;
        let what = "read the configuration of the catalog";
        let body = self.exchange(self.ask(Method::GET, url, Purpose::Read, what), deadline).await?;
        let surface = Arc::new(Surface::read(&self.base, &body)?);
        *held = Some(Arc::clone(&surface));
        Ok(surface)
    }

    fn ask<'a>(&self, method: Method, url: Url, purpose: Purpose, what: &'a str) -> Ask<'a> {
        Ask { method, url, headers: self.headers.clone(), body: None, purpose, what }
    }

    fn with_body<'a>(mut ask: Ask<'a>, body: &impl Serialize) -> Result<Ask<'a>, CatalogError> {
        let text = serde_json::to_string(body)
            .map_err(|e| CatalogError::new(CatalogErrorKind::Refused, format!("cannot {}: {e}", ask.what)))?;
        ask.body = Some(("application/json", text));
        Ok(ask)
    }

    /// A request that changes something: with a key by which the catalog knows it again, if it keeps such keys.
    fn keyed<'a>(&self, mut ask: Ask<'a>, surface: &Surface) -> Ask<'a> {
        if surface.keeps_idempotency_keys {
            let millis = u64::try_from(self.connection.clock().now().as_millis()).unwrap_or(0);
            let mut random = [0; 10];
            self.connection.random().fill(&mut random);
            let key = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
            if let Ok(key) = key.to_string().parse() {
                ask.headers.insert("idempotency-key", key);
            }
        }
        ask
    }

    /// Sends with the token of the moment, and once more with another one if that was not taken.
    async fn exchange(&self, ask: Ask<'_>, deadline: Instant) -> Result<Vec<u8>, CatalogError> {
        let mut is_first = true;
        loop {
            let bearer = self.tokens.current(&self.connection, deadline).await?;
            let failure = match self.connection.send(&ask, bearer.as_deref(), deadline).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            if let Some(bearer) = bearer.as_ref().filter(|_| failure.is_token_spent)
                && self.tokens.forget(bearer).await
                && std::mem::take(&mut is_first)
            {
                continue;
            }
            let CatalogError { kind, mut text } = failure.error;
            let token = bearer.as_ref().map(|b| b.text());
            for secret in self.secrets.iter().chain(token).filter(|s| !s.reveal().is_empty()) {
                text = text.replace(secret.reveal(), "***");
            }
            return Err(CatalogError::new(kind, text));
        }
    }

    /// The same for what lies below the prefix: whose refusal may mean that the prefix is another now.
    async fn exchange_below(&self, ask: Ask<'_>, deadline: Instant) -> Result<Vec<u8>, CatalogError> {
        let answer = self.exchange(ask, deadline).await;
        if let Err(e) = &answer
            && matches!(e.kind, CatalogErrorKind::Refused | CatalogErrorKind::Unauthorized)
        {
            *self.surface.lock().await = None;
        }
        answer
    }

    /// All pages of a list.
    async fn list<P: Page>(
        &self,
        url: Url,
        what: &str,
        deadline: Instant,
    ) -> Result<Vec<P::Item>, CatalogError> {
        let refused =
            |text: &str| CatalogError::new(CatalogErrorKind::Refused, format!("cannot {what}: {text}"));
        let (mut all, mut token): (Vec<P::Item>, Option<String>) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let mut url = url.clone();
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let body = self.exchange_below(self.ask(Method::GET, url, Purpose::Read, what), deadline).await?;
            let page: P = serde_json::from_slice(&body)
                .map_err(|e| refused(&format!("the catalog sent what is no list ({e})")))?;
            let (items, next) = page.open();
            all.extend(items);
            let next = next.filter(|next| !next.is_empty());
            match next {
                None => return Ok(all),
                again if again == token => return Err(refused("the catalog sends the same page for ever")),
                next => token = next,
            }
        }
        Err(refused("the list does not end"))
    }

    fn table(table: &TableIdent, body: &[u8], purpose: Purpose) -> Result<LoadedTable, CatalogError> {
        let unreadable = |why: String| {
            let text = format!("the catalog sent table `{table}` in a form that cannot be read: {why}");
            CatalogError::new(verdict::of_unreadable(purpose), text)
        };
        let mut answer: TableAnswer<'_> = serde_json::from_slice(body)
            .map_err(|e| unreadable(format!("line {}, column {}", e.line(), e.column())))?;
        let metadata: TableMetadata = serde_json::from_str(answer.metadata.get()).map_err(|e| {
            let version = wire::format_version(answer.metadata)
                .map_or_else(|| "no format version".to_owned(), |v| format!("format version {v}"));
            unreadable(format!("{version}, {e}"))
        })?;
        let config = answer.access(metadata.location());
        Ok(LoadedTable { metadata: Arc::new(metadata), metadata_location: answer.metadata_location, config })
    }

    async fn has_namespace(
        &self,
        namespace: &NamespaceIdent,
        deadline: Instant,
    ) -> Result<bool, CatalogError> {
        let surface = self.surface(deadline).await?;
        let what = format!("look for namespace `{namespace}`");
        let ask = self.ask(Method::GET, surface.namespace(namespace)?, Purpose::Read, &what);
        match self.exchange_below(ask, deadline).await {
            Ok(_) => Ok(true),
            Err(e) if e.kind == CatalogErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        deadline: Instant,
    ) -> Result<(), CatalogError> {
        let surface = self.surface(deadline).await?;
        let what = format!("create namespace `{namespace}`");
        // That it is there already is what is wanted: it may be sent again.
        let ask = self.ask(Method::POST, surface.namespaces(None)?, Purpose::Read, &what);
        let body = CreateNamespace { namespace: namespace.as_ref(), properties: Default::default() };
        let ask = self.keyed(Self::with_body(ask, &body)?, &surface);
        match self.exchange_below(ask, deadline).await {
            Ok(_) => Ok(()),
            Err(e) if e.kind == CatalogErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
        }
    }
}

#[async_trait]
impl Catalog for RestCatalog {
    async fn ensure_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError> {
        let deadline = self.deadline();
        let mut missing = Vec::new();
        let mut next = Some(namespace.clone());
        while let Some(namespace) = next {
            if self.has_namespace(&namespace, deadline).await? {
                break;
            }
            next = namespace.parent();
            missing.push(namespace);
        }
        for namespace in missing.iter().rev() {
            self.create_namespace(namespace, deadline).await?;
        }
        Ok(())
    }

    async fn namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>, CatalogError> {
        let deadline = self.deadline();
        let surface = self.surface(deadline).await?;
        let url = surface.namespaces(parent)?;
        let all = self.list::<NamespacesPage>(url, "list namespaces", deadline).await?;
        // Some catalogs send all levels, or the parent itself.
        let depth = parent.map_or(0, |parent| parent.len()) + 1;
        let below = all.into_iter().filter(|parts| parts.len() == depth);
        Ok(below.filter_map(|parts| NamespaceIdent::from_vec(parts).ok()).collect())
    }

    async fn tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>, CatalogError> {
        let deadline = self.deadline();
        let surface = self.surface(deadline).await?;
        let what = format!("list the tables of namespace `{namespace}`");
        self.list::<TablesPage>(surface.tables(namespace)?, &what, deadline).await
    }

    async fn create_table(&self, table: &TableIdent, new: NewTable) -> Result<LoadedTable, CatalogError> {
        let deadline = self.deadline();
        let surface = self.surface(deadline).await?;
        let what = format!("create table `{table}`");
        let mut ask = self.ask(Method::POST, surface.tables(table.namespace())?, Purpose::Create, &what);
        ask.headers.entry(DELEGATION).or_insert(VENDED);
        let body = CreateTable {
            name: table.name(),
            schema: &new.schema,
            partition_spec: new.partition_spec.as_ref(),
            write_order: new.sort_order.as_ref(),
            stage_create: false,
            properties: &new.properties,
        };
        let ask = self.keyed(Self::with_body(ask, &body)?, &surface);
        let body = self.exchange_below(ask, deadline).await?;
        Self::table(table, &body, Purpose::Create)
    }

    async fn load_table(&self, table: &TableIdent) -> Result<Option<LoadedTable>, CatalogError> {
        let deadline = self.deadline();
        let surface = self.surface(deadline).await?;
        let what = format!("load table `{table}`");
        let mut ask = self.ask(Method::GET, surface.table(table)?, Purpose::Read, &what);
        ask.headers.entry(DELEGATION).or_insert(VENDED);
        match self.exchange_below(ask, deadline).await {
            Ok(body) => Self::table(table, &body, Purpose::Read).map(Some),
            Err(e) if e.kind == CatalogErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn commit(&self, change: TableChange) -> Result<LoadedTable, CatalogError> {
        let deadline = self.deadline();
        let surface = self.surface(deadline).await?;
        let table = &change.table;
        let what = format!("commit to table `{table}`");
        let ask = self.ask(Method::POST, surface.table(table)?, Purpose::Commit, &what);
        let body =
            CommitTable { identifier: table, requirements: &change.requirements, updates: &change.updates };
        let ask = self.keyed(Self::with_body(ask, &body)?, &surface);
        let body = self.exchange_below(ask, deadline).await?;
        Self::table(table, &body, Purpose::Commit)
    }
}

#[cfg(test)]
mod tests;
