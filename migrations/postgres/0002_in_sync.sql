-- How a room keeps its players in step, and whether it waits for those who are not ready. The defaults are for the
-- release still running, which does not name these columns, and for the rooms it made.
ALTER TABLE rooms ADD COLUMN readiness TEXT NOT NULL DEFAULT 'SOFT'
    CHECK (readiness IN ('OFF', 'SOFT', 'STRICT'));
ALTER TABLE rooms ADD COLUMN drift_enter_ms BIGINT NOT NULL DEFAULT 60;
ALTER TABLE rooms ADD COLUMN drift_leave_ms BIGINT NOT NULL DEFAULT 20;
ALTER TABLE rooms ADD COLUMN drift_seek_ms BIGINT NOT NULL DEFAULT 1200;
