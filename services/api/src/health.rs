//! Whether this process lives, may be sent work, and what it knows of the things it needs.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::app::App;
use crate::http::json::Json;

/// How long the database may take to give a sign of life.
const PATIENCE: Duration = Duration::from_secs(2);

/// This process can answer. No dependency is asked: restarting would not mend one.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Work may be sent here: this process has reached its database, whose schema is the one it was built for, and has
/// a key to sign with. That is found out once. A database that goes away later makes calls fail here as on every
/// other replica, and taking all of them away would mend nothing.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    if !app.health.ready() {
        check(&app).await;
    }
    let checks: serde_json::Map<String, serde_json::Value> =
        app.health.report().into_iter().map(|(name, ok)| (name.to_owned(), ok.into())).collect();
    let ready = app.health.ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "checks": checks}))).into_response()
}

/// Looks at what readiness depends on.
pub(crate) async fn check(app: &App) {
    let current = tokio::time::timeout(PATIENCE, app.store.schema_is_current()).await;
    if let Ok(Ok(current)) = current {
        app.health.check("database").set(true);
        app.health.check("schema").set(current);
    }
}

/// What this process sees of the things it needs, now. For people and their dashboards, not for load balancers.
pub(crate) async fn report(State(app): State<App>) -> Response {
    let database = matches!(tokio::time::timeout(PATIENCE, app.store.ping()).await, Ok(Ok(())));
    let live = app.rooms.is_healthy();
    let status = if database && live { "ok" } else { "degraded" };
    let view = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "checks": {"database": database, "live_state": live},
    });
    let code = if database { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(view)).into_response()
}

/// The public keys that verify access tokens.
pub(crate) async fn jwks(State(app): State<App>) -> Response {
    let keys = json!({"keys": app.keys.jwks()});
    ([(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"))], Json(keys)).into_response()
}
