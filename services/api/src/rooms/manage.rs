//! Leaving and deleting a room, its settings, and what is being watched.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use streamit_domain::room::{
    DRIFT_ENTER_MS, DRIFT_LEAVE_MS, DRIFT_SEEK_MS, Drift, EXPIRY_DAYS, HOST_GRACE_SECONDS, Life, OnHostLost,
    ReadinessMode, SYNC_THRESHOLD_MS, Settings, Source, Standing,
};
use streamit_domain::{Invalid, RoomId, UserId};
use streamit_storage::rooms::{self, Room};
use streamit_storage::{Tx, participants};
use streamit_wire::Code;
use url::Url;

use super::{OfRoom, RoomRef, lock};
use crate::announce;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};

const MAX_URL: usize = 2048;
const MAX_TITLE: usize = 200;
const MAX_PROVIDER: usize = 50;
const MAX_VIDEO_ID: usize = 200;

/// `rooms/leave/`: the caller goes for good, and may come back as anybody may.
pub(crate) async fn leave(
    State(app): State<App>,
    caller: Caller,
    Json(OfRoom(room)): Json<OfRoom>,
) -> Result<Json<Value>> {
    let room = room.resolve(&app, &caller).await?;
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = lock(&mut tx, room).await?;
        if room.host == caller.user {
            return Err(ApiError::new(
                Code::Conflict,
                "The host can't leave: hand the room over or delete it",
            ));
        }
        let entry = participants::get(&mut tx, room.id, caller.user).await?;
        // Going must not turn a ban or a kick into having left.
        if !entry.is_some_and(|entry| matches!(entry.standing, Standing::Approved | Standing::Pending)) {
            return Ok(());
        }
        let (user, now) = (caller.user, app.now());
        let change = participants::set_standing(&mut tx, room.id, user, Standing::Left, None, now).await?;
        tx.commit().await?;
        if let Some(change) = change.filter(|change| change.facts_changed) {
            announce::facts(&app, room.id, change.participant.changed_version).await;
        }
        Ok(())
    })
    .await?;
    Ok(Json(json!({"left": true})))
}

/// `rooms/delete/`: by the host, or by the one who opened the room. Who has it only until somebody is back must not end it.
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Json(OfRoom(room)): Json<OfRoom>,
) -> Result<Json<Value>> {
    let room = room.resolve(&app, &caller).await?;
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = lock(&mut tx, room).await?;
        if room.owner != caller.user {
            host_only(&room, caller.user)?;
            if room.lost_host.is_some() {
                return Err(ApiError::new(Code::Forbidden, "The room goes back to its host, who is away"));
            }
        }
        let version = rooms::end(&mut tx, room.id, Life::Closed, app.now()).await?;
        tx.commit().await?;
        if let Some(version) = version {
            announce::facts(&app, room.id, version).await;
        }
        Ok(())
    })
    .await?;
    Ok(Json(json!({"deleted": true})))
}

/// Body of `rooms/settings/`: any of them.
pub(crate) struct Change {
    room: RoomRef,
    is_chat_enabled: Option<bool>,
    host_grace_seconds: Option<u32>,
    on_host_lost: Option<OnHostLost>,
    expiry_days: Option<u32>,
    sync_threshold_ms: Option<u32>,
    readiness: Option<ReadinessMode>,
    drift_enter_ms: Option<u32>,
    drift_leave_ms: Option<u32>,
    drift_seek_ms: Option<u32>,
}

impl Input for Change {
    fn read(fields: &mut Fields) -> Option<Self> {
        let room = RoomRef::read(fields);
        let is_chat_enabled = fields.flag("is_chat_enabled");
        let host_grace_seconds = fields.whole("host_grace_seconds", HOST_GRACE_SECONDS);
        let on_host_lost = fields.parsed("on_host_lost", |word| match word {
            "promote" => Ok(OnHostLost::Promote),
            "wait" => Ok(OnHostLost::Wait),
            "close" => Ok(OnHostLost::Close),
            _ => Err(Invalid("on_host_lost must be promote, wait or close")),
        });
        let expiry_days = fields.whole("expiry_days", EXPIRY_DAYS);
        let sync_threshold_ms = fields.whole("sync_threshold_ms", SYNC_THRESHOLD_MS);
        let readiness = fields.parsed("readiness", |word| match word {
            "off" => Ok(ReadinessMode::Off),
            "soft" => Ok(ReadinessMode::Soft),
            "strict" => Ok(ReadinessMode::Strict),
            _ => Err(Invalid("readiness must be off, soft or strict")),
        });
        let drift_enter_ms = fields.whole("drift_enter_ms", DRIFT_ENTER_MS);
        let drift_leave_ms = fields.whole("drift_leave_ms", DRIFT_LEAVE_MS);
        let drift_seek_ms = fields.whole("drift_seek_ms", DRIFT_SEEK_MS);
        Some(Self {
            room: room?,
            is_chat_enabled,
            host_grace_seconds,
            on_host_lost,
            expiry_days,
            sync_threshold_ms,
            readiness,
            drift_enter_ms,
            drift_leave_ms,
            drift_seek_ms,
        })
    }
}

impl Change {
    fn of(&self, old: Settings) -> Result<Settings> {
        let drift = Drift {
            enter_ms: self.drift_enter_ms.unwrap_or(old.drift.enter_ms),
            leave_ms: self.drift_leave_ms.unwrap_or(old.drift.leave_ms),
            seek_ms: self.drift_seek_ms.unwrap_or(old.drift.seek_ms),
        };
        if !drift.is_ordered() {
            let why = "drift_leave_ms must be below drift_enter_ms, and that below drift_seek_ms";
            return Err(ApiError::new(Code::Invalid, why));
        }
        Ok(Settings {
            is_chat_enabled: self.is_chat_enabled.unwrap_or(old.is_chat_enabled),
            host_grace_seconds: self.host_grace_seconds.unwrap_or(old.host_grace_seconds),
            on_host_lost: self.on_host_lost.unwrap_or(old.on_host_lost),
            expiry_days: self.expiry_days.unwrap_or(old.expiry_days),
            sync_threshold_ms: self.sync_threshold_ms.unwrap_or(old.sync_threshold_ms),
            readiness: self.readiness.unwrap_or(old.readiness),
            drift,
        })
    }
}

/// Settings as clients see them.
#[derive(Serialize)]
pub(super) struct SettingsView {
    is_chat_enabled: bool,
    host_grace_seconds: u32,
    on_host_lost: OnHostLost,
    expiry_days: u32,
    sync_threshold_ms: u32,
    readiness: ReadinessMode,
    drift_enter_ms: u32,
    drift_leave_ms: u32,
    drift_seek_ms: u32,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        Self {
            is_chat_enabled: settings.is_chat_enabled,
            host_grace_seconds: settings.host_grace_seconds,
            on_host_lost: settings.on_host_lost,
            expiry_days: settings.expiry_days,
            sync_threshold_ms: settings.sync_threshold_ms,
            readiness: settings.readiness,
            drift_enter_ms: settings.drift.enter_ms,
            drift_leave_ms: settings.drift.leave_ms,
            drift_seek_ms: settings.drift.seek_ms,
        }
    }
}

/// The answer to a change of settings: all of them, as they are now.
#[derive(Serialize)]
pub(crate) struct Changed {
    room_id: RoomId,
    #[serde(flatten)]
    settings: SettingsView,
}

/// `rooms/settings/`.
pub(crate) async fn settings(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Change>,
) -> Result<Json<Changed>> {
    let room = body.room.resolve(&app, &caller).await?;
    let body = &body;
    let settings = app
        .retrying(|| async {
            let mut tx = app.store.begin().await?;
            let room = hosted(&mut tx, room, caller.user).await?;
            let settings = body.of(room.settings)?;
            if settings != room.settings {
                let version = rooms::update_settings(&mut tx, room.id, &settings).await?;
                tx.commit().await?;
                if let Some(version) = version {
                    announce::facts(&app, room.id, version).await;
                }
            }
            Ok(settings)
        })
        .await?;
    Ok(Json(Changed { room_id: room, settings: settings.into() }))
}

/// Body of `rooms/source/`: `url` and maybe `title`, or `provider` and `video_id`.
pub(crate) struct Watch {
    room: RoomRef,
    source: Source,
}

impl Input for Watch {
    fn read(fields: &mut Fields) -> Option<Self> {
        let room = RoomRef::read(fields);
        let url = fields.parsed("url", url);
        let title = fields.parsed("title", |text| line(text, MAX_TITLE, "title"));
        let provider = fields.parsed("provider", |text| line(text, MAX_PROVIDER, "provider"));
        let video_id = fields.parsed("video_id", |text| line(text, MAX_VIDEO_ID, "video_id"));
        if provider.is_some() != video_id.is_some() && !fields.is_refused() {
            let missing = if provider.is_none() { "provider" } else { "video_id" };
            fields.refuse(missing, "provider and video_id belong together");
        } else if url.is_none() && provider.is_none() && !fields.is_refused() {
            fields.refuse("url", "url required");
        }
        Some(Self { room: room?, source: Source { url, title, provider, video_id } })
    }
}

fn url(text: &str) -> Result<String, Invalid> {
    const WRONG: Invalid = Invalid("url must be an http or https address of at most 2048 characters");
    let url = Url::parse(text.trim()).map_err(|_| WRONG)?;
    let known = matches!(url.scheme(), "http" | "https") && url.has_host();
    let url = String::from(url);
    if known && url.len() <= MAX_URL { Ok(url) } else { Err(WRONG) }
}

fn line(text: &str, most: usize, name: &'static str) -> Result<String, Invalid> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or(Invalid(match name {
        "title" => "title must be a line of 1 to 200 characters",
        "provider" => "provider must be a line of 1 to 50 characters",
        _ => "video_id must be a line of 1 to 200 characters",
    }))
}

/// What is being watched, as clients see it.
#[derive(Serialize)]
pub(crate) struct Watched {
    room_id: RoomId,
    video_provider: Option<String>,
    video_id: Option<String>,
    url: Option<String>,
    title: Option<String>,
}

/// `rooms/source/`.
pub(crate) async fn source(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Watch>,
) -> Result<Json<Watched>> {
    let room_id = body.room.resolve(&app, &caller).await?;
    let source = &body.source;
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = hosted(&mut tx, room_id, caller.user).await?;
        if room.source.as_ref() != Some(source) {
            let version = rooms::set_source(&mut tx, room.id, Some(source)).await?;
            tx.commit().await?;
            if let Some(version) = version {
                announce::facts(&app, room.id, version).await;
            }
        }
        Ok(())
    })
    .await?;
    let Source { url, title, provider, video_id } = body.source;
    Ok(Json(Watched { room_id, video_provider: provider, video_id, url, title }))
}

/// The room, under its lock, if the caller is its host.
async fn hosted(tx: &mut Tx, room: RoomId, caller: UserId) -> Result<Room> {
    let room = lock(tx, room).await?;
    host_only(&room, caller)?;
    Ok(room)
}

fn host_only(room: &Room, caller: UserId) -> Result<()> {
    if room.host == caller { Ok(()) } else { Err(Code::HostOnly.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_web_addresses() {
        assert_eq!(url(" https://example.org/a b.mp4 ").unwrap(), "https://example.org/a%20b.mp4");
        for bad in
            ["", "film.mp4", "javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "http://"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
        assert!(url(&format!("https://e.org/{}", "x".repeat(MAX_URL))).is_err());
    }

    #[test]
    fn titles_are_one_line() {
        assert_eq!(line(" A film ", MAX_TITLE, "title").unwrap(), "A film");
        for bad in ["", "  ", "a\nb", "a\0b"] {
            assert!(line(bad, MAX_TITLE, "title").is_err(), "{bad:?}");
        }
    }
}
