//! HTTP: what stands around the handlers, and the table of contents.

mod address;
pub(crate) mod caller;
pub(crate) mod error;
pub(crate) mod json;
mod observe;
pub(crate) mod origin;
pub(crate) mod path;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{Method, StatusCode};
use streamit_wire::Code;
use tower::Layer;
use tower::util::MapRequestLayer;

use self::error::ApiError;
use crate::app::App;
use crate::{auth, health, page, panel, rooms};

/// Every call, with its layers.
pub(crate) fn router(app: &App) -> Router {
    let calls = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/.well-known/jwks.json", get(health::jwks))
        .route("/api/health/", get(health::report))
        .route("/api/auth/register/", post(auth::register))
        .route("/api/auth/login/", post(auth::login))
        .route("/api/auth/guest/", post(auth::guest))
        .route("/api/auth/logout/", post(auth::logout))
        .route("/api/auth/refresh/", post(auth::refresh))
        .route("/api/auth/me/", get(auth::me))
        .merge(rooms::router())
        .merge(page::router(app.config.public_ws_url.as_ref()))
        .fallback(|| async { ApiError::from(Code::NotFound) })
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), origin::cors))
        // Beyond that layer: pages of other origins have no business with the panel, whichever they are.
        .merge(panel::router().method_not_allowed_fallback(wrong_method))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .layer(from_fn(panel::pages))
        .with_state(app.clone());
    // Paths are made canonical before anything is routed, which a layer of the router itself could not do.
    let calls = Router::new().fallback_service(MapRequestLayer::new(path::canonical).layer(calls));
    streamit_edge::with_headers(calls, &app.config.trusted_proxies)
}

/// Answers a method that a path does not know; which ones it knows, `Allow` is added to say.
async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    ApiError::from(Code::MethodNotAllowed).into_response()
}
