//! The document says what is served, and what is served is as the document says: every other test's requests and answers are
//! held against it in [`check_exchange`].

use std::path::Path;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::openapi::document;
use crate::api::route::{Operation, Route};
use crate::api::router;

/// Set to write `docs/openapi.json` instead of comparing it.
const WRITE: &str = "LAKEHEAD_TEST_WRITE";

#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = format!("{:#}\n", document());
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == kept,
        "docs/openapi.json is old; run the tests of lakehead-server with {WRITE}=1 to write it anew"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let document = document();
    let mut names = std::collections::BTreeSet::new();
    let mut waiting = vec![&document];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(target)) = object.get("$ref") {
                    let pointer = target.strip_prefix('#').expect("references are local");
                    assert!(document.pointer(pointer).is_some(), "{target} is missing");
                }
                if let Some(Value::String(name)) = object.get("operationId") {
                    assert!(names.insert(name.clone()), "{name} is there twice");
                }
                waiting.extend(object.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(names.len() > 40, "{names:?}");
    for name in ["getPipelinesV1Streams", "postPipelinesV1Streams", "getUserTokensVerify", "sendRecords"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
}

/// Holds a request that was accepted, and its answer or refusal, against the document. Paths that are not served are none of its
/// business.
pub(super) fn check_exchange(
    method: &Method,
    path: &str,
    body: Option<&Value>,
    status: StatusCode,
    answer: &Value,
) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else {
        assert!(status.is_client_error(), "{method} {path} is served and not described");
        return;
    };
    if !status.is_success() {
        let error = json!({ "$ref": "#/components/schemas/Error" });
        return valid(&error, answer, &format!("refusal of {method} {path}"));
    }
    valid(
        &crate::api::openapi::answer_schema(operation.answer),
        answer,
        &format!("answer to {method} {path}"),
    );
    if let Some(body) = body {
        let name = operation.body.unwrap_or_else(|| panic!("{method} {path} takes no body"));
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        valid(&schema, body, &format!("body of {method} {path}"));
    }
}

fn operation(method: &Method, path: &str) -> Option<Operation> {
    let path = path.strip_prefix(crate::api::BASE)?;
    let routes = router::in_account().into_iter().chain(router::of_caller());
    let mut found: Vec<Route> = routes.filter(|route| matches(&route.path, path)).collect();
    // As axum: the path with fewer variable parts wins.
    found.sort_by_key(|route| route.path.matches('{').count());
    found
        .into_iter()
        .next()?
        .operations
        .into_iter()
        .find(|(m, _)| m == method)
        .map(|(_, operation)| operation)
}

fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(_)) if part.starts_with("{*") => return true,
            (Some(part), Some(text)) if part.starts_with('{') || part == text => {}
            _ => return false,
        }
    }
}

fn valid(schema: &Value, value: &Value, what: &str) {
    let faults = super::schema_check::faults(schema, value, &crate::api::schemas::all());
    assert!(faults.is_empty(), "{what} is not as the document says: {faults:?}\n{value:#}");
}
