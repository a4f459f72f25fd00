-- Indexes of tables that were there before: for lists of the panel, and for forgetting what is old. Apart from the columns,
-- whose change locks more. A large installation makes them beforehand, each with CREATE INDEX CONCURRENTLY.
CREATE INDEX IF NOT EXISTS rooms_created_at_idx ON rooms (created_at, id);
CREATE INDEX IF NOT EXISTS revocations_session_id_idx ON revocations (session_id);
CREATE INDEX IF NOT EXISTS users_guests_idx ON users (created_at) WHERE is_guest AND anonymised_at IS NULL;
CREATE INDEX IF NOT EXISTS users_created_at_idx ON users (created_at, id);
CREATE INDEX IF NOT EXISTS sessions_created_at_idx ON sessions (created_at, id);
CREATE INDEX IF NOT EXISTS users_staff_idx ON users (created_at, id) WHERE is_staff;
CREATE INDEX IF NOT EXISTS users_inactive_idx ON users (created_at, id) WHERE NOT is_active;
CREATE INDEX IF NOT EXISTS users_display_name_idx ON users (lower(display_name));
CREATE INDEX IF NOT EXISTS participants_banned_idx ON participants (created_at, user_id) WHERE standing = 'BANNED';
CREATE INDEX IF NOT EXISTS sessions_revoked_at_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
