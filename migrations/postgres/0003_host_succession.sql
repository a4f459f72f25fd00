-- To whom a room goes back when they return, since it passed on while they were lost; null: to nobody. The release still
-- running leaves both alone.
ALTER TABLE rooms ADD COLUMN lost_host_id UUID REFERENCES users (id);
-- The roster version at which it passed on: they were not in it. A return that was seen earlier is not of now.
ALTER TABLE rooms ADD COLUMN lost_host_roster_version BIGINT;
CREATE INDEX rooms_lost_host_idx ON rooms (id) WHERE lost_host_id IS NOT NULL AND life = 'ACTIVE';
-- Rooms that would pass on as soon as somebody comes. Most of them are empty for good, and nobody looks at those.
CREATE INDEX rooms_asleep_idx ON rooms (last_active_at)
    WHERE host_deadline = 253402300799000 AND on_host_lost = 'PROMOTE' AND life = 'ACTIVE';
