//! Which call a path means. The table of contents of the protocol as it is served.

use http::Method;
use lakehead_table::embedded::records::percent_decoded;

/// The path under which catalogs are served.
pub(super) const BASE: &str = "/catalog";
/// Parts the levels of a namespace in a path.
pub(super) const LEVELS: char = '\u{1f}';

/// What is served, as `GET …/config` lists it.
pub(super) const ENDPOINTS: [&str; 19] = [
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "POST /v1/{prefix}/namespaces/{namespace}/properties",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/register",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
    "POST /v1/{prefix}/tables/rename",
    "POST /v1/{prefix}/transactions/commit",
    "GET /v1/config",
    "POST /v1/oauth/tokens",
];

/// A call, with the variable parts of its path decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Config,
    OauthToken,
    ListNamespaces,
    CreateNamespace,
    LoadNamespace(Vec<String>),
    NamespaceExists(Vec<String>),
    DropNamespace(Vec<String>),
    UpdateProperties(Vec<String>),
    ListTables(Vec<String>),
    CreateTable(Vec<String>),
    RegisterTable(Vec<String>),
    LoadTable(Vec<String>, String),
    TableExists(Vec<String>, String),
    CommitTable(Vec<String>, String),
    DropTable(Vec<String>, String),
    LoadCredentials(Vec<String>, String),
    ReportMetrics(Vec<String>, String),
    RenameTable,
    CommitTransaction,
}

impl Call {
    /// Whether it can be answered without changing anything.
    pub(super) fn is_read(&self) -> bool {
        matches!(
            self,
            Call::ListNamespaces
                | Call::LoadNamespace(_)
                | Call::NamespaceExists(_)
                | Call::ListTables(_)
                | Call::LoadTable(..)
                | Call::TableExists(..)
                | Call::LoadCredentials(..)
                | Call::ReportMetrics(..)
        )
    }
}

/// A path that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Account and bucket, if they stand before the version.
    pub(super) base: Option<(String, String)>,
    /// The bucket the call is for; empty for [`Call::Config`] and [`Call::OauthToken`].
    pub(super) prefix: String,
    pub(super) call: Call,
}

/// Why a path means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoute {
    NotFound,
    WrongMethod,
    /// Part of the protocol that is not offered.
    NotOffered,
}

/// Reads a path.
pub(super) fn route(method: &Method, path: &str) -> Result<Route, NoRoute> {
    let below = path.strip_prefix(BASE).and_then(|rest| rest.strip_prefix('/')).ok_or(NoRoute::NotFound)?;
    let parts: Option<Vec<String>> = below.trim_end_matches('/').split('/').map(percent_decoded).collect();
    let parts = parts.ok_or(NoRoute::NotFound)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (base, rest) = match &parts[..] {
        ["v1", rest @ ..] => (None, rest),
        [account, bucket, "v1", rest @ ..] => (Some(((*account).to_owned(), (*bucket).to_owned())), rest),
        _ => return Err(NoRoute::NotFound),
    };
    let (prefix, call) = match rest {
        ["config"] => ("", only(method, Method::GET, Call::Config)?),
        ["oauth", "tokens"] => ("", only(method, Method::POST, Call::OauthToken)?),
        [prefix, rest @ ..] => (*prefix, call(method, rest)?),
        [] => return Err(NoRoute::NotFound),
    };
    Ok(Route { base, prefix: prefix.to_owned(), call })
}

fn call(method: &Method, rest: &[&str]) -> Result<Call, NoRoute> {
    let name = |text: &str| text.to_owned();
    match (rest, method) {
        (["namespaces"], &Method::GET) => Ok(Call::ListNamespaces),
        (["namespaces"], &Method::POST) => Ok(Call::CreateNamespace),
        (["namespaces", ns], &Method::GET) => Ok(Call::LoadNamespace(levels(ns))),
        (["namespaces", ns], &Method::HEAD) => Ok(Call::NamespaceExists(levels(ns))),
        (["namespaces", ns], &Method::DELETE) => Ok(Call::DropNamespace(levels(ns))),
        (["namespaces", ns, "properties"], &Method::POST) => Ok(Call::UpdateProperties(levels(ns))),
        (["namespaces", ns, "tables"], &Method::GET) => Ok(Call::ListTables(levels(ns))),
        (["namespaces", ns, "tables"], &Method::POST) => Ok(Call::CreateTable(levels(ns))),
        (["namespaces", ns, "register"], &Method::POST) => Ok(Call::RegisterTable(levels(ns))),
        (["namespaces", ns, "tables", t], &Method::GET) => Ok(Call::LoadTable(levels(ns), name(t))),
        (["namespaces", ns, "tables", t], &Method::HEAD) => Ok(Call::TableExists(levels(ns), name(t))),
        (["namespaces", ns, "tables", t], &Method::POST) => Ok(Call::CommitTable(levels(ns), name(t))),
        (["namespaces", ns, "tables", t], &Method::DELETE) => Ok(Call::DropTable(levels(ns), name(t))),
        (["namespaces", ns, "tables", t, "credentials"], &Method::GET) => {
            Ok(Call::LoadCredentials(levels(ns), name(t)))
        }
        (["namespaces", ns, "tables", t, "metrics"], &Method::POST) => {
            Ok(Call::ReportMetrics(levels(ns), name(t)))
        }
        (["tables", "rename"], &Method::POST) => Ok(Call::RenameTable),
        (["transactions", "commit"], &Method::POST) => Ok(Call::CommitTransaction),
        (
            ["views", "rename"]
            | ["namespaces", _, "views" | "register-view" | "functions", ..]
            | ["namespaces", _, "tables", _, "plan" | "tasks" | "sign", ..],
            _,
        ) => Err(NoRoute::NotOffered),
        (
            ["namespaces"]
            | ["namespaces", _]
            | ["namespaces", _, "properties" | "tables" | "register"]
            | ["namespaces", _, "tables", _]
            | ["namespaces", _, "tables", _, "credentials" | "metrics"]
            | ["tables", "rename"]
            | ["transactions", "commit"],
            _,
        ) => Err(NoRoute::WrongMethod),
        _ => Err(NoRoute::NotFound),
    }
}

fn only(method: &Method, needed: Method, call: Call) -> Result<Call, NoRoute> {
    if *method == needed { Ok(call) } else { Err(NoRoute::WrongMethod) }
}

/// The levels of a namespace that are one part of a path.
pub(super) fn levels(text: &str) -> Vec<String> {
    text.split(LEVELS).map(str::to_owned).collect()
}
