//! The table of contents of the management API.

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{any, get, post};

use super::{
    Api, BASE, account, auth, buckets, catalogs, envelope, error, legacy, pipelines, sinks, streams, tokens,
};

/// All routes below [`BASE`].
pub fn router(api: Api) -> Router {
    let in_account = Router::new()
        .route("/pipelines/v1/streams", get(streams::list).post(streams::create))
        .route("/pipelines/v1/streams/{id}", get(streams::read).patch(streams::patch).delete(streams::delete))
        .route("/pipelines/v1/sinks", get(sinks::list).post(sinks::create))
        .route("/pipelines/v1/sinks/{id}", get(sinks::read).delete(sinks::delete))
        .route("/pipelines/v1/pipelines", get(pipelines::list).post(pipelines::create))
        .route("/pipelines/v1/pipelines/{id}", get(pipelines::read).delete(pipelines::delete))
        .route("/pipelines/v1/validate_sql", post(pipelines::validate_sql))
        .route("/pipelines", get(legacy::list).post(legacy::create))
        .route("/pipelines/{name}", get(legacy::read).put(legacy::update).delete(legacy::delete))
        .route("/r2/buckets", get(buckets::list).post(buckets::create))
        .route("/r2/buckets/{bucket}", get(buckets::read).delete(buckets::delete))
        .route("/r2/buckets/{bucket}/objects/{*key}", get(buckets::object))
        .nest("/r2-catalog", of_catalogs())
        .nest("/basin-catalog", of_catalogs())
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/verify", get(tokens::verify))
        .route("/tokens/{id}", get(tokens::read).delete(tokens::delete))
        .route("/", get(account::read));
    // Laid around the nest, not inside it: the check needs the path with the account in it.
    let in_account = Router::new()
        .nest("/accounts/{account}", in_account)
        .route_layer(from_fn_with_state(api.clone(), auth::in_account));
    let of_caller = Router::new()
        .route("/accounts", get(account::list))
        .route("/memberships", get(account::memberships))
        .route("/user", get(account::user))
        .route("/user/tokens/verify", get(tokens::verify))
        .route("/graphql", post(account::graphql))
        .route_layer(from_fn_with_state(api.clone(), auth::of_caller));
    Router::new()
        .nest(BASE, in_account.merge(of_caller))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(map_response(envelope::seal))
        .with_state(api)
}

/// Reached under the old and the new name of the product.
fn of_catalogs() -> Router<Api> {
    Router::new()
        .route("/", get(catalogs::list))
        .route("/{bucket}", get(catalogs::read))
        .route("/{bucket}/enable", post(catalogs::enable))
        .route("/{bucket}/disable", post(catalogs::disable))
        .route("/{bucket}/delete", post(catalogs::delete))
        .route("/{bucket}/credential", post(catalogs::credential))
        .route("/{bucket}/maintenance-configs", get(catalogs::maintenance).post(catalogs::patch_maintenance))
        .route("/{bucket}/namespaces", get(catalogs::namespaces))
        .route("/{bucket}/namespaces/{*rest}", any(catalogs::no_namespace))
}
