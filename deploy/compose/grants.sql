-- The rights of the role that the apis log in as: those of docs/operations.md, letter by letter (.ci/shipped compares).
GRANT USAGE ON SCHEMA public TO streamit_app;
GRANT SELECT ON _sqlx_migrations, secrets TO streamit_app;
GRANT SELECT, INSERT ON signing_keys TO streamit_app;
GRANT SELECT, INSERT, UPDATE ON users, rooms, participants, chat_heads TO streamit_app;
GRANT SELECT, INSERT, DELETE ON revocations, audit_log TO streamit_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON messages, sessions, panel_sessions, refresh_tokens, reports, room_bans, outbox
    TO streamit_app;
