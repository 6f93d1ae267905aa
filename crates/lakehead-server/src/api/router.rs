//! The table of contents of the management API.

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};

use super::route::Content::{Bytes, Nothing, One, Page, Plain};
use super::route::{Route, at, op};
use super::{
    Api, BASE, account, audit, auth, buckets, catalogs, envelope, error, legacy, pipelines, preview, sinks,
    streams, tokens,
};

/// All routes below [`BASE`].
pub fn router(api: Api) -> Router {
    // The middlewares are laid around whole paths: the check needs the account in it.
    let in_account = in_account().into_iter().fold(Router::new(), |router, route| route.add_to(router));
    let in_account = in_account.route_layer(from_fn_with_state(api.clone(), auth::in_account));
    let of_caller = of_caller().into_iter().fold(Router::new(), |router, route| route.add_to(router));
    let of_caller = of_caller.route_layer(from_fn_with_state(api.clone(), auth::of_caller));
    Router::new()
        .nest(BASE, in_account.merge(of_caller))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(map_response(envelope::seal))
        .with_state(api)
}

/// What belongs to the account.
pub(super) fn in_account() -> Vec<Route> {
    const FILTER: &[&str] = &["page", "per_page", "name", "pipeline_id"];
    let below = |path: &str| at(format!("/accounts/{{account_id}}{path}"));
    let mut routes = vec![
        below("/pipelines/v1/streams")
            .get(streams::list, op("List streams", Page("Stream")).query(FILTER))
            .post(streams::create, op("Create a stream", One("Stream")).body("StreamCreate")),
        below("/pipelines/v1/streams/{id}")
            .get(streams::read, op("Get a stream", One("Stream")))
            .patch(streams::patch, op("Change how a stream takes records", One("Stream")).body("StreamPatch"))
            .delete(streams::delete, op("Delete a stream and the pipelines that read it", Nothing)),
        below("/pipelines/v1/sinks")
            .get(sinks::list, op("List sinks", Page("Sink")).query(FILTER))
            .post(sinks::create, op("Create a sink", One("Sink")).body("SinkCreate")),
        below("/pipelines/v1/sinks/{id}")
            .get(sinks::read, op("Get a sink", One("Sink")))
            .patch(sinks::patch, op("Give a sink other credentials", One("Sink")).body("SinkPatch"))
            .delete(sinks::delete, op("Delete a sink and the pipelines that write to it", Nothing)),
        below("/pipelines/v1/pipelines")
            .get(pipelines::list, op("List pipelines", Page("Pipeline")).query(&["page", "per_page", "name"]))
            .post(pipelines::create, op("Create a pipeline", One("Pipeline")).body("PipelineCreate")),
        below("/pipelines/v1/pipelines/{id}")
            .get(pipelines::read, op("Get a pipeline with what it reads and writes", One("PipelineDetails")))
            .patch(
                pipelines::patch,
                op("Change the SQL of a pipeline in place", One("PipelineDetails")).body("PipelinePatch"),
            )
            .delete(pipelines::delete, op("Delete a pipeline", Nothing)),
        below("/pipelines/v1/pipelines/{id}/versions").get(
            pipelines::versions,
            op("List the versions of a pipeline's SQL, newest first", Page("PipelineVersion")),
        ),
        below("/pipelines/v1/pipelines/{id}/audit").get(
            audit::audit,
            op("Recount what a pipeline has made from its output and the log", One("Audit")),
        ),
        below("/pipelines/v1/validate_sql").post(
            pipelines::validate_sql,
            op("Check SQL without making anything", One("Validation")).body("Sql"),
        ),
        below("/pipelines/v1/preview_sql").post(
            preview::preview_sql,
            op("Run SQL over the last records of its streams without writing anything", One("Preview"))
                .body("PreviewSql"),
        ),
        below("/pipelines")
            .get(
                legacy::list,
                op("List legacy pipelines", Page("LegacyPipeline")).query(&["page", "per_page", "search"]),
            )
            .post(
                legacy::create,
                op("Create a legacy pipeline", One("LegacyPipeline")).body("LegacySettings"),
            ),
        below("/pipelines/{name}")
            .get(legacy::read, op("Get a legacy pipeline", One("LegacyPipeline")))
            .put(legacy::update, op("Change a legacy pipeline", One("LegacyPipeline")).body("LegacySettings"))
            .delete(legacy::delete, op("Delete a legacy pipeline", Nothing)),
        below("/r2/buckets")
            .get(buckets::list, op("List buckets", One("Buckets")).query(&["name_contains"]))
            .post(buckets::create, op("Create a bucket", One("Bucket")).body("BucketCreate")),
        below("/r2/buckets/{bucket}")
            .get(buckets::read, op("Get a bucket", One("Bucket")))
            .delete(buckets::delete, op("Delete an empty bucket", Nothing)),
        below("/r2/buckets/{bucket}/objects/{*key}").get(buckets::object, op("Get an object", Bytes)),
        below("/tokens").get(tokens::list, op("List tokens", Page("Token"))).post(
            tokens::create,
            op("Create a token; the only answer with its value", One("TokenWithValue")).body("TokenCreate"),
        ),
        below("/tokens/verify")
            .get(tokens::verify, op("Show what the token of this request is", One("TokenStatus"))),
        below("/tokens/{id}")
            .get(tokens::read, op("Get a token", One("Token")))
            .delete(tokens::delete, op("Revoke a token", Nothing)),
        below("").get(account::read, op("Get the account", One("Account"))),
    ];
    // Reached under the old and the new name of the product.
    routes.extend(
        ["/r2-catalog", "/basin-catalog"].into_iter().flat_map(|product| of_catalogs(&below, product)),
    );
    routes
}

fn of_catalogs(below: &impl Fn(&str) -> Route, product: &str) -> Vec<Route> {
    let below = |path: &str| below(&format!("{product}{path}"));
    vec![
        below("").get(catalogs::list, op("List the catalogs of buckets", One("Catalogs"))),
        below("/{bucket}").get(catalogs::read, op("Get the catalog of a bucket", One("Catalog"))),
        below("/{bucket}/enable")
            .post(catalogs::enable, op("Switch a bucket's catalog on", One("CatalogName"))),
        below("/{bucket}/disable").post(catalogs::disable, op("Switch a bucket's catalog off", Nothing)),
        below("/{bucket}/delete")
            .post(catalogs::delete, op("Remove a bucket's catalog", Nothing).query(&["force"])),
        below("/{bucket}/credential").post(
            catalogs::credential,
            op("Give the token for maintenance", Nothing).body("CatalogCredential"),
        ),
        below("/{bucket}/maintenance-configs")
            .get(catalogs::maintenance, op("Get what is done to the tables", One("MaintenanceConfigs")))
            .post(
                catalogs::patch_maintenance,
                op("Change what is done to the tables", One("Maintenance")).body("MaintenancePatch"),
            ),
        below("/{bucket}/namespaces")
            .get(catalogs::namespaces, op("List the namespaces of a catalog", One("Namespaces"))),
        below("/{bucket}/namespaces/{namespace}/tables")
            .get(catalogs::tables, op("List the tables of a namespace", One("Tables"))),
        below("/{bucket}/namespaces/{namespace}/tables/{table}/maintenance-configs")
            .get(
                catalogs::table_maintenance,
                op("Get what is done to a table", One("TableMaintenanceConfigs")),
            )
            .post(
                catalogs::patch_table_maintenance,
                op("Change what is done to a table", One("Maintenance")).body("MaintenancePatch"),
            ),
    ]
}

/// What belongs to whoever asks.
pub(super) fn of_caller() -> Vec<Route> {
    vec![
        at("/accounts").get(account::list, op("List the accounts: there is one", Page("Account"))),
        at("/memberships")
            .get(account::memberships, op("List the memberships: there is one", Page("Membership"))),
        at("/user").get(account::user, op("Show who asks", One("User"))),
        at("/user/tokens/verify")
            .get(tokens::verify, op("Show what the token of this request is", One("TokenStatus"))),
        at("/graphql")
            .post(account::graphql, op("Ask what a bucket holds", Plain("Figures")).body("GraphQl")),
    ]
}
