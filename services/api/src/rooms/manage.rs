//! Leaving and deleting a room, its settings, and what is being watched.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use streamit_domain::audit::Action as Audited;
use streamit_domain::room::{
    DRIFT_ENTER_MS, DRIFT_LEAVE_MS, DRIFT_SEEK_MS, Drift, EXPIRY_DAYS, HOST_GRACE_SECONDS, Life, OnHostLost,
    ReadinessMode, SLOW_MODE_SECONDS, SYNC_THRESHOLD_MS, Settings, Source, Standing,
};
use streamit_domain::{Invalid, RoomId, words};
use streamit_storage::{chat, participants, rooms};
use streamit_wire::Code;
use url::Url;

use super::authority::By;
use super::{OfRoom, RoomRef, lock};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};
use crate::http::json::{Fields, Input, Json};
use crate::limits::Limit;
use crate::{announce, audit};

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
    app.take(Limit::joins_by(caller.user)).await?;
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
        audit::write(&app, &mut tx, caller.origin.did(Audited::Left).in_room(room.id)).await?;
        tx.commit().await?;
        if let Some(change) = change.filter(|change| change.facts_changed) {
            announce::facts(&app, room.id, change.participant.changed_version).await;
        }
        Ok(())
    })
    .await?;
    Ok(Json(json!({"left": true})))
}

/// `rooms/delete/`: by the host, or by the one who opened the room.
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Json(OfRoom(room)): Json<OfRoom>,
) -> Result<Json<Value>> {
    let room = room.resolve(&app, &caller).await?;
    close(&app, room, &By::caller(&caller)).await?;
    Ok(Json(json!({"deleted": true})))
}

/// Closes a room, if `by` may.
pub(crate) async fn close(app: &App, room: RoomId, by: &By<'_>) -> Result<()> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = lock(&mut tx, room).await?;
        by.may_close(&room)?;
        let version = rooms::end(&mut tx, room.id, Life::Closed, app.now()).await?;
        audit::write(app, &mut tx, by.did(Audited::RoomClosed).in_room(room.id)).await?;
        tx.commit().await?;
        if let Some(version) = version {
            announce::facts(app, room.id, version).await;
        }
        Ok(())
    })
    .await
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
    is_locked: Option<bool>,
    is_chat_locked: Option<bool>,
    slow_mode_seconds: Option<u32>,
    blocked_words: Option<Vec<String>>,
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
        let is_locked = fields.flag("is_locked");
        let is_chat_locked = fields.flag("is_chat_locked");
        let slow_mode_seconds = fields.whole("slow_mode_seconds", SLOW_MODE_SECONDS);
        let blocked_words = fields.texts("blocked_words").and_then(|list| {
            let list = words::patterns(list.iter().map(String::as_str));
            list.map_err(|why| fields.refuse("blocked_words", why.0)).ok()
        });
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
            is_locked,
            is_chat_locked,
            slow_mode_seconds,
            blocked_words,
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
            is_locked: self.is_locked.unwrap_or(old.is_locked),
            is_chat_locked: self.is_chat_locked.unwrap_or(old.is_chat_locked),
            slow_mode_seconds: self.slow_mode_seconds.unwrap_or(old.slow_mode_seconds),
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
    is_locked: bool,
    is_chat_locked: bool,
    slow_mode_seconds: u32,
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
            is_locked: settings.is_locked,
            is_chat_locked: settings.is_chat_locked,
            slow_mode_seconds: settings.slow_mode_seconds,
        }
    }
}

/// The answer to a change of settings: all of them, as they are now.
#[derive(Serialize)]
pub(crate) struct Changed {
    room_id: RoomId,
    #[serde(flatten)]
    settings: SettingsView,
    blocked_words: Vec<String>,
}

/// `rooms/settings/`.
pub(crate) async fn settings(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Change>,
) -> Result<Json<Changed>> {
    let room_id = body.room.resolve(&app, &caller).await?;
    app.take(Limit::acts_by(caller.user)).await?;
    let words = body.blocked_words.clone();
    let change = |old: Settings| body.of(old);
    let (settings, blocked_words) = update(&app, room_id, &By::caller(&caller), change, words).await?;
    Ok(Json(Changed { room_id, settings: settings.into(), blocked_words }))
}

/// Changes settings, if `by` may: those that `change` makes of the old ones, and what must not be said, if that is given.
/// Gives how they are now.
pub(crate) async fn update(
    app: &App,
    room: RoomId,
    by: &By<'_>,
    change: impl Fn(Settings) -> Result<Settings>,
    words: Option<Vec<String>>,
) -> Result<(Settings, Vec<String>)> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = lock(&mut tx, room).await?;
        by.host_only(&room)?;
        let (settings, old_words) = (change(room.settings)?, rooms::blocked_words(&mut tx, room.id).await?);
        let words = words.as_ref().unwrap_or(&old_words);
        let (new_settings, new_words) = (settings != room.settings, *words != old_words);
        let mut version = None;
        if new_settings || new_words {
            chat::hold(&mut tx, room.id).await?;
        }
        if new_settings {
            version = rooms::update_settings(&mut tx, room.id, &settings).await?;
            let (before, after) = differences(room.settings, settings);
            let note = by.did(Audited::SettingsChanged).in_room(room.id).from(before).into(after);
            audit::write(app, &mut tx, note).await?;
        }
        if new_words {
            rooms::set_blocked_words(&mut tx, room.id, words).await?;
            let note = by.did(Audited::WordsChanged).in_room(room.id);
            let gone: Vec<_> = old_words.iter().filter(|word| !words.contains(word)).collect();
            let new: Vec<_> = words.iter().filter(|word| !old_words.contains(word)).collect();
            audit::write(app, &mut tx, note.from(json!({"removed": gone})).into(json!({"added": new})))
                .await?;
        }
        if new_settings || new_words {
            tx.commit().await?;
        }
        if let Some(version) = version {
            announce::facts(app, room.id, version).await;
        }
        Ok((settings, words.clone()))
    })
    .await
}

/// What of the settings was changed, before and after.
fn differences(old: Settings, new: Settings) -> (Value, Value) {
    let fields = |settings: Settings| match serde_json::to_value(SettingsView::from(settings)) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (mut before, mut after) = (fields(old), fields(new));
    let same: Vec<String> = before
        .iter()
        .filter(|(name, value)| after.get(*name) == Some(value))
        .map(|(name, _)| name.clone())
        .collect();
    for name in same {
        before.remove(&name);
        after.remove(&name);
    }
    (Value::Object(before), Value::Object(after))
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
    app.take(Limit::acts_by(caller.user)).await?;
    let source = &body.source;
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let room = lock(&mut tx, room_id).await?;
        let by = By::caller(&caller);
        by.host_only(&room)?;
        if room.source.as_ref() != Some(source) {
            let version = rooms::set_source(&mut tx, room.id, Some(source)).await?;
            let note = by.did(Audited::SourceChanged).in_room(room.id).into(audited(source));
            let note = if let Some(old) = &room.source { note.from(audited(old)) } else { note };
            audit::write(&app, &mut tx, note).await?;
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

/// What is being watched, as the audit log has it: without the query of an address, which may hold a secret.
fn audited(source: &Source) -> Value {
    let url = source.url.as_deref().map(|url| url.split(['?', '#']).next().unwrap_or_default());
    json!({"url": url, "title": source.title, "provider": source.provider, "video_id": source.video_id})
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
