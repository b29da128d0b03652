-- take --
-- Permits of this window of time; one that is over begins anew. No row comes back when nothing is left.
INSERT INTO limits AS l (name, spent, ends_at) VALUES ($1, $2, $5)
ON CONFLICT (name) DO UPDATE
   SET spent = CASE WHEN l.ends_at <= $4 THEN $2 ELSE l.spent + $2 END,
       ends_at = CASE WHEN l.ends_at <= $4 THEN $5 ELSE l.ends_at END
 WHERE l.ends_at <= $4 OR l.spent < $3
RETURNING spent, ends_at;

-- ends_at --
-- When this window is over.
SELECT ends_at FROM limits WHERE name = $1;

-- forget --
-- Let go of some windows that are over, the oldest first.
DELETE FROM limits WHERE name IN (
    SELECT name FROM limits WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING name;
