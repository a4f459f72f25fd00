-- The tables of StreamIt on SQLite. migrations/postgres holds the same versions for PostgreSQL.
--
-- Moments are Unix milliseconds, ids are made by the program (UUID version 7, so that they sort by time) and
-- stored as 16 bytes. SQLite takes any type name for any value unless a table is STRICT, so all of them are.
-- Nothing is ever deleted by cascade: people are anonymised, rooms keep their row so that a code is never reused.
-- SQLite reports a broken constraint by its columns (storage/src/error.rs turns them into what went wrong).

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    -- Lower case; null for guests.
    email         TEXT    UNIQUE,
    display_name  TEXT    NOT NULL,
    password_hash TEXT,
    is_guest      INTEGER NOT NULL CHECK (is_guest IN (0, 1)),
    is_staff      INTEGER NOT NULL DEFAULT FALSE CHECK (is_staff IN (0, 1)),
    is_superuser  INTEGER NOT NULL DEFAULT FALSE CHECK (is_superuser IN (0, 1)),
    -- False: banned from the whole service.
    is_active     INTEGER NOT NULL DEFAULT TRUE CHECK (is_active IN (0, 1)),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id          BLOB    NOT NULL PRIMARY KEY,
    user_id     BLOB    NOT NULL REFERENCES users (id),
    cookie_hash BLOB    UNIQUE,
    user_agent  TEXT,
    address     TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    session_id BLOB    NOT NULL REFERENCES sessions (id),
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- A used token still answers for a moment: two tabs may refresh at once.
    used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at);

-- Append-only.
CREATE TABLE revocations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    BLOB    NOT NULL REFERENCES users (id),
    -- Null: every session the user had.
    session_id BLOB    REFERENCES sessions (id),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_created_at_idx ON revocations (created_at);

CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    kid           TEXT    NOT NULL PRIMARY KEY,
    first_seen_at INTEGER NOT NULL
) STRICT;

CREATE TABLE rooms (
    id                       BLOB    NOT NULL PRIMARY KEY,
    code                     TEXT    NOT NULL UNIQUE,
    owner_id                 BLOB    NOT NULL REFERENCES users (id),
    host_id                  BLOB    NOT NULL REFERENCES users (id),
    life                     TEXT    NOT NULL DEFAULT 'ACTIVE' CHECK (life IN ('ACTIVE', 'CLOSED', 'EXPIRED')),
    access                   TEXT    NOT NULL CHECK (access IN ('PUBLIC', 'PASSWORD', 'APPROVAL')),
    password_mac             BLOB,
    is_chat_enabled          INTEGER NOT NULL CHECK (is_chat_enabled IN (0, 1)),
    host_grace_seconds       INTEGER NOT NULL,
    on_host_lost             TEXT    NOT NULL CHECK (on_host_lost IN ('PROMOTE', 'WAIT', 'CLOSE')),
    expiry_days              INTEGER NOT NULL,
    sync_threshold_ms        INTEGER NOT NULL,
    max_members              INTEGER NOT NULL,
    source_url               TEXT,
    source_title             TEXT,
    source_provider          TEXT,
    source_video_id          TEXT,
    -- Grows by one with each change of a fact, under the lock of this row.
    facts_version            INTEGER NOT NULL DEFAULT 1,
    -- Grows whenever the set of people who may control playback changes.
    host_fence               INTEGER NOT NULL DEFAULT 1,
    -- Grows when this database lost something that was already shown.
    epoch                    INTEGER NOT NULL DEFAULT 1,
    host_deadline            INTEGER,
    host_lost_roster_version INTEGER,
    last_active_at           INTEGER NOT NULL,
    created_at               INTEGER NOT NULL,
    ended_at                 INTEGER,
    -- Playback as last saved, behind its home; null until something was saved.
    playback_fence           INTEGER,
    playback_version         INTEGER,
    playback_playing         INTEGER CHECK (playback_playing IN (0, 1)),
    playback_time            REAL,
    playback_at              INTEGER,
    playback_rate            REAL
) STRICT;
CREATE INDEX rooms_listing_idx ON rooms (life, access, created_at, id);
CREATE INDEX rooms_owner_id_idx ON rooms (owner_id);
CREATE INDEX rooms_last_active_at_idx ON rooms (last_active_at) WHERE life = 'ACTIVE';
CREATE INDEX rooms_host_deadline_idx ON rooms (host_deadline) WHERE host_deadline IS NOT NULL;
CREATE INDEX rooms_playing_idx ON rooms (id) WHERE playback_playing AND life = 'ACTIVE';

CREATE TABLE participants (
    room_id         BLOB    NOT NULL REFERENCES rooms (id),
    user_id         BLOB    NOT NULL REFERENCES users (id),
    display_name    TEXT    NOT NULL,
    -- What two names in a room must not share.
    name_key        TEXT    NOT NULL,
    standing        TEXT    NOT NULL
        CHECK (standing IN ('PENDING', 'APPROVED', 'REJECTED', 'LEFT', 'KICKED', 'BANNED')),
    role            TEXT    NOT NULL DEFAULT 'VIEWER' CHECK (role IN ('VIEWER', 'COHOST')),
    kicked_until    INTEGER,
    muted_until     INTEGER,
    -- The facts version of the last removal; an admission from before it is void.
    removed_version INTEGER NOT NULL DEFAULT 0,
    -- The facts version of the last change; 0 while there was never more to say than "joined".
    changed_version INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    joined_at       INTEGER,
    PRIMARY KEY (room_id, user_id),
    UNIQUE (room_id, name_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX participants_changed_version_idx ON participants (room_id, changed_version);
CREATE INDEX participants_user_id_idx ON participants (user_id);
CREATE INDEX participants_created_at_idx ON participants (room_id, created_at, user_id);

CREATE TABLE chat_heads (
    room_id   BLOB    NOT NULL PRIMARY KEY REFERENCES rooms (id),
    -- The highest number given out. There is one writer, so the numbers have no holes.
    head      INTEGER NOT NULL DEFAULT 0,
    -- Retention removed the messages below this one.
    kept_from INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    room_id          BLOB    NOT NULL REFERENCES rooms (id),
    seq              INTEGER NOT NULL,
    user_id          BLOB    NOT NULL REFERENCES users (id),
    -- What the sender was called then.
    name             TEXT    NOT NULL,
    -- Null when erased: the row stays, so that the numbers keep no secret.
    body             TEXT,
    -- What makes sending again harmless.
    key              TEXT    NOT NULL,
    key_is_client_id INTEGER NOT NULL CHECK (key_is_client_id IN (0, 1)),
    created_at       INTEGER NOT NULL,
    erased_at        INTEGER,
    PRIMARY KEY (room_id, seq),
    UNIQUE (room_id, user_id, key)
) STRICT, WITHOUT ROWID;

-- What has to be told to others after the commit, however often that takes.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL CHECK (kind IN ('fence')),
    room_id    BLOB    NOT NULL REFERENCES rooms (id),
    fence      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_next_at_idx ON outbox (next_at);
