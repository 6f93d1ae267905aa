//! A route: what answers it, and what the OpenAPI document says of it. One value makes both, so neither can lack what the other
//! has.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use super::Api;

/// Path, handlers and descriptions.
pub(super) struct Route {
    /// With `{name}` for variable parts, as axum and OpenAPI both write it.
    pub(super) path: String,
    handlers: MethodRouter<Api>,
    pub(super) operations: Vec<(Method, Operation)>,
}

/// What the document says of one method of a path.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) summary: &'static str,
    /// Name of the body's schema.
    pub(super) body: Option<&'static str>,
    pub(super) answer: Content,
    /// Query parameters that are understood.
    pub(super) query: &'static [&'static str],
}

/// What stands in `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// `null`.
    Nothing,
    /// One value of the named schema.
    One(&'static str),
    /// A page of them, with `result_info`.
    Page(&'static str),
    /// No envelope: the bytes of an object.
    Bytes,
    /// No envelope: JSON of the named schema.
    Plain(&'static str),
}

/// Begins the description of an operation.
pub(super) fn op(summary: &'static str, answer: Content) -> Operation {
    Operation {
        summary,
        body: None,
        answer,
        query: if matches!(answer, Content::Page(_)) { PAGING } else { &[] },
    }
}

const PAGING: &[&str] = &["page", "per_page"];

impl Operation {
    pub(super) fn body(self, schema: &'static str) -> Self {
        Operation { body: Some(schema), ..self }
    }

    pub(super) fn query(self, names: &'static [&'static str]) -> Self {
        Operation { query: names, ..self }
    }
}

/// Begins a route.
pub(super) fn at(path: impl Into<String>) -> Route {
    Route { path: path.into(), handlers: MethodRouter::new(), operations: Vec::new() }
}

macro_rules! methods {
    ($($name:ident $constant:ident;)*) => {$(
        pub(super) fn $name<H: Handler<T, Api>, T: 'static>(self, handler: H, operation: Operation) -> Self {
            self.with(MethodFilter::$constant, Method::$constant, handler, operation)
        }
    )*};
}

impl Route {
    methods! { get GET; post POST; put PUT; patch PATCH; delete DELETE; }

    fn with<H: Handler<T, Api>, T: 'static>(
        mut self,
        filter: MethodFilter,
        method: Method,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.operations.push((method, operation));
        Route { handlers: self.handlers.merge(on(filter, handler)), ..self }
    }

    pub(super) fn add_to(self, router: Router<Api>) -> Router<Api> {
        router.route(&self.path, self.handlers)
    }
}
