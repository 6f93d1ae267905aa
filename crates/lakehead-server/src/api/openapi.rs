//! The OpenAPI document, made of the routes that are served and the refusals that ingest has. It is served at `/openapi.json` and
//! kept in `docs/openapi.json`; a test compares the two.

use http::Method;
use serde_json::{Map, Value, json};

use super::route::{Content, Operation, Route};
use super::{BASE, router, schemas};
use crate::ingest;

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in router::in_account().into_iter().chain(router::of_caller()) {
        let (path, item) = path_item(&route);
        paths.insert(format!("{BASE}{path}"), item);
    }
    paths.insert("/ingest/{stream_id}".to_owned(), ingest_item());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lakehead",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The management API of Cloudflare Pipelines and the endpoint that takes records, as this server speaks them.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn path_item(route: &Route) -> (String, Value) {
    // axum marks the part that takes the rest of the path with an asterisk.
    let path = route.path.replace("{*", "{");
    let parameters: Vec<_> = path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let mut item = Map::new();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    for (method, operation) in &route.operations {
        item.insert(method.as_str().to_lowercase(), operation_object(method, &path, operation));
    }
    (path, item.into())
}

fn operation_object(method: &Method, path: &str, operation: &Operation) -> Value {
    let named = match path.strip_prefix("/accounts/{account_id}") {
        Some("") => "/account",
        Some(below) => below,
        None => path,
    };
    let words = named.split('/').filter(|part| !part.is_empty()).flat_map(|part| {
        match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(variable) => vec!["by", variable],
            None => part.split(['_', '-']).collect(),
        }
    });
    let id: String = std::iter::once(method.as_str().to_lowercase()).chain(words.map(capital)).collect();
    let mut out = json!({
        "operationId": id,
        "summary": operation.summary,
        "responses": {
            "200": { "description": "Done.", "content": content(operation.answer) },
            "default": {
                "description": "Refused: `errors[0]` says why.",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
            },
        },
    });
    if !operation.query.is_empty() {
        let parameter = |name: &&str| {
            let schema = match *name {
                "page" | "per_page" => json!({ "type": "integer", "minimum": 1 }),
                _ => json!({ "type": "string" }),
            };
            json!({ "name": name, "in": "query", "required": false, "schema": schema })
        };
        out["parameters"] = operation.query.iter().map(parameter).collect();
    }
    if let Some(body) = operation.body {
        let schema = json!({ "$ref": format!("#/components/schemas/{body}") });
        out["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    out
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn content(answer: Content) -> Value {
    if answer == Content::Bytes {
        return json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } });
    }
    json!({ "application/json": { "schema": answer_schema(answer) } })
}

/// The schema of a whole answer, with the envelope around the result.
pub(super) fn answer_schema(answer: Content) -> Value {
    let named = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let messages = json!({ "type": "array", "items": named("Message") });
    let mut properties = json!({
        "success": { "const": true }, "errors": { "type": "array", "maxItems": 0 }, "messages": messages,
    });
    match answer {
        Content::Plain(name) => return named(name),
        Content::Nothing | Content::Bytes => properties["result"] = json!({ "type": "null" }),
        Content::One(name) => properties["result"] = named(name),
        Content::Page(name) => {
            properties["result"] = json!({ "type": "array", "items": named(name) });
            properties["result_info"] = named("ResultInfo");
        }
    }
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|o| o.keys().cloned()).collect();
    if answer == Content::Page("LegacyPipeline") {
        // The SDKs read the list from here.
        properties["results"] = properties["result"].clone();
    }
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// The endpoint of a stream, with every refusal it has.
fn ingest_item() -> Value {
    let mut responses = json!({
        "200": {
            "description": "All records of the request are on disk.",
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Committed" } } },
        },
    });
    for (status, code, message) in ingest::refusals() {
        let status = status.as_u16().to_string();
        let line = format!("{code}: {message}");
        let description = match responses[&status]["description"].as_str() {
            Some(before) => format!("{before}\n{line}"),
            None => line,
        };
        responses[&status] = json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
        });
    }
    let record = json!({ "type": "object" });
    json!({
        "parameters": [{ "name": "stream_id", "in": "path", "required": true, "schema": { "type": "string" } }],
        "post": {
            "operationId": "sendRecords",
            "summary": "Send records to a stream, all or none",
            "security": [{}, { "token": [] }],
            "parameters": [{
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Names the request within its stream. One that comes again with the same key and body is answered \
                    alike, with `Idempotent-Replayed: true`, and stored once. The last 500,000 keys of all streams are remembered, \
                    unless the server is told another number.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            }],
            "requestBody": {
                "required": true,
                "description": "Any content type stands for a JSON array; `application/x-ndjson` for one record a line. \
                    `Content-Encoding` may be gzip, zstd, br or deflate.",
                "content": {
                    "application/json": { "schema": { "type": "array", "items": record } },
                    "application/x-ndjson": { "schema": { "type": "string" } },
                },
            },
            "responses": responses,
        },
    })
}
