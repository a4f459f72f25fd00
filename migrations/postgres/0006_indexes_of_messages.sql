-- As 0005, of the table that takes longest: nothing is said meanwhile.
CREATE INDEX IF NOT EXISTS messages_erasure_idx ON messages (room_id, erasure) WHERE erasure IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_created_at_idx ON messages (created_at, room_id, seq);
