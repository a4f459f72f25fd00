//! Who calls: by bearer token or by the session cookie, checked against the living session on every use.

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use streamit_domain::UserId;
use streamit_edge::Peer;
use streamit_storage::sessions;
use streamit_storage::users::User;
use streamit_wire::Code;

use super::error::Result;
use super::origin::refuse_cross_site;
use crate::app::App;
use crate::audit::{Origin, RequestId};
use crate::http::error::ApiError;
use crate::identity::secrets;

/// The name of the session cookie.
const COOKIE_NAME: &str = "streamit_session";

/// Somebody known. A handler that takes one can't be reached by anybody else.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) user: UserId,
    /// What is known of them.
    pub(crate) account: User,
    /// Where they call from.
    pub(crate) peer: Peer,
    /// What is written down of where they come from.
    pub(crate) origin: Origin,
}

impl Caller {
    fn new(app: &App, parts: &Parts, account: User) -> Self {
        let peer = Peer::of_request(parts, &app.config.trusted_proxies);
        let origin = Origin::stranger(&peer, parts.extensions.get::<RequestId>()).known(&account);
        Self { user: account.id, account, peer, origin }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let now = app.now();
        let Some(token) = bearer(&parts.headers) else {
            return by_cookie(parts, app).await?.ok_or_else(|| Code::Unauthenticated.into());
        };
        let claims = app.keys.verify(token).filter(|claims| !claims.is_early(now));
        let claims = claims.ok_or(Code::Unauthenticated)?;
        if claims.is_expired(now) {
            // A page that was asleep: its cookie speaks for it, but only if it is the same person's.
            let caller = by_cookie(parts, app).await?.filter(|caller| caller.user == claims.sub);
            return caller.ok_or_else(|| Code::Unauthenticated.into());
        }
        let mut read = app.store.read().await?;
        let live = sessions::live(&mut read, claims.sid, now).await?;
        let live = live.filter(|(_, user)| user.id == claims.sub);
        live.map(|(_, user)| Self::new(app, parts, user)).ok_or_else(|| Code::SessionRevoked.into())
    }
}

async fn by_cookie(parts: &Parts, app: &App) -> Result<Option<Caller>> {
    let Some(secret) = cookie(&parts.headers) else { return Ok(None) };
    refuse_cross_site(parts, &app.config.allowed_origins)?;
    let mut read = app.store.read().await?;
    let live = sessions::by_cookie(&mut read, &secrets::digest(secret), app.now()).await?;
    Ok(live.map(|(_, user)| Caller::new(app, parts, user)))
}

/// The bearer token. Another scheme is somebody else's business (a proxy's password, say).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?;
    // A header that is not text can't be a token, but it is an attempt to be one.
    let Ok(text) = value.to_str() else { return Some("") };
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session cookie's secret.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_named(headers, COOKIE_NAME)
}

/// What a cookie holds. Other cookies of the same site may be anything, even no text.
pub(crate) fn cookie_named<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, secret)| secret)
}

/// The header that sets the cookie; `Secure` only where it would come back.
pub(crate) fn set_cookie(secret: &SecretString, max_age_seconds: u64, is_tls: bool) -> Option<HeaderValue> {
    let secure = if is_tls { "; Secure" } else { "" };
    let secret = secret.expose_secret();
    let text =
        format!("{COOKIE_NAME}={secret}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that takes the cookie away.
pub(crate) fn clear_cookie(is_tls: bool) -> Option<HeaderValue> {
    set_cookie(&SecretString::default(), 0, is_tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
    }

    #[test]
    fn bearer_tokens_are_found_whatever_the_case_of_the_scheme() {
        assert_eq!(bearer(&headers("authorization", "Bearer abc")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "bearer  abc ")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "Bearer")), Some(""));
        assert_eq!(bearer(&headers("authorization", "Basic abc")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(cookie(&headers("cookie", "a=1; streamit_session=xyz; b=2")), Some("xyz"));
        assert_eq!(cookie(&headers("cookie", "xstreamit_session=xyz")), None);
        let odd = HeaderValue::from_bytes(b"a=\xff; streamit_session=xyz").unwrap();
        assert_eq!(cookie(&HeaderMap::from_iter([(COOKIE, odd)])), Some("xyz"));
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let text = |tls| set_cookie(&"s".to_owned().into(), 60, tls).unwrap().to_str().unwrap().to_owned();
        assert_eq!(text(false), "streamit_session=s; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert!(text(true).ends_with("; Secure"));
        assert!(clear_cookie(false).unwrap().to_str().unwrap().contains("Max-Age=0"));
    }
}
