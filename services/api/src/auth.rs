//! `/api/auth/`: coming in and going.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use streamit_domain::account::{Email, check_new_password};
use streamit_domain::audit::Action;
use streamit_domain::{DisplayName, SessionId, Timestamp, UserId};
use streamit_edge::Peer;
use streamit_storage::Tx;
use streamit_storage::sessions::{self, NewSession, Refresh, Revocation, Session};
use streamit_storage::users::{self, NewUser, User};
use streamit_wire::Code;
use streamit_wire::token::{AUDIENCE, Claims, ISSUER};

use crate::app::App;
use crate::audit::Origin;
use crate::http::caller::{self, Caller};
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};
use crate::http::origin::refuse_cross_site;
use crate::identity::secrets;
use crate::limits::Limit;
use crate::metrics::Limited;
use crate::{announce, audit};

/// How long a session lives without being refreshed.
const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);
/// How much of what a client calls itself is kept, in characters.
pub(crate) const USER_AGENT_KEPT: usize = 200;

/// Body of `auth/register/`.
pub(crate) struct Register {
    email: Email,
    password: SecretString,
    display_name: DisplayName,
}

impl Input for Register {
    fn read(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", "Email required", Email::parse);
        let password = fields.required("password", "Password required", |password| {
            check_new_password(password).map(|()| SecretString::from(password))
        });
        let display_name = display_name(fields);
        Some(Self { email: email?, password: password?, display_name: display_name? })
    }
}

/// Body of `auth/login/`.
pub(crate) struct Login {
    email: String,
    password: SecretString,
}

impl Input for Login {
    fn read(fields: &mut Fields) -> Option<Self> {
        let email = fields.required("email", "Email required", |email| Ok(email.to_owned()));
        let password = fields.required("password", "Password required", |password| Ok(password.into()));
        Some(Self { email: email?, password: password? })
    }
}

/// Body of `auth/guest/`.
pub(crate) struct Guest {
    display_name: DisplayName,
}

impl Input for Guest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { display_name: display_name(fields)? })
    }
}

fn display_name(fields: &mut Fields) -> Option<DisplayName> {
    fields.required("display_name", "Display name required", DisplayName::parse)
}

/// Body of `auth/refresh/`.
pub(crate) struct RefreshToken(SecretString);

impl Input for RefreshToken {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required("refresh_token", "Refresh token required", |token| Ok(Self(token.into())))
    }
}

/// Somebody who has just come in.
#[derive(Serialize)]
struct LoggedIn {
    id: UserId,
    display_name: DisplayName,
    is_guest: bool,
    access_token: String,
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: u64,
    refresh_token: String,
}

/// Makes an account and logs it in.
pub(crate) async fn register(
    State(app): State<App>,
    peer: Peer,
    origin: Origin,
    headers: HeaderMap,
    Json(body): Json<Register>,
) -> Result<Response> {
    app.take_login(body.email.as_str(), &peer, Limited::Register).await?;
    let hash = app.passwords.hash(body.password, &*app.entropy).await?;
    let now = app.now();
    let user = NewUser::account(user_id(&app, now), body.email, body.display_name, hash, now);
    let visit = Visit::of(&app, peer, origin, &headers).await?;
    come_in(&app, &visit, &user, StatusCode::CREATED).await
}

/// Logs an account in. An unknown address takes the same time and gets the same answer as a wrong password.
pub(crate) async fn login(
    State(app): State<App>,
    peer: Peer,
    origin: Origin,
    headers: HeaderMap,
    Json(body): Json<Login>,
) -> Result<Response> {
    let Attempt { account, is_right } = attempt(&app, &peer, &body.email, body.password).await?;
    let Some(user) = account.as_ref().filter(|_| is_right) else {
        app.metrics.login(false);
        let note = origin.did(Action::LoginFailed);
        let note = if let Some(account) = account { note.to(account.id) } else { note };
        audit::write_alone(&app, note).await?;
        return Err(Code::Credentials.into());
    };
    if !user.is_active {
        app.metrics.login(false);
        audit::write_alone(&app, origin.did(Action::LoginFailed).to(user.id)).await?;
        return Err(ApiError::new(Code::Forbidden, "This account is banned"));
    }
    let (visit, now) = (Visit::of(&app, peer, origin, &headers).await?, app.now());
    let mut tx = app.store.begin().await?;
    if !users::is_still(&mut tx, user.id, user.password_hash.as_deref().unwrap_or_default()).await? {
        return Err(Code::Credentials.into());
    }
    let opened = open_session(&app, &mut tx, user.id, &visit, now).await?;
    audit::write(&app, &mut tx, visit.origin.known(user).did(Action::LoggedIn)).await?;
    tx.commit().await?;
    app.metrics.login(true);
    opened.respond(&app, &user.display_name, user.is_guest, StatusCode::OK)
}

/// What came of a try to log in.
pub(crate) struct Attempt {
    /// The account that was meant, if there is one.
    pub(crate) account: Option<User>,
    /// Whether the password is that of the account.
    pub(crate) is_right: bool,
}

/// Tries a password, within the limits that all logins share. It takes the same time whether there is such an account or
/// not.
pub(crate) async fn attempt(app: &App, peer: &Peer, email: &str, password: SecretString) -> Result<Attempt> {
    app.take_login(email, peer, Limited::Login).await?;
    let account = match Email::parse(email) {
        Ok(email) => users::by_email(&mut app.store.read().await?, &email).await?,
        Err(_) => None,
    };
    let stored = account.as_ref().and_then(|user| user.password_hash.clone());
    let is_right = app.passwords.check(password, stored).await?;
    Ok(Attempt { account, is_right })
}

/// Lets somebody in who has no account.
pub(crate) async fn guest(
    State(app): State<App>,
    peer: Peer,
    origin: Origin,
    headers: HeaderMap,
    Json(body): Json<Guest>,
) -> Result<Response> {
    app.take(Limit::guests(&peer)).await?;
    let now = app.now();
    let user = NewUser::guest(user_id(&app, now), body.display_name, now);
    let visit = Visit::of(&app, peer, origin, &headers).await?;
    come_in(&app, &visit, &user, StatusCode::OK).await
}

/// Keeps somebody new and opens their first session.
async fn come_in(app: &App, visit: &Visit, user: &NewUser, status: StatusCode) -> Result<Response> {
    let mut tx = app.store.begin().await?;
    users::insert(&mut tx, user).await?;
    let opened = open_session(app, &mut tx, user.id, visit, user.created_at).await?;
    let is_guest = user.email.is_none();
    let action = if is_guest { Action::GuestCame } else { Action::Registered };
    audit::write(app, &mut tx, visit.origin.clone().known_as(user.id, is_guest).did(action)).await?;
    tx.commit().await?;
    opened.respond(app, &user.display_name, is_guest, status)
}

/// Gives the next pair of tokens for a refresh token.
pub(crate) async fn refresh(
    State(app): State<App>,
    origin: Origin,
    Json(body): Json<RefreshToken>,
) -> Result<Response> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    match sessions::use_refresh(&mut tx, &secrets::digest(body.0.expose_secret()), now).await? {
        Refresh::Fresh(session, user) | Refresh::Grace(session, user) => {
            let refresh = new_refresh(&app, &mut tx, session.id, now).await?;
            sessions::extend(&mut tx, session.id, session_end(&app, now)).await?;
            tx.commit().await?;
            let tokens = Tokens { user: user.id, session: session.id, refresh, now };
            Ok(Json(tokens.view(&app, &user.display_name, user.is_guest)?).into_response())
        }
        Refresh::Reused(session) => {
            // Two people have the token, and one of them should not: end the session for both.
            tracing::warn!(session.id = %session, "a refresh token was used again: its session ends");
            end_session(&app, tx, session, &origin, Action::TokenReused, now).await?;
            Err(Code::SessionRevoked.into())
        }
        Refresh::Unknown => Err(Code::Unauthenticated.into()),
    }
}

/// Ends the session, if there is one. Says yes to everybody, so that clients can just forget what they have.
pub(crate) async fn logout(
    State(app): State<App>,
    peer: Peer,
    origin: Origin,
    parts: Parts,
) -> Result<Response> {
    let now = app.now();
    // An old token still says whose it was: its signature holds.
    let bearer =
        caller::bearer(&parts.headers).and_then(|token| app.keys.verify(token)).map(|claims| claims.sid);
    let cookie = match caller::cookie(&parts.headers) {
        Some(secret) => {
            if bearer.is_none() {
                refuse_cross_site(&parts, &app.config.allowed_origins)?;
            }
            let mut read = app.store.read().await?;
            let found: Option<(Session, User)> =
                sessions::by_cookie(&mut read, &secrets::digest(secret), now).await?;
            found.map(|(session, _)| session.id)
        }
        None => None,
    };
    let ended = [bearer, cookie.filter(|session| Some(*session) != bearer)];
    for session in ended.into_iter().flatten() {
        end_session(&app, app.store.begin().await?, session, &origin, Action::LoggedOut, now).await?;
    }
    let mut response = Json(json!({"success": true})).into_response();
    response.headers_mut().extend(caller::clear_cookie(peer.is_tls).map(|value| (SET_COOKIE, value)));
    Ok(response)
}

/// Who the caller is.
pub(crate) async fn me(caller: Caller) -> Json<serde_json::Value> {
    let email = caller.account.email.as_ref().map(Email::as_str);
    Json(json!({
        "id": caller.user,
        "display_name": caller.account.display_name,
        "is_guest": caller.account.is_guest,
        "is_staff": caller.account.is_staff,
        "email": email,
    }))
}

async fn end_session(
    app: &App,
    mut tx: Tx,
    session: SessionId,
    origin: &Origin,
    action: Action,
    now: Timestamp,
) -> Result<()> {
    let Some((session, user)) = sessions::live(&mut tx, session, now).await? else { return Ok(()) };
    let Some(id) = sessions::revoke(&mut tx, session.id, now).await? else { return Ok(()) };
    // Whoever uses a token again need not be the one whose it is.
    let who = if action == Action::LoggedOut { origin.clone().known(&user) } else { origin.clone() };
    audit::write(app, &mut tx, who.did(action).to(user.id)).await?;
    tx.commit().await?;
    let revoked = Revocation { id, user: user.id, session: Some(session.id), created_at: now };
    let told = app.clone();
    app.after_commit(async move { announce::revocation(&told, revoked).await }).await;
    Ok(())
}

/// A session that was just opened.
struct Opened {
    tokens: Tokens,
    cookie: SecretString,
    is_tls: bool,
}

/// What the tokens of a session are made of.
struct Tokens {
    user: UserId,
    session: SessionId,
    refresh: SecretString,
    now: Timestamp,
}

/// Where somebody comes from. Known before a transaction begins, so that none has to wait for it.
struct Visit {
    /// What the address is in, hashed: guests who are banned are known by it.
    network: String,
    origin: Origin,
    agent: Option<String>,
    is_tls: bool,
}

impl Visit {
    async fn of(app: &App, peer: Peer, origin: Origin, headers: &HeaderMap) -> Result<Self> {
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self {
            // As limits count it: with IPv6 people have a new address in their network each day.
            network: app.hashed(&peer.limit_key()).await?,
            origin,
            agent: agent.map(|agent| agent.chars().take(USER_AGENT_KEPT).collect()),
            is_tls: peer.is_tls,
        })
    }
}

async fn open_session(app: &App, tx: &mut Tx, user: UserId, visit: &Visit, now: Timestamp) -> Result<Opened> {
    let session = SessionId(app.entropy.uuid_v7(now.0));
    let cookie = secrets::fresh(&*app.entropy);
    let cookie_hash = secrets::digest(cookie.expose_secret());
    let new = NewSession {
        id: session,
        user,
        cookie_hash: Some(&cookie_hash),
        user_agent: visit.agent.as_deref(),
        address: Some(&visit.network),
        created_at: now,
        expires_at: session_end(app, now),
    };
    sessions::insert(tx, &new).await?;
    let refresh = new_refresh(app, tx, session, now).await?;
    Ok(Opened { tokens: Tokens { user, session, refresh, now }, cookie, is_tls: visit.is_tls })
}

async fn new_refresh(app: &App, tx: &mut Tx, session: SessionId, now: Timestamp) -> Result<SecretString> {
    let token = secrets::fresh(&*app.entropy);
    let hash = secrets::digest(token.expose_secret());
    sessions::insert_refresh(tx, session, &hash, now, session_end(app, now)).await?;
    Ok(token)
}

/// A session outlives the tokens that are given out in it.
fn session_end(app: &App, now: Timestamp) -> Timestamp {
    now.plus(SESSION.max(app.config.access_ttl))
}

fn user_id(app: &App, now: Timestamp) -> UserId {
    UserId(app.entropy.uuid_v7(now.0))
}

impl Tokens {
    fn view(self, app: &App, name: &DisplayName, is_guest: bool) -> Result<LoggedIn> {
        let ttl = app.config.access_ttl.as_secs();
        let iat = self.now.0.div_euclid(1_000);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: self.user,
            sid: self.session,
            name: name.clone(),
            guest: is_guest,
            iat,
            exp: iat.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)),
            nbf: None,
        };
        let access_token =
            app.keys.sign(&claims).map_err(|error| ApiError::because(Code::Internal, error))?;
        Ok(LoggedIn {
            id: self.user,
            display_name: name.clone(),
            is_guest,
            access_token,
            token_type: "Bearer",
            expires_in: ttl,
            refresh_token: self.refresh.expose_secret().to_owned(),
        })
    }
}

impl Opened {
    fn respond(self, app: &App, name: &DisplayName, is_guest: bool, status: StatusCode) -> Result<Response> {
        let max_age = SESSION.max(app.config.access_ttl).as_secs();
        let cookie = caller::set_cookie(&self.cookie, max_age, self.is_tls);
        let view = self.tokens.view(app, name, is_guest)?;
        let mut response = (status, Json(view)).into_response();
        response.headers_mut().extend(cookie.map(|value| (SET_COOKIE, value)));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_login_costs_one_hash_whoever_it_is_for() {
        let (app, _dir) = crate::testing::app().await;
        let peer = Peer { address: std::net::Ipv4Addr::LOCALHOST.into(), is_tls: false };
        let origin = || Origin::stranger(&peer, None);
        let guest = Json(Guest { display_name: DisplayName::parse("Ana").unwrap() });
        super::guest(State(app.clone()), peer, origin(), HeaderMap::new(), guest).await.unwrap();
        let known = Register {
            email: Email::parse("ana@example.org").unwrap(),
            password: "correct horse".into(),
            display_name: DisplayName::parse("Ana").unwrap(),
        };
        register(State(app.clone()), peer, origin(), HeaderMap::new(), Json(known)).await.unwrap();

        let attempts = [
            ("ana@example.org", "correct horse"),
            ("ana@example.org", "wrong horse"),
            ("nobody@example.org", "wrong horse"),
            ("not an address", "wrong horse"),
        ];
        for (n, (email, password)) in (1..).zip(attempts) {
            let body = Json(Login { email: email.into(), password: password.into() });
            let reply = login(State(app.clone()), peer, origin(), HeaderMap::new(), body).await;
            assert_eq!(reply.is_ok(), n == 1, "{email}");
            assert_eq!(app.passwords.checked(), n, "{email}");
        }
    }
}
