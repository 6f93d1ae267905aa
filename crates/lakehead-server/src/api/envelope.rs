//! The envelope every JSON answer comes in.
//!
//! ```text
//!   {"success":true, "errors":[], "messages":[…], "result":…, "result_info":{…}?}
//! ```

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::ApiError;
use super::query::Page;

/// What handlers return.
pub(super) type Answer = Result<Success, ApiError>;

/// A successful answer.
#[derive(Debug)]
pub(super) struct Success {
    result: Value,
    messages: Vec<String>,
    extra: Map<String, Value>,
}

/// One thing, or `null`.
pub(super) fn ok(result: Value) -> Answer {
    Ok(Success { result, messages: Vec::new(), extra: Map::new() })
}

/// `null`, and what a person should know.
pub(super) fn done(messages: Vec<String>) -> Answer {
    Ok(Success { result: Value::Null, messages, extra: Map::new() })
}

/// One page of `all`; empty past the end, which is how clients know where to stop.
pub(super) fn page<T>(page: Page, all: &[T], to_json: impl Fn(&T) -> Value) -> Answer {
    let result: Vec<_> = page.cut(all).iter().map(to_json).collect();
    let info = json!({
        "page": page.page, "per_page": page.per_page, "count": result.len(), "total_count": all.len(),
    });
    let extra = Map::from_iter([("result_info".to_owned(), info)]);
    Ok(Success { result: result.into(), messages: Vec::new(), extra })
}

impl Success {
    /// Adds a key beside `result`.
    pub(super) fn with(mut self, key: &str, value: Value) -> Self {
        self.extra.insert(key.to_owned(), value);
        self
    }

    pub(super) fn result(&self) -> &Value {
        &self.result
    }
}

/// Cloudflare's shape of a message or an error.
pub(super) fn coded(code: u32, message: &str) -> Value {
    json!({ "code": code, "message": message })
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let messages: Vec<_> = self.messages.iter().map(|text| coded(0, text)).collect();
        let mut body = json!({
            "success": true, "errors": [], "messages": messages, "result": self.result,
        });
        if let Value::Object(object) = &mut body {
            object.extend(self.extra);
        }
        write(StatusCode::OK, &body)
    }
}

/// A JSON answer.
pub(super) fn write(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// What holds for every answer: nobody may keep it, no browser may guess at its type.
pub(super) async fn seal(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
