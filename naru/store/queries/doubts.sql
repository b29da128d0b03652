-- elsewhere --
-- What nobody here knows and moves no money: keys, cash receipts, members. Oldest first.
SELECT d.question, d.number, d.about, d.since, d.next_try_at, d.tries
  FROM (SELECT 'billing key' AS question, number, customer_uid AS about, asked_at AS since, next_try_at, tries, fence
          FROM billing_keys WHERE state = 'asking'
         UNION ALL
        SELECT 'cash receipt', number, COALESCE(imp_uid, merchant_uid), COALESCE(cancel_asked_at, asked_at), next_try_at,
               tries, fence
          FROM cash_receipts WHERE state IN ('asking', 'cancelling')
         UNION ALL
        SELECT 'member', number, member_id, asked_at, next_try_at, tries, fence
          FROM quick_questions WHERE state = 'asking') d
 WHERE d.fence > 0 OR d.next_try_at <= $1
 ORDER BY d.since, d.number LIMIT $2;
