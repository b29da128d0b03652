-- broken --
-- Everything that is wrong in any chain, in words. $1 and $2 are the place and hash of a printed anchor, or null.
SELECT chain, place, why FROM audit_log_broken
UNION ALL
SELECT 0, $1::bigint, 'it is not what the printed anchor says' WHERE $1 IS NOT NULL AND NOT EXISTS (
    SELECT FROM audit_log WHERE chain = 0 AND place = $1 AND hash = $2::bytea)
 ORDER BY 1, 2
 LIMIT 1000;

-- size --
-- How many rows in how many chains.
SELECT count(*) AS rows, count(DISTINCT chain) AS chains FROM audit_log;

-- newest --
-- The newest rows of a chain, newest first.
SELECT * FROM audit_log WHERE chain = $1 ORDER BY place DESC LIMIT $2;

-- anchor --
-- Note the ends of all chains that moved since the last anchor; no row when today has its anchor already.
INSERT INTO audit_anchors (day, heads)
SELECT (now() AT TIME ZONE 'UTC')::date,
       coalesce(jsonb_object_agg(h.chain, jsonb_build_array(h.place, encode(h.hash, 'hex'))), '{}')
  FROM audit_heads h
 WHERE h.chain <> 0 AND EXISTS (
     SELECT FROM audit_log l WHERE l.chain = h.chain AND l.place = h.place AND l.at >= coalesce(
         (SELECT max(at) - interval '1 hour' FROM audit_log WHERE chain = 0 AND subject LIKE 'audit\_anchors %'),
         '-infinity'))
ON CONFLICT DO NOTHING
RETURNING day;

-- anchored --
-- Where chain 0 ends: what is printed.
SELECT place, hash FROM audit_heads WHERE chain = 0;
