-- of_order --
-- A page of the payments of one order; $3 is a public status or 'all', $4 what a partly cancelled payment is called.
WITH found AS (
    SELECT imp_uid, started_at, paid_at,
           GREATEST(started_at, paid_at, failed_at, cancelled_at) AS updated_at
      FROM payments
     WHERE merchant_id = $1 AND merchant_uid = $2
       AND CASE $3::text
               WHEN 'all' THEN true
               WHEN 'ready' THEN step IN ('opened', 'approving', 'waiting_deposit')
               WHEN 'failed' THEN step = 'failed'
               WHEN 'paid' THEN step = 'paid' AND (cancelled = 0 OR $4::text = 'paid')
               ELSE step = 'cancelled' OR (cancelled > 0 AND $4::text = 'cancelled')
           END
), page AS (
    SELECT imp_uid, count(*) OVER () AS total, row_number() OVER (
               ORDER BY CASE $5::text WHEN 'started' THEN started_at WHEN 'paid' THEN paid_at
                                      WHEN 'updated' THEN updated_at END NULLS LAST,
                        CASE $5::text WHEN '-started' THEN started_at WHEN '-paid' THEN paid_at
                                      WHEN '-updated' THEN updated_at END DESC NULLS LAST,
                        started_at DESC, imp_uid DESC) AS place
      FROM found
     ORDER BY place LIMIT $6 OFFSET $7
)
SELECT p.*, s.sealed, page.total FROM page JOIN payments p USING (imp_uid) LEFT JOIN payment_secrets s USING (imp_uid) ORDER BY page.place;

-- of_status --
-- A page of a merchant's payments in one public status ('all': in each) whose time of reaching it lies in $3..$4.
WITH found AS (
    SELECT imp_uid, started_at, paid_at, started_at AS updated_at FROM payments
     WHERE $2::text IN ('all', 'ready') AND merchant_id = $1
       AND step IN ('opened', 'approving', 'waiting_deposit') AND started_at BETWEEN $3 AND $4
    UNION ALL
    SELECT imp_uid, started_at, paid_at, GREATEST(paid_at, cancelled_at) FROM payments
     WHERE $2::text IN ('all', 'paid') AND merchant_id = $1
       AND step = 'paid' AND (cancelled = 0 OR $5::text = 'paid') AND paid_at BETWEEN $3 AND $4
    UNION ALL
    SELECT imp_uid, started_at, paid_at, failed_at FROM payments
     WHERE $2::text IN ('all', 'failed') AND merchant_id = $1
       AND step = 'failed' AND failed_at BETWEEN $3 AND $4
    UNION ALL
    SELECT imp_uid, started_at, paid_at, cancelled_at FROM payments
     WHERE $2::text IN ('all', 'cancelled') AND merchant_id = $1 AND cancelled > 0
       AND (step = 'cancelled' OR $5::text = 'cancelled') AND cancelled_at BETWEEN $3 AND $4
), page AS (
    SELECT imp_uid, count(*) OVER () AS total, row_number() OVER (
               ORDER BY CASE $6::text WHEN 'started' THEN started_at WHEN 'paid' THEN paid_at
                                      WHEN 'updated' THEN updated_at END NULLS LAST,
                        CASE $6::text WHEN '-started' THEN started_at WHEN '-paid' THEN paid_at
                                      WHEN '-updated' THEN updated_at END DESC NULLS LAST,
                        started_at DESC, imp_uid DESC) AS place
      FROM found
     ORDER BY place LIMIT $7 OFFSET $8
)
SELECT p.*, s.sealed, page.total FROM page JOIN payments p USING (imp_uid) LEFT JOIN payment_secrets s USING (imp_uid) ORDER BY page.place;
