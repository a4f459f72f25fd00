-- Moderation that holds, the audit log, reports, and the sessions of the panel. Columns have defaults for the release
-- still running, which does not name them.

ALTER TABLE users ADD COLUMN anonymised_at INTEGER;

-- What the host may set about who comes in and who talks.
ALTER TABLE rooms ADD COLUMN is_locked INTEGER NOT NULL DEFAULT FALSE CHECK (is_locked IN (0, 1));
ALTER TABLE rooms ADD COLUMN is_chat_locked INTEGER NOT NULL DEFAULT FALSE CHECK (is_chat_locked IN (0, 1));
ALTER TABLE rooms ADD COLUMN slow_mode_seconds INTEGER NOT NULL DEFAULT 0;
-- A JSON list of what must not be said; null: nothing.
ALTER TABLE rooms ADD COLUMN blocked_words TEXT;

-- When somebody last spoke, kept in rooms with slow mode only.
ALTER TABLE participants ADD COLUMN last_said_at INTEGER;

-- Where somebody last joined from, as a keyed hash: a ban holds for guests from there, too.
ALTER TABLE participants ADD COLUMN network TEXT;

-- Erasures of a room are numbered, so that who missed the news of one can ask.
ALTER TABLE chat_heads ADD COLUMN erasures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN erasure INTEGER;

-- Whoever is banned from a room is known by where they came from, for a while, lest they come back as a guest. The network
-- is a keyed hash of an address (IPv6: of its /64).
CREATE TABLE room_bans (
    room_id    BLOB   NOT NULL REFERENCES rooms (id),
    network    TEXT   NOT NULL,
    -- Who was banned.
    user_id    BLOB   NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (room_id, network, user_id)
) STRICT;
CREATE INDEX room_bans_until_idx ON room_bans (until);

CREATE TABLE reports (
    id          BLOB   NOT NULL PRIMARY KEY,
    room_id     BLOB   NOT NULL REFERENCES rooms (id),
    reporter_id BLOB   NOT NULL REFERENCES users (id),
    -- About whom; null when it is about the room.
    user_id     BLOB   REFERENCES users (id),
    -- About which message, and what that said then: it may be erased since.
    seq         INTEGER,
    quote       TEXT,
    reason      TEXT   NOT NULL CHECK (reason IN ('SPAM', 'ABUSE', 'HATE', 'SEXUAL', 'ILLEGAL', 'OTHER')),
    note        TEXT,
    state       TEXT   NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'ACTED', 'DISMISSED')),
    created_at  INTEGER NOT NULL,
    handled_by  BLOB   REFERENCES users (id),
    handled_at  INTEGER,
    resolution  TEXT
) STRICT;
CREATE INDEX reports_state_idx ON reports (state, id);
CREATE INDEX reports_room_id_idx ON reports (room_id, id);
CREATE INDEX reports_user_id_idx ON reports (user_id, id);
CREATE INDEX reports_reporter_id_idx ON reports (reporter_id, room_id);

-- Append-only. Ids sort by time. People are named by id alone, so that anonymising them is enough.
CREATE TABLE audit_log (
    id         BLOB   NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    action     TEXT   NOT NULL,
    -- What the actor is; nobody is named by SYSTEM and UNKNOWN.
    actor_kind TEXT   NOT NULL CHECK (actor_kind IN ('GUEST', 'USER', 'STAFF', 'SYSTEM', 'UNKNOWN')),
    actor_id   BLOB   REFERENCES users (id),
    room_id    BLOB   REFERENCES rooms (id),
    target_id  BLOB   REFERENCES users (id),
    -- Truncated: /24 of IPv4, /48 of IPv6.
    address    TEXT,
    -- JSON.
    before     TEXT,
    after      TEXT,
    reason     TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX audit_log_room_id_idx ON audit_log (room_id, id) WHERE room_id IS NOT NULL;
CREATE INDEX audit_log_actor_id_idx ON audit_log (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_target_id_idx ON audit_log (target_id, id) WHERE target_id IS NOT NULL;
CREATE INDEX audit_log_action_idx ON audit_log (action, id);
CREATE INDEX audit_log_at_idx ON audit_log (at);

CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- Logins to the panel: apart from those of viewers, shorter, and never good for anything else.
CREATE TABLE panel_sessions (
    id          BLOB   NOT NULL PRIMARY KEY,
    user_id     BLOB   NOT NULL REFERENCES users (id),
    cookie_hash BLOB  NOT NULL UNIQUE,
    user_agent  TEXT,
    -- Truncated, to be shown.
    address     TEXT,
    created_at  INTEGER NOT NULL,
    -- The last request; it ends when that was too long ago.
    seen_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;
CREATE INDEX panel_sessions_user_id_idx ON panel_sessions (user_id);
CREATE INDEX panel_sessions_expires_at_idx ON panel_sessions (expires_at);
