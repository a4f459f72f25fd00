//! Playback as last saved: what a room goes on from when its live state was lost.

use streamit_domain::{Playback, RoomId};
use streamit_storage::{audit as records, rooms};
use streamit_wire::v1;
use tonic::Status;

use super::{check_count, failed, room_id};
use crate::app::App;
use crate::audit;

pub(super) async fn load(
    app: &App,
    request: v1::LoadPlaybackRequest,
) -> Result<v1::LoadPlaybackReply, Status> {
    let room = room_id(&request.room)?;
    let mut read = app.store.read().await.map_err(failed)?;
    let playback = rooms::load_playback(&mut read, room).await.map_err(failed)?;
    Ok(v1::LoadPlaybackReply { playback: playback.as_ref().map(Into::into) })
}

pub(super) async fn save(
    app: &App,
    request: v1::SavePlaybackRequest,
) -> Result<v1::SavePlaybackReply, Status> {
    let saved = request.rooms;
    check_count(saved.len())?;
    check_count(request.acts.len())?;
    let acts = audit::playback(app, &request.acts).await.map_err(failed)?;
    if acts.len() < request.acts.len() || request.acts_lost > 0 {
        let lost = request.acts_lost + (request.acts.len() - acts.len()) as u64;
        app.metrics.audit_lost(lost);
        tracing::warn!(lost, "playback commands are missing in the audit log");
    }
    let read = |saved: &v1::SavedPlayback| {
        let room = RoomId::from_slice(&saved.room).ok()?;
        Some((room, Playback::try_from(saved.playback.as_ref()?).ok()?))
    };
    let states: Vec<_> = saved.iter().filter_map(read).collect();
    if states.len() < saved.len() {
        tracing::warn!(skipped = saved.len() - states.len(), "a node sent playback that can't be read");
    }
    let save = async {
        let mut tx = app.store.begin().await?;
        rooms::save_playback(&mut tx, &states).await?;
        records::insert(&mut tx, &acts).await?;
        tx.commit().await
    };
    save.await.map_err(failed)?;
    Ok(v1::SavePlaybackReply {})
}
