-- The tables of StreamIt on PostgreSQL. migrations/sqlite holds the same versions for SQLite.
--
-- Moments are Unix milliseconds, ids are made by the program (UUID version 7, so that they sort by time).
-- Nothing is ever deleted by cascade: people are anonymised, rooms keep their row so that a code is never reused.
-- The names of constraints are part of the program (storage/src/error.rs turns them into what went wrong).

CREATE TABLE users (
    id            UUID    NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    -- Lower case; null for guests.
    email         TEXT    CONSTRAINT users_email_key UNIQUE,
    display_name  TEXT    NOT NULL,
    password_hash TEXT,
    is_guest      BOOLEAN NOT NULL,
    is_staff      BOOLEAN NOT NULL DEFAULT FALSE,
    is_superuser  BOOLEAN NOT NULL DEFAULT FALSE,
    -- False: banned from the whole service.
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    created_at    BIGINT  NOT NULL
);

CREATE TABLE sessions (
    id          UUID   NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id     UUID   NOT NULL REFERENCES users (id),
    cookie_hash BYTEA  CONSTRAINT sessions_cookie_hash_key UNIQUE,
    user_agent  TEXT,
    address     TEXT,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    hash       BYTEA  NOT NULL CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
    session_id UUID   NOT NULL REFERENCES sessions (id),
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- A used token still answers for a moment: two tabs may refresh at once.
    used_at    BIGINT
);
CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at);

-- Append-only. Ids are drawn before the commit, so a lower one may become visible after a higher one: readers
-- read the last seconds again.
CREATE TABLE revocations (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT revocations_pkey PRIMARY KEY,
    user_id    UUID   NOT NULL REFERENCES users (id),
    -- Null: every session the user had.
    session_id UUID   REFERENCES sessions (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX revocations_created_at_idx ON revocations (created_at);

CREATE TABLE secrets (
    name  TEXT  NOT NULL CONSTRAINT secrets_pkey PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE signing_keys (
    kid           TEXT   NOT NULL CONSTRAINT signing_keys_pkey PRIMARY KEY,
    first_seen_at BIGINT NOT NULL
);

CREATE TABLE rooms (
    id                       UUID    NOT NULL CONSTRAINT rooms_pkey PRIMARY KEY,
    code                     TEXT    NOT NULL CONSTRAINT rooms_code_key UNIQUE,
    owner_id                 UUID    NOT NULL REFERENCES users (id),
    host_id                  UUID    NOT NULL REFERENCES users (id),
    life                     TEXT    NOT NULL DEFAULT 'ACTIVE' CHECK (life IN ('ACTIVE', 'CLOSED', 'EXPIRED')),
    access                   TEXT    NOT NULL CHECK (access IN ('PUBLIC', 'PASSWORD', 'APPROVAL')),
    password_mac             BYTEA,
    is_chat_enabled          BOOLEAN NOT NULL,
    host_grace_seconds       BIGINT  NOT NULL,
    on_host_lost             TEXT    NOT NULL CHECK (on_host_lost IN ('PROMOTE', 'WAIT', 'CLOSE')),
    expiry_days              BIGINT  NOT NULL,
    sync_threshold_ms        BIGINT  NOT NULL,
    max_members              BIGINT  NOT NULL,
    source_url               TEXT,
    source_title             TEXT,
    source_provider          TEXT,
    source_video_id          TEXT,
    -- Grows by one with each change of a fact, under the lock of this row.
    facts_version            BIGINT  NOT NULL DEFAULT 1,
    -- Grows whenever the set of people who may control playback changes.
    host_fence               BIGINT  NOT NULL DEFAULT 1,
    -- Grows when this database lost something that was already shown.
    epoch                    BIGINT  NOT NULL DEFAULT 1,
    host_deadline            BIGINT,
    host_lost_roster_version BIGINT,
    last_active_at           BIGINT  NOT NULL,
    created_at               BIGINT  NOT NULL,
    ended_at                 BIGINT,
    -- Playback as last saved, behind its home; null until something was saved.
    playback_fence           BIGINT,
    playback_version         BIGINT,
    playback_playing         BOOLEAN,
    playback_time            DOUBLE PRECISION,
    playback_at              BIGINT,
    playback_rate            DOUBLE PRECISION
)
-- Room for the playback that is saved again and again.
WITH (fillfactor = 80);
CREATE INDEX rooms_listing_idx ON rooms (life, access, created_at, id);
CREATE INDEX rooms_owner_id_idx ON rooms (owner_id);
CREATE INDEX rooms_last_active_at_idx ON rooms (last_active_at) WHERE life = 'ACTIVE';
CREATE INDEX rooms_host_deadline_idx ON rooms (host_deadline) WHERE host_deadline IS NOT NULL;
CREATE INDEX rooms_playing_idx ON rooms (id) WHERE playback_playing AND life = 'ACTIVE';

CREATE TABLE participants (
    room_id         UUID   NOT NULL REFERENCES rooms (id),
    user_id         UUID   NOT NULL REFERENCES users (id),
    display_name    TEXT   NOT NULL,
    -- What two names in a room must not share.
    name_key        TEXT   NOT NULL,
    standing        TEXT   NOT NULL
        CHECK (standing IN ('PENDING', 'APPROVED', 'REJECTED', 'LEFT', 'KICKED', 'BANNED')),
    role            TEXT   NOT NULL DEFAULT 'VIEWER' CHECK (role IN ('VIEWER', 'COHOST')),
    kicked_until    BIGINT,
    muted_until     BIGINT,
    -- The facts version of the last removal; an admission from before it is void.
    removed_version BIGINT NOT NULL DEFAULT 0,
    -- The facts version of the last change; 0 while there was never more to say than "joined".
    changed_version BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    joined_at       BIGINT,
    CONSTRAINT participants_pkey PRIMARY KEY (room_id, user_id),
    CONSTRAINT participants_name_key UNIQUE (room_id, name_key)
);
CREATE INDEX participants_changed_version_idx ON participants (room_id, changed_version);
CREATE INDEX participants_user_id_idx ON participants (user_id);
CREATE INDEX participants_created_at_idx ON participants (room_id, created_at, user_id);

-- Apart from rooms, so that talking does not wait for changes of facts, and the other way round.
CREATE TABLE chat_heads (
    room_id   UUID   NOT NULL CONSTRAINT chat_heads_pkey PRIMARY KEY REFERENCES rooms (id),
    -- The highest number given out; its row lock is what keeps the numbers without holes.
    head      BIGINT NOT NULL DEFAULT 0,
    -- Retention removed the messages below this one.
    kept_from BIGINT NOT NULL DEFAULT 1
)
WITH (fillfactor = 50);

CREATE TABLE messages (
    room_id          UUID    NOT NULL REFERENCES rooms (id),
    seq              BIGINT  NOT NULL,
    user_id          UUID    NOT NULL REFERENCES users (id),
    -- What the sender was called then.
    name             TEXT    NOT NULL,
    -- Null when erased: the row stays, so that the numbers keep no secret.
    body             TEXT,
    -- What makes sending again harmless.
    key              TEXT    NOT NULL,
    key_is_client_id BOOLEAN NOT NULL,
    created_at       BIGINT  NOT NULL,
    erased_at        BIGINT,
    CONSTRAINT messages_pkey PRIMARY KEY (room_id, seq),
    CONSTRAINT messages_key_key UNIQUE (room_id, user_id, key)
);

-- What has to be told to others after the commit, however often that takes.
CREATE TABLE outbox (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
    kind       TEXT   NOT NULL CHECK (kind IN ('fence')),
    room_id    UUID   NOT NULL REFERENCES rooms (id),
    fence      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    next_at    BIGINT NOT NULL
);
CREATE INDEX outbox_next_at_idx ON outbox (next_at);
