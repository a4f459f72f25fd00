//! Who comes into the panel: the login, its cookie, and the token that each form carries.

use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use maud::html;
use secrecy::{ExposeSecret, SecretString};
use streamit_domain::SessionId;
use streamit_domain::audit::{Action, truncated};
use streamit_edge::{Origins, Peer};
use streamit_storage::panel::sessions::{self, NewPanelSession};
use streamit_storage::users::{self, User};
use streamit_wire::Code;

use super::form::{self, Fields};
use super::{frame, parts};
use crate::app::App;
use crate::audit::{self, Origin};
use crate::auth::{self, Attempt, USER_AGENT_KEPT};
use crate::http::caller;
use crate::http::error::{ApiError, Result};
use crate::http::origin::refuse_cross_site;
use crate::http::path::Query;
use crate::identity::secrets;
use crate::staff::By;

/// The name of the cookie.
const COOKIE_NAME: &str = "streamit_panel";
/// What `panel.js` says of itself when it looks again without anybody having done anything: that keeps no login alive.
pub(super) const REFRESH: &str = "x-panel-refresh";

/// Somebody of staff. A handler that takes one can't be reached by anybody else.
#[derive(Clone, Debug)]
pub(crate) struct Staff {
    /// Which login.
    pub(super) session: SessionId,
    /// Who.
    pub(super) user: User,
    /// From where.
    pub(super) origin: Origin,
    /// What each form of this login carries.
    pub(super) token: String,
}

impl Staff {
    /// Who it is that does something, for a reason.
    pub(super) fn because(&self, reason: String) -> By {
        By { user: self.user.id, origin: self.origin.clone(), reason }
    }
}

impl FromRequestParts<App> for Staff {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let secret = caller::cookie_named(&parts.headers, COOKIE_NAME).ok_or(Code::Unauthenticated)?;
        let now = app.now();
        let mut read = app.store.read().await?;
        let found = sessions::by_cookie(&mut read, &secrets::digest(secret), now).await?;
        drop(read);
        let found = found.ok_or(Code::Unauthenticated)?;
        if !parts.headers.contains_key(REFRESH) && now > found.seen_at {
            let mut tx = app.store.begin().await?;
            sessions::touch(&mut tx, found.id, now).await?;
            tx.commit().await?;
        }
        let Ok(origin) = Origin::from_request_parts(parts, app).await;
        let token = token(&app.secrets().await?.csrf, found.id);
        Ok(Self { session: found.id, origin: origin.staff(found.user.id), user: found.user, token })
    }
}

/// What each form of a login carries: nobody else can make it.
fn token(key: &[u8], session: SessionId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(secrets::mac(key, &session.to_string()))
}

/// Refuses what a page of any other origin may have sent, however friendly or near.
pub(super) fn refuse_other_origins(parts: &Parts) -> Result<()> {
    refuse_cross_site(parts, &Origins::default())?;
    let site = parts.headers.get("sec-fetch-site");
    if site.is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"same-site")) {
        return Err(Code::CrossSite.into());
    }
    Ok(())
}

/// The way to the login, and back to `target` after it.
pub(super) fn to_login(target: &str) -> Response {
    let next = url::form_urlencoded::byte_serialize(target.as_bytes()).collect::<String>();
    let place =
        if target == "/admin/" { "/admin/login/".to_owned() } else { format!("/admin/login/?next={next}") };
    Redirect::to(&place).into_response()
}

/// Where a login leads to: a page of the panel, whatever was asked for.
fn destination(next: Option<&str>) -> &str {
    let fit = |next: &&str| {
        next.starts_with("/admin/") && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(fit).unwrap_or("/admin/")
}

/// The form that asks who one is.
pub(crate) async fn login_page(query: Query) -> Response {
    form(destination(query.get("next")), "", None, StatusCode::OK)
}

fn form(next: &str, email: &str, wrong: Option<&str>, status: StatusCode) -> Response {
    let page = frame::bare(
        "Log in",
        &html! {
            h1 { "Log in" }
            p.lead { "For those who look after StreamIt." }
            @if let Some(wrong) = wrong { p.notice.bad #wrong role="alert" { (wrong) } }
            form.card.stack method="post" action="/admin/login/" {
                input type="hidden" name="next" value=(next);
                div {
                    label for="email" { "Email" }
                    input #email name="email" type="email" value=(email) autocomplete="username" required
                        maxlength="254" autofocus[wrong.is_none()] aria-describedby=[wrong.map(|_| "wrong")];
                }
                div {
                    label for="password" { "Password" }
                    input #password name="password" type="password" autocomplete="current-password" required
                        maxlength="1024" autofocus[wrong.is_some()] aria-describedby=[wrong.map(|_| "wrong")];
                }
                div { button.primary type="submit" { "Log in" } }
            }
        },
    );
    (status, page).into_response()
}

/// Lets staff in. Whoever is none gets the answer to a wrong password, whatever he typed.
pub(crate) async fn login(State(app): State<App>, request: Request) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    refuse_other_origins(&parts)?;
    let peer = Peer::of_request(&parts, &app.config.trusted_proxies);
    let Ok(origin) = Origin::from_request_parts(&mut parts, &app).await;
    let headers = parts.headers.clone();
    let fields = form::read(Request::from_parts(parts, body)).await?;
    let (email, next) = (fields.text("email").trim().to_owned(), destination(fields.get("next")));
    let password = SecretString::from(fields.text("password"));
    if email.is_empty() || password.expose_secret().is_empty() {
        let wrong = "Email and password are both needed";
        return Ok(form(next, &email, Some(wrong), StatusCode::BAD_REQUEST));
    }
    let Attempt { account, is_right } = auth::attempt(&app, &peer, &email, password).await?;
    let target = account.as_ref().map(|account| account.id);
    let Some(user) = account.filter(|user| is_right && user.is_active && user.is_staff) else {
        app.metrics.login(false);
        let note = origin.did(Action::PanelLoginFailed);
        audit::write_alone(
            &app,
            match target {
                Some(target) => note.to(target),
                None => note,
            },
        )
        .await?;
        return Ok(form(next, &email, Some("Wrong email or password"), StatusCode::UNAUTHORIZED));
    };
    let cookie = open(&app, &user, &peer, &headers, &origin).await?;
    app.metrics.login(true);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

/// Opens a login; gives its cookie.
async fn open(
    app: &App,
    user: &User,
    peer: &Peer,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<HeaderValue> {
    let now = app.now();
    let secret = secrets::fresh(&*app.entropy);
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent: Option<String> = agent.map(|agent| agent.chars().take(USER_AGENT_KEPT).collect());
    let mut tx = app.store.begin().await?;
    if !users::is_still(&mut tx, user.id, user.password_hash.as_deref().unwrap_or_default()).await? {
        return Err(Code::Credentials.into());
    }
    let session = NewPanelSession {
        id: SessionId(app.entropy.uuid_v7(now.0)),
        user: user.id,
        cookie_hash: &secrets::digest(secret.expose_secret()),
        user_agent: agent.as_deref(),
        address: Some(&truncated(peer.address)),
        created_at: now,
    };
    sessions::insert(&mut tx, &session).await?;
    audit::write(app, &mut tx, origin.clone().staff(user.id).did(Action::PanelLoggedIn).to(user.id)).await?;
    tx.commit().await?;
    set_cookie(&secret, sessions::LONGEST.as_secs(), peer.is_tls)
}

/// Ends the login.
pub(crate) async fn logout(State(app): State<App>, peer: Peer, posted: form::Posted) -> Result<Response> {
    let staff = posted.staff;
    let mut tx = app.store.begin().await?;
    if sessions::revoke(&mut tx, staff.session, app.now()).await? {
        audit::write(&app, &mut tx, staff.origin.did(Action::PanelLoggedOut).to(staff.user.id)).await?;
    }
    tx.commit().await?;
    let cookie = set_cookie(&SecretString::default(), 0, peer.is_tls)?;
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/admin/login/")).into_response())
}

/// Sent to the panel alone, and by no page of another site.
fn set_cookie(secret: &SecretString, max_age_seconds: u64, is_tls: bool) -> Result<HeaderValue> {
    let secure = if is_tls { "; Secure" } else { "" };
    let secret = secret.expose_secret();
    let text = format!(
        "{COOKIE_NAME}={secret}; Path=/admin/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    let mut value = HeaderValue::from_str(&text).map_err(|error| ApiError::because(Code::Internal, error))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a form carries the token of its login.
pub(super) fn check(staff: &Staff, fields: &Fields) -> Result<()> {
    let given = fields.get(parts::TOKEN).unwrap_or_default();
    if secrets::same(given.as_bytes(), staff.token.as_bytes()) {
        return Ok(());
    }
    Err(ApiError::new(
        Code::CrossSite,
        "This form is not of your login any more: go back, load the page again, and repeat",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_the_panel_and_nowhere_else() {
        for (next, place) in [
            (None, "/admin/"),
            (Some("/admin/users/?q=a%20b"), "/admin/users/?q=a%20b"),
            (Some("//evil.example/admin/"), "/admin/"),
            (Some("https://evil.example/admin/"), "/admin/"),
            (Some("/admin/\r\nset-cookie: a=b"), "/admin/"),
            (Some("/admin/\\evil.example"), "/admin/"),
            (Some("/adminx"), "/admin/"),
        ] {
            assert_eq!(destination(next), place, "{next:?}");
        }
    }

    #[test]
    fn the_cookie_is_sent_to_the_panel_alone() {
        let text = |tls| set_cookie(&"s".to_owned().into(), 60, tls).unwrap().to_str().unwrap().to_owned();
        assert_eq!(text(false), "streamit_panel=s; Path=/admin/; Max-Age=60; HttpOnly; SameSite=Strict");
        assert!(text(true).ends_with("; Secure"));
    }

    #[test]
    fn each_login_has_its_own_token() {
        let (one, two) = (SessionId(uuid::Uuid::from_u128(1)), SessionId(uuid::Uuid::from_u128(2)));
        assert_eq!(token(b"key", one), token(b"key", one));
        assert_ne!(token(b"key", one), token(b"key", two));
        assert_ne!(token(b"key", one), token(b"other", one));
    }
}
