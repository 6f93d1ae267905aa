//! JSON Schemas of everything on the wire, for the OpenAPI document. They stand beside the code that reads and writes these
//! values; the tests of the API hold every request that was accepted and every answer against them, and answers must have no
//! field that is not here.

mod audit;
mod preview;

use serde_json::{Value, json};

/// All schemas by name.
pub(super) fn all() -> Value {
    let mut all = json!({});
    for group in [
        streams(),
        sinks(),
        pipelines(),
        audit::schemas(),
        preview::schemas(),
        legacy(),
        buckets(),
        catalogs(),
        tokens(),
        account(),
        envelope(),
    ] {
        let (Value::Object(all), Value::Object(group)) = (&mut all, group) else { continue };
        all.extend(group);
    }
    all
}

fn r#ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn id() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn one_of(values: &[&str]) -> Value {
    json!({ "type": "string", "enum": values })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn or_null(mut schema: Value) -> Value {
    if schema.get("$ref").is_some() {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

/// What an answer holds: these fields, `optional` ones not always, and nothing else.
fn answer(required: Value, optional: Value) -> Value {
    let names: Vec<_> = required.as_object().into_iter().flat_map(|o| o.keys().cloned()).collect();
    let mut properties = required;
    if let (Value::Object(all), Value::Object(more)) = (&mut properties, optional) {
        all.extend(more);
    }
    json!({ "type": "object", "required": names, "properties": properties, "additionalProperties": false })
}

/// What a request must hold, and what it may. Unknown fields are ignored.
fn request(required: Value, optional: Value) -> Value {
    let mut schema = answer(required, optional);
    schema["additionalProperties"] = true.into();
    schema
}

fn none() -> Value {
    json!({})
}

fn streams() -> Value {
    let cors = answer(json!({ "origins": list(text()) }), none());
    let http = answer(json!({ "enabled": flag(), "authentication": flag() }), json!({ "cors": cors }));
    let binding = answer(json!({ "enabled": flag() }), none());
    let format = json!({
        "type": one_of(&["json"]), "unstructured": flag(),
        "decimal_encoding": one_of(&["number", "string", "bytes"]),
        "timestamp_format": one_of(&["rfc3339", "unix_millis"]),
    });
    let field = json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "name": text(), "required": flag(), "sql_name": text(), "metadata_key": or_null(text()),
            "type": one_of(&[
                "bool", "int32", "int64", "uint32", "uint64", "float32", "float64", "decimal128", "string", "binary",
                "bytes", "timestamp", "json", "struct", "list",
            ]),
            "unit": one_of(&["second", "millisecond", "microsecond", "nanosecond", "s", "ms", "us", "µs", "ns"]),
            "precision": count(), "scale": count(), "fields": list(r#ref("Field")), "items": r#ref("Field"),
        },
        "additionalProperties": true,
    });
    let schema = request(json!({ "fields": list(r#ref("Field")) }), json!({ "inferred": or_null(flag()) }));
    json!({
        "Field": field,
        "Schema": schema,
        "StreamHttp": http,
        "Stream": answer(json!({
            "id": id(), "name": text(), "version": count(), "endpoint": { "type": "string", "format": "uri" },
            "http": r#ref("StreamHttp"), "worker_binding": binding,
            "format": answer(json!({ "type": one_of(&["json"]) }), format.clone()),
            "schema": or_null(r#ref("Schema")), "created_at": time(), "modified_at": time(),
        }), none()),
        "StreamCreate": request(json!({ "name": text() }), json!({
            "http": or_null(json!({ "type": "object" })), "worker_binding": or_null(json!({ "type": "object" })),
            "format": or_null(json!({ "type": "object", "properties": format })),
            "schema": or_null(r#ref("Schema")),
        })),
        "StreamPatch": request(none(), json!({ "http": or_null(r#ref("StreamHttp")), "worker_binding": or_null(binding) })),
    })
}

fn sinks() -> Value {
    let rolling =
        json!({ "file_size_bytes": count(), "interval_seconds": count(), "inactivity_seconds": count() });
    let naming = json!({
        "prefix": text(), "suffix": text(), "strategy": one_of(&["serial", "uuid", "uuid_v7", "ulid"]),
    });
    let json_format = json!({
        "type": one_of(&["json"]), "compression": one_of(&["uncompressed", "gzip"]), "unstructured": flag(),
        "decimal_encoding": one_of(&["number", "string", "bytes"]),
        "timestamp_format": one_of(&["rfc3339", "unix_millis"]),
    });
    let parquet_format = json!({
        "type": one_of(&["parquet"]), "row_group_bytes": or_null(count()),
        "compression": one_of(&["uncompressed", "snappy", "gzip", "zstd", "lz4"]),
    });
    let format = json!({ "oneOf": [
        answer(json!({ "type": one_of(&["json"]) }), json_format),
        answer(json!({ "type": one_of(&["parquet"]) }), parquet_format),
    ] });
    let files = answer(
        json!({
            "account_id": id(), "bucket": text(), "path": text(),
            "partitioning": answer(json!({ "time_pattern": text() }), none()),
            "file_naming": answer(none(), naming.clone()), "rolling_policy": answer(none(), rolling.clone()),
        }),
        json!({ "jurisdiction": text() }),
    );
    let table = answer(
        json!({
            "account_id": id(), "bucket": text(), "namespace": text(), "table_name": text(),
            "rolling_policy": answer(none(), rolling.clone()),
        }),
        json!({
            "existing_table": flag(), "add_columns": flag(), "partition_by": or_null(list(text())),
            "sort_by": list(text()),
        }),
    );
    let config = json!({
        "account_id": text(), "bucket": text(), "path": or_null(text()), "jurisdiction": or_null(text()),
        "partitioning": or_null(request(none(), json!({ "time_pattern": or_null(text()) }))),
        "file_naming": or_null(request(none(), naming)), "rolling_policy": or_null(request(none(), rolling)),
        "credentials": or_null(request(json!({ "access_key_id": text(), "secret_access_key": text() }), none())),
        "namespace": or_null(text()), "table_name": text(), "token": text(),
        "existing_table": or_null(flag()), "add_columns": or_null(flag()), "partition_by": or_null(list(text())),
        "sort_by": or_null(list(text())),
    });
    json!({
        "SinkFormat": format,
        "Sink": answer(json!({
            "id": id(), "name": text(), "type": one_of(&["r2", "r2_data_catalog"]), "version": count(),
            "format": r#ref("SinkFormat"), "schema": or_null(json!({ "type": "object" })),
            "config": { "oneOf": [files, table] }, "created_at": time(), "modified_at": time(),
        }), none()),
        "SinkPatch": request(json!({ "config": request(none(), json!({
            "credentials": or_null(json!({ "type": "object" })), "token": or_null(text()),
        })) }), none()),
        "SinkCreate": request(json!({
            "name": text(), "type": one_of(&["r2", "r2_data_catalog", "basin_catalog"]),
        }), json!({
            "config": or_null(request(none(), config)),
            "format": or_null(json!({ "type": "object" })), "schema": or_null(json!({ "type": "object" })),
        })),
    })
}

fn pipelines() -> Value {
    let pipeline = json!({
        "id": id(), "name": text(), "sql": text(), "status": one_of(&["initializing", "running", "failed"]),
        "created_at": time(), "modified_at": time(),
    });
    let table =
        json!({ "id": id(), "name": text(), "type": one_of(&["stream", "sink"]), "version": count() });
    let mut details = pipeline.clone();
    details["tables"] = list(answer(table.clone(), json!({ "latest": count(), "href": text() })));
    details["version"] = count();
    details["running_version"] = or_null(count());
    let span = answer(
        json!({ "stream_id": id(), "stream": or_null(text()), "from": count(), "until": or_null(count()) }),
        none(),
    );
    let version = json!({
        "version": count(), "sql": text(), "created_at": time(), "state": one_of(&["waiting", "running", "past"]),
        "spans": list(span),
    });
    let patch = json!({
        "sql": or_null(text()), "rollback_to_version": or_null(count()), "expected_version": or_null(count()),
    });
    let counters = answer(
        json!({
            "accepted": count(), "delivered": count(), "filtered": count(), "dead_lettered": count(), "lost": count(),
            "in_flight": count(),
        }),
        none(),
    );
    let node = answer(
        json!({ "node_id": count(), "operator": text(), "description": text(), "parallelism": count() }),
        none(),
    );
    let edge = answer(
        json!({
            "src_id": count(), "dest_id": count(), "edge_type": text(), "key_type": text(), "value_type": text(),
        }),
        none(),
    );
    json!({
        "Pipeline": answer(pipeline, json!({ "failure_reason": text() })),
        "PipelineDetails": answer(details, json!({ "failure_reason": text(), "counters": counters })),
        "PipelineCreate": request(json!({ "name": text(), "sql": text() }), none()),
        "PipelinePatch": request(none(), patch),
        "PipelineVersion": answer(version, none()),
        "Sql": request(json!({ "sql": text() }), none()),
        "Validation": answer(json!({
            "tables": { "type": "object", "additionalProperties": answer(table, none()) },
            "graph": answer(json!({ "nodes": list(node), "edges": list(edge) }), none()),
        }), none()),
    })
}

fn legacy() -> Value {
    let cors = request(json!({ "origins": list(text()) }), none());
    let source = request(
        json!({ "type": one_of(&["http", "binding"]) }),
        json!({
            "format": one_of(&["json"]), "authentication": flag(), "cors": or_null(cors),
        }),
    );
    let seconds = json!({ "type": "number", "minimum": 0 });
    let batch = json!({ "max_bytes": count(), "max_duration_s": seconds, "max_rows": count() });
    let compression = request(json!({ "type": one_of(&["none", "gzip", "deflate"]) }), none());
    let path = json!({ "bucket": text(), "prefix": text() });
    let destination = |batch: Value, more: Value| {
        answer(
            json!({
                "type": one_of(&["r2"]), "format": one_of(&["json"]), "compression": compression.clone(), "batch": batch,
                "path": request(json!({ "bucket": text() }), path.clone()),
            }),
            more,
        )
    };
    let keys = request(
        json!({ "access_key_id": text(), "secret_access_key": text() }),
        json!({ "endpoint": text() }),
    );
    let metadata = request(none(), json!({ "shards": count() }));
    let settings = destination(request(none(), batch.clone()), json!({ "credentials": or_null(keys) }));
    json!({
        "LegacyPipeline": answer(json!({
            "id": id(), "name": text(), "version": count(), "endpoint": { "type": "string", "format": "uri" },
            "metadata": metadata, "source": list(source.clone()), "transforms": list(none()),
            "destination": destination(answer(batch, none()), none()),
        }), none()),
        // A change may leave the name out.
        "LegacySettings": request(json!({
            "source": list(source),
            "destination": request(json!({ "path": settings["properties"]["path"] }), settings["properties"].clone()),
        }), json!({ "name": text(), "metadata": or_null(metadata), "transforms": or_null(list(none())) })),
    })
}

fn buckets() -> Value {
    json!({
        "Bucket": answer(json!({
            "name": text(), "creation_date": time(), "location": text(), "storage_class": text(), "jurisdiction": text(),
        }), none()),
        "Buckets": answer(json!({ "buckets": list(r#ref("Bucket")) }), none()),
        "BucketCreate": request(
            json!({ "name": text() }),
            json!({ "locationHint": or_null(text()), "storageClass": or_null(text()) }),
        ),
    })
}

fn catalogs() -> Value {
    let state = one_of(&["enabled", "disabled"]);
    let compaction = json!({ "state": state, "target_size_mb": one_of(&["64", "128", "256", "512"]) });
    let expiration = json!({ "state": state, "max_snapshot_age": text(), "min_snapshots_to_keep": count() });
    let status = one_of(&["present", "absent"]);
    json!({
        "Maintenance": answer(none(), json!({
            "compaction": answer(compaction, none()), "snapshot_expiration": answer(expiration.clone(), none()),
        })),
        "MaintenancePatch": request(none(), json!({
            "compaction": request(none(), json!({
                "state": state, "target_size_mb": { "type": ["string", "number"] }, "targetSizeMb": { "type": ["string", "number"] },
            })),
            "snapshot_expiration": request(none(), expiration),
        })),
        "MaintenanceConfigs": answer(
            json!({ "credential_status": status, "maintenance_config": r#ref("Maintenance") }),
            none(),
        ),
        "Catalog": answer(json!({
            "id": id(), "name": text(), "bucket": text(), "status": one_of(&["active", "inactive"]),
            "credential_status": status, "maintenance_config": r#ref("Maintenance"),
        }), none()),
        "Catalogs": answer(json!({ "warehouses": list(r#ref("Catalog")) }), none()),
        "CatalogName": answer(json!({ "id": id(), "name": text() }), none()),
        "CatalogCredential": request(json!({ "token": text() }), none()),
        "TableMaintenanceConfigs": answer(json!({ "maintenance_config": r#ref("Maintenance") }), none()),
        "Tables": answer(json!({
            "identifiers": list(answer(json!({ "namespace": list(text()), "name": text() }), none())),
        }), none()),
        "Namespaces": answer(json!({ "namespaces": list(list(text())) }), none()),
    })
}

fn tokens() -> Value {
    let permissions = list(one_of(&["read", "write", "send"]));
    let token = json!({
        "id": id(), "name": text(), "status": one_of(&["active", "expired"]), "permissions": permissions,
        "streams": or_null(list(id())), "issued_on": time(), "modified_on": time(), "expires_on": or_null(time()),
        "last_used_on": or_null(time()),
    });
    let mut with_value = token.clone();
    with_value["value"] = text();
    json!({
        "Token": answer(token, none()),
        "TokenWithValue": answer(with_value, none()),
        "TokenCreate": request(
            json!({ "name": text(), "permissions": permissions }),
            json!({ "streams": or_null(list(id())), "expires_on": or_null(time()) }),
        ),
        "TokenStatus": answer(json!({ "id": id(), "status": one_of(&["active"]) }), json!({ "expires_on": time() })),
    })
}

fn account() -> Value {
    json!({
        "Account": answer(json!({ "id": id(), "name": text(), "type": text() }), none()),
        "Membership": answer(json!({
            "id": id(), "status": text(), "account": r#ref("Account"), "roles": list(text()),
        }), none()),
        "User": answer(json!({ "id": id(), "email": text() }), none()),
        "GraphQl": request(none(), json!({ "query": text(), "variables": { "type": "object" } })),
        "Figures": answer(json!({ "data": { "type": "object" }, "errors": { "type": "null" } }), none()),
    })
}

fn envelope() -> Value {
    let source =
        answer(json!({ "pointer": text() }), json!({ "line": count(), "column": count(), "text": text() }));
    let coded = answer(json!({ "code": count(), "message": text() }), json!({ "source": source }));
    json!({
        "Message": coded,
        "ResultInfo": answer(
            json!({ "page": count(), "per_page": count(), "count": count(), "total_count": count() }),
            none(),
        ),
        "Error": answer(json!({
            "success": { "const": false }, "errors": list(r#ref("Message")), "messages": list(r#ref("Message")),
            "result": { "type": "null" },
        }), none()),
        "Committed": answer(json!({
            "success": { "const": true }, "result": answer(json!({ "committed": count() }), none()),
        }), none()),
    })
}
