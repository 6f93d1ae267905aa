//! The first generation of pipelines: there are none. wrangler asks for them in `pipelines list`, `get`, `delete` and
//! `update`, and must hear that with code 1000.

use axum::extract::State;
use http::StatusCode;

use super::envelope::{Answer, page};
use super::query::Params;
use super::{Api, ApiError};
use crate::control::{Error, Kind};

/// Clients read the list from `result` or from `results`.
pub(super) async fn list(State(_): State<Api>, params: Params) -> Answer {
    let none: [(); 0] = [];
    let empty = page(params.page()?, &none, |()| serde_json::Value::Null)?;
    let results = empty.result().clone();
    Ok(empty.with("results", results))
}

pub(super) async fn missing(State(_): State<Api>) -> ApiError {
    Error::Missing(Kind::Pipeline).into()
}

pub(super) async fn create(State(_): State<Api>) -> ApiError {
    let message = "pipelines of the first generation are not supported; create a stream, a sink and a pipeline with SQL";
    ApiError::new(StatusCode::BAD_REQUEST, 1001, message)
}
