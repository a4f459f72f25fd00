//! Where a request came from: [`Peer`], for handlers that ask for it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use streamit_edge::Peer;

use crate::app::App;

impl FromRequestParts<App> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of_request(parts, &app.config.trusted_proxies))
    }
}
