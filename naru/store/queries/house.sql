-- look --
-- Where the house stands by its own record and where it is, and how far this witness ($1) had come.
SELECT h.id::text AS id, h.cluster, h.timeline, h.database, h.place, h.fenced_at, h.fenced_because,
       COALESCE((extract(epoch FROM h.unfenced_at) * 1000000)::bigint, 0) AS unfenced,
       (SELECT system_identifier FROM pg_control_system())::text AS cluster_now,
       -- Of the segment that is written now: the last checkpoint may be older than a fail-over.
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint AS timeline_now,
       (SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database()) AS database_now,
       h.tableoid::bigint AS place_now,
       (SELECT w.beat FROM witnesses w WHERE w.name = $1::text::uuid) AS beat
  FROM house h;

-- adopt --
-- A house that was never entered: from now on it stands here.
INSERT INTO house (id, cluster, timeline, database, place)
SELECT gen_random_uuid(),
       (SELECT system_identifier FROM pg_control_system())::text,
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
       (SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database()),
       'house'::regclass::oid::bigint
    ON CONFLICT DO NOTHING
RETURNING id::text AS id;

-- vouch --
-- A fail-over that lost nothing: the house stands on a new timeline ($2, before it $1).
UPDATE house SET timeline = $2 WHERE timeline = $1 AND fenced_at IS NULL RETURNING id::text AS id;

-- fence --
-- Nothing leaves this house any more. No row: it is fenced already.
UPDATE house SET fenced_at = now(), fenced_because = $1 WHERE fenced_at IS NULL RETURNING fenced_at;

-- unfence --
-- A person compared it with the PGs' books: it acts again, where it stands now. No row: it was not fenced.
-- Its time rises, so what was remembered of the house before is not held against it, and a copy that is
-- older than this is known by it.
UPDATE house h
   SET fenced_at = NULL, fenced_because = NULL,
       unfenced_at = greatest(now(), h.unfenced_at + interval '1 microsecond'), unfenced_by = $1, note = $2,
       cluster = (SELECT system_identifier FROM pg_control_system())::text,
       timeline = ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
       database = (SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database()),
       place = h.tableoid::bigint
 WHERE h.fenced_at IS NOT NULL
RETURNING h.id::text AS id;

-- hold --
-- Questions that are open in a copy: whatever was decided about them since is not in it.
UPDATE intents SET restored = true
 WHERE state IN ('open', 'unknown', 'undoing') AND NOT restored
RETURNING id;

-- beat --
-- This witness raises its number.
INSERT INTO witnesses (name, beat) VALUES ($1::text::uuid, $2)
    ON CONFLICT (name) DO UPDATE SET beat = greatest(witnesses.beat, EXCLUDED.beat), at = now()
RETURNING beat;

-- newest --
-- When the newest thing that a copy knows of happened: from then on only the PGs know. What was
-- taken over since it was fenced does not count.
SELECT greatest((SELECT i.opened_at FROM intents i WHERE i.opened_at < h.fenced_at ORDER BY i.id DESC LIMIT 1),
                (SELECT e.at FROM entries e WHERE e.at < h.fenced_at ORDER BY e.id DESC LIMIT 1),
                (SELECT max(w.at) FROM witnesses w WHERE w.at < h.fenced_at)) AS at
  FROM house h;

-- windows --
-- Payments of these channels that may have gone on after the copy was made: windows that were open in
-- the day before $2, and approvals under way. A page behind an id.
SELECT imp_uid FROM payments
 WHERE channel_id = ANY ($1) AND imp_uid > $3
   AND (step = 'approving' OR (step = 'opened' AND started_at > $2::timestamptz - interval '1 day'))
 ORDER BY imp_uid LIMIT $4;
