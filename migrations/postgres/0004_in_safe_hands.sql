-- Moderation that holds, the audit log, reports, and the sessions of the panel. Columns have defaults for the release
-- still running, which does not name them.

ALTER TABLE users ADD COLUMN anonymised_at BIGINT;

-- What the host may set about who comes in and who talks.
ALTER TABLE rooms ADD COLUMN is_locked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE rooms ADD COLUMN is_chat_locked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE rooms ADD COLUMN slow_mode_seconds BIGINT NOT NULL DEFAULT 0;
-- A JSON list of what must not be said; null: nothing.
ALTER TABLE rooms ADD COLUMN blocked_words TEXT;

-- When somebody last spoke, kept in rooms with slow mode only.
ALTER TABLE participants ADD COLUMN last_said_at BIGINT;

-- Where somebody last joined from, as a keyed hash: a ban holds for guests from there, too.
ALTER TABLE participants ADD COLUMN network TEXT;

-- Erasures of a room are numbered, so that who missed the news of one can ask.
ALTER TABLE chat_heads ADD COLUMN erasures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN erasure BIGINT;

-- Whoever is banned from a room is known by where they came from, for a while, lest they come back as a guest. The network
-- is a keyed hash of an address (IPv6: of its /64).
CREATE TABLE room_bans (
    room_id    UUID   NOT NULL REFERENCES rooms (id),
    network    TEXT   NOT NULL,
    -- Who was banned.
    user_id    UUID   NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    until      BIGINT NOT NULL,
    CONSTRAINT room_bans_pkey PRIMARY KEY (room_id, network, user_id)
);
CREATE INDEX room_bans_until_idx ON room_bans (until);

CREATE TABLE reports (
    id          UUID   NOT NULL CONSTRAINT reports_pkey PRIMARY KEY,
    room_id     UUID   NOT NULL REFERENCES rooms (id),
    reporter_id UUID   NOT NULL REFERENCES users (id),
    -- About whom; null when it is about the room.
    user_id     UUID   REFERENCES users (id),
    -- About which message, and what that said then: it may be erased since.
    seq         BIGINT,
    quote       TEXT,
    reason      TEXT   NOT NULL CHECK (reason IN ('SPAM', 'ABUSE', 'HATE', 'SEXUAL', 'ILLEGAL', 'OTHER')),
    note        TEXT,
    state       TEXT   NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'ACTED', 'DISMISSED')),
    created_at  BIGINT NOT NULL,
    handled_by  UUID   REFERENCES users (id),
    handled_at  BIGINT,
    resolution  TEXT
);
CREATE INDEX reports_state_idx ON reports (state, id);
CREATE INDEX reports_room_id_idx ON reports (room_id, id);
CREATE INDEX reports_user_id_idx ON reports (user_id, id);
CREATE INDEX reports_reporter_id_idx ON reports (reporter_id, room_id);

-- Append-only. Ids sort by time. People are named by id alone, so that anonymising them is enough.
CREATE TABLE audit_log (
    id         UUID   NOT NULL CONSTRAINT audit_log_pkey PRIMARY KEY,
    at         BIGINT NOT NULL,
    action     TEXT   NOT NULL,
    -- What the actor is; nobody is named by SYSTEM and UNKNOWN.
    actor_kind TEXT   NOT NULL CHECK (actor_kind IN ('GUEST', 'USER', 'STAFF', 'SYSTEM', 'UNKNOWN')),
    actor_id   UUID   REFERENCES users (id),
    room_id    UUID   REFERENCES rooms (id),
    target_id  UUID   REFERENCES users (id),
    -- Truncated: /24 of IPv4, /48 of IPv6.
    address    TEXT,
    -- JSON.
    before     TEXT,
    after      TEXT,
    reason     TEXT,
    request_id TEXT
);
CREATE INDEX audit_log_room_id_idx ON audit_log (room_id, id) WHERE room_id IS NOT NULL;
CREATE INDEX audit_log_actor_id_idx ON audit_log (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_target_id_idx ON audit_log (target_id, id) WHERE target_id IS NOT NULL;
CREATE INDEX audit_log_action_idx ON audit_log (action, id);
CREATE INDEX audit_log_at_idx ON audit_log (at);

CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- Logins to the panel: apart from those of viewers, shorter, and never good for anything else.
CREATE TABLE panel_sessions (
    id          UUID   NOT NULL CONSTRAINT panel_sessions_pkey PRIMARY KEY,
    user_id     UUID   NOT NULL REFERENCES users (id),
    cookie_hash BYTEA  NOT NULL CONSTRAINT panel_sessions_cookie_hash_key UNIQUE,
    user_agent  TEXT,
    -- Truncated, to be shown.
    address     TEXT,
    created_at  BIGINT NOT NULL,
    -- The last request; it ends when that was too long ago.
    seen_at     BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);
CREATE INDEX panel_sessions_user_id_idx ON panel_sessions (user_id);
CREATE INDEX panel_sessions_expires_at_idx ON panel_sessions (expires_at);
