-- broken --
-- Everything that is wrong in any chain, in words. $1 and $2 are the place and hash of a printed anchor, or null.
WITH linked AS (
    SELECT l.chain, l.place, l.hash,
           lag(l.place, 1, 0::bigint) OVER w AS place_before,
           audit_hash(lag(l.hash, 1, ''::bytea) OVER w, l) AS hash_due
      FROM audit_log l WINDOW w AS (PARTITION BY l.chain ORDER BY l.place)
), ends AS (
    SELECT DISTINCT ON (chain) chain, place, hash FROM audit_log ORDER BY chain, place DESC
), anchored AS (
    SELECT a.day, e.key::bigint AS chain, (e.value ->> 0)::bigint AS place, decode(e.value ->> 1, 'hex') AS hash
      FROM audit_anchors a, jsonb_each(a.heads) e
)
SELECT chain, place, 'rows are missing before this one' AS why FROM linked WHERE place <> place_before + 1
UNION ALL
SELECT chain, place, 'its hash does not follow from it and the row before' FROM linked WHERE hash <> hash_due
UNION ALL
SELECT chain, coalesce(h.place, e.place), 'the chain does not end where its head says'
  FROM audit_heads h FULL JOIN ends e USING (chain)
 WHERE (h.place, h.hash) IS DISTINCT FROM (coalesce(e.place, 0), coalesce(e.hash, ''))
UNION ALL
SELECT a.chain, a.place, 'it is not what the anchor of ' || a.day || ' says'
  FROM anchored a LEFT JOIN audit_log l USING (chain, place) WHERE l.hash IS DISTINCT FROM a.hash
UNION ALL
SELECT 0, NULL, 'the anchor of ' || a.day || ' is not the one that was logged'
  FROM audit_anchors a
 WHERE NOT EXISTS (
     SELECT FROM audit_log l WHERE l.chain = 0 AND l.subject = 'audit_anchors ' || a.day
        AND l.after -> 'heads' = a.heads)
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
