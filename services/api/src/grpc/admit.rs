//! May these people enter these rooms now? One query for all who wait.

use streamit_domain::room::{Life, Standing};
use streamit_domain::{RoomCode, SessionId, UserId};
use streamit_storage::Result;
use streamit_storage::admissions::{self, Admission};
use streamit_wire::{Code, v1};

use super::word;
use crate::app::App;
use crate::rooms::ended_code;

/// Answers each, in the order asked.
pub(super) async fn admit(app: &App, asked: &[v1::Admission]) -> Result<Vec<v1::Admitted>> {
    let read: Vec<Result<Ask, Code>> = asked.iter().map(parse).collect();
    let valid: Vec<_> = read.iter().filter_map(|ask| ask.ok()).collect();
    let mut reader = app.store.read().await?;
    let mut seen = admissions::admissions(&mut reader, &valid, app.now()).await?.into_iter();
    drop(reader);
    let mut results = Vec::with_capacity(asked.len());
    for ask in read {
        let decided = match ask {
            Err(code) => Err(code),
            Ok(_) => seen.next().map_or(Err(Code::Internal), decide),
        };
        results.push(decided.unwrap_or_else(|code| v1::Admitted { error: word(code), ..Default::default() }));
    }
    app.note_active(
        results.iter().filter(|admitted| admitted.error.is_empty()).map(|admitted| &admitted.room),
    );
    Ok(results)
}

/// Who wants to come in where, by which session. What can't be a code is none: it names no room, but a session that
/// is over is told first.
type Ask = (Option<RoomCode>, UserId, SessionId);

fn parse(ask: &v1::Admission) -> Result<Ask, Code> {
    let user = UserId::from_slice(&ask.user).map_err(|_| Code::Unauthenticated)?;
    let session = SessionId::from_slice(&ask.session).map_err(|_| Code::Unauthenticated)?;
    Ok((ask.code.parse().ok(), user, session))
}

/// In the order of the contract: who, where, banned, approved.
fn decide(seen: Admission) -> Result<v1::Admitted, Code> {
    if !seen.is_session_live {
        return Err(Code::SessionRevoked);
    }
    let room = seen.room.ok_or(Code::RoomNotFound)?;
    if room.life != Life::Active {
        return Err(ended_code(room.life));
    }
    let entry = seen.entry.ok_or(Code::NotApproved)?;
    match entry.standing {
        Standing::Approved => Ok(v1::Admitted {
            error: String::new(),
            room: room.id.as_bytes().to_vec(),
            name: entry.name.into(),
            facts_version: room.facts_version,
        }),
        Standing::Banned => Err(Code::Banned),
        _ => Err(Code::NotApproved),
    }
}
