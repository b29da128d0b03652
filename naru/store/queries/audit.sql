-- every_guard_stands --
-- P1: The constraints and triggers that keep the promises are there, switched on and valid.
SELECT g.on_table || '.' || g.name AS id, 'missing or switched off' AS why
  FROM (VALUES
        ('payments', 'payment_birth'), ('payments', 'payment_rules'), ('payments', 'payment_facts'),
        ('payments', 'payment_history'), ('payments', 'books'), ('payments', 'books_agree'),
        ('payments', 'cancellations_add_up'), ('payments', 'approving_is_asked'), ('payments', 'never_emptied'),
        ('payment_events', 'append_only'), ('payment_events', 'by_trigger_only'), ('payment_events', 'never_emptied'),
        ('intents', 'intent_rules'), ('intents', 'books_reserve'), ('intents', 'books_let_go'),
        ('intents', 'approving_is_asked'), ('intents', 'never_emptied'),
        ('cancellations', 'append_only'), ('cancellations', 'cancellations_add_up'), ('cancellations', 'never_emptied'),
        ('deposits', 'append_only'), ('deposits', 'books'), ('deposits', 'books_agree'), ('deposits', 'exact_pays'),
        ('deposits', 'never_emptied'),
        ('entries', 'append_only'), ('entries', 'by_trigger_only'), ('entries', 'books_agree'), ('entries', 'never_emptied'),
        ('webhook_deliveries', 'webhook_rules'), ('webhook_deliveries', 'append_only'),
        ('webhook_deliveries', 'never_emptied'), ('webhook_attempts', 'append_only'),
        ('audit_log', 'append_only'), ('audit_log', 'by_trigger_only'), ('audit_log', 'never_emptied'),
        ('audit_heads', 'append_only'), ('audit_heads', 'by_trigger_only'), ('audit_heads', 'never_emptied'),
        ('merchants', 'audited'), ('user_codes', 'audited'), ('api_keys', 'audited'), ('channels', 'audited'),
        ('prepared', 'audited'), ('intents', 'audited'), ('data_keys', 'audited'), ('audit_anchors', 'audited'),
        ('idempotency', 'never_emptied'), ('prepared', 'never_emptied'), ('merchants', 'never_emptied'),
        ('user_codes', 'never_emptied'), ('api_keys', 'never_emptied'), ('channels', 'never_emptied'),
        ('data_keys', 'never_emptied')
        ) g (on_table, name)
 WHERE NOT EXISTS (SELECT 1 FROM pg_trigger t
                    WHERE t.tgrelid = g.on_table::regclass AND t.tgname = g.name AND t.tgenabled IN ('O', 'A'))
UNION ALL
SELECT c.conrelid::regclass || '.' || c.conname, 'never validated'
  FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
 WHERE NOT c.convalidated AND r.relnamespace = 'public'::regnamespace
UNION ALL
SELECT n.name, 'not there, or not valid'
  FROM (VALUES ('one_approval_per_order'), ('one_open_intent')) n (name)
 WHERE NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indexrelid = to_regclass(n.name) AND x.indisunique AND x.indisvalid);

-- books_balance --
-- P1: The entries of every payment sum to zero in each currency.
SELECT COALESCE(e.imp_uid, 'no payment') AS id, sum(e.amount) || ' ' || e.currency || ' left over' AS why
  FROM entries e
 WHERE ($1::text[] IS NULL OR e.imp_uid IS NULL OR e.imp_uid = ANY ($1))
 GROUP BY e.imp_uid, e.currency HAVING sum(e.amount) <> 0;

-- books_agree --
-- P1: What the books call receivable is what the payment says: its amount less what was given back.
SELECT COALESCE(p.imp_uid, b.imp_uid) AS id,
       'the books say ' || COALESCE(b.receivable, 0) || ', the payment ' || COALESCE(p.due, 0) AS why
  FROM (SELECT imp_uid, currency, amount - cancelled AS due FROM payments
         WHERE step IN ('paid', 'cancelled') AND ($1::text[] IS NULL OR imp_uid = ANY ($1))) p
  FULL JOIN (SELECT imp_uid, currency, sum(amount) AS receivable FROM entries
              WHERE account = 'receivable' AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
              GROUP BY imp_uid, currency) b ON b.imp_uid = p.imp_uid AND b.currency = p.currency
 WHERE COALESCE(b.receivable, 0) <> COALESCE(p.due, 0);

-- cancellations_add_up --
-- P1: What a payment says was given back is the sum of its cancellations.
SELECT COALESCE(p.imp_uid, c.imp_uid) AS id,
       'cancelled ' || COALESCE(p.cancelled, 0) || ', cancellations ' || COALESCE(c.given_back, 0) AS why
  FROM (SELECT imp_uid, cancelled FROM payments
         WHERE cancelled <> 0 AND ($1::text[] IS NULL OR imp_uid = ANY ($1))) p
  FULL JOIN (SELECT imp_uid, sum(amount) AS given_back FROM cancellations
              WHERE $1::text[] IS NULL OR imp_uid = ANY ($1) GROUP BY imp_uid) c USING (imp_uid)
 WHERE COALESCE(p.cancelled, 0) <> COALESCE(c.given_back, 0);

-- refunds_reserved --
-- P7: What the books hold back is what open cancels have spoken for.
SELECT COALESCE(i.imp_uid, b.imp_uid) AS id,
       'reserved ' || COALESCE(i.reserved, 0) || ', the books say ' || -COALESCE(b.pending, 0) AS why
  FROM (SELECT imp_uid, sum(amount) AS reserved FROM intents
         WHERE kind = 'cancel' AND state IN ('open', 'unknown', 'undoing') GROUP BY imp_uid) i
  FULL JOIN (SELECT imp_uid, sum(amount) AS pending FROM entries
              WHERE account = 'refund_pending' AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
              GROUP BY imp_uid HAVING sum(amount) <> 0) b USING (imp_uid)
 WHERE COALESCE(i.reserved, 0) <> -COALESCE(b.pending, 0)
   AND ($1::text[] IS NULL OR COALESCE(i.imp_uid, b.imp_uid) = ANY ($1));

-- balance_spent_once --
-- P7: No two cancels that succeeded were reserved against the same balance.
SELECT imp_uid AS id, count(*) || ' cancels of the balance ' || balance_before AS why
  FROM intents
 WHERE kind = 'cancel' AND state = 'done' AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
 GROUP BY imp_uid, balance_before HAVING count(*) > 1;

-- one_approval --
-- P2: At most one payment of an order is approved, or being approved, by our decision.
SELECT string_agg(p.imp_uid, ' ' ORDER BY p.imp_uid) AS id,
       count(*) || ' of order ' || p.merchant_uid || ' of merchant ' || p.merchant_id AS why
  FROM payments p
 WHERE p.step IN ('approving', 'paid', 'cancelled') AND NOT p.flagged
   AND ($1::text[] IS NULL OR (p.merchant_id, p.merchant_uid) IN
        (SELECT t.merchant_id, t.merchant_uid FROM payments t WHERE t.imp_uid = ANY ($1)))
 GROUP BY p.merchant_id, p.merchant_uid HAVING count(*) > 1;

-- approving_is_asked --
-- P3: What is being approved has an open question; an open question about an approval has such a payment.
SELECT COALESCE(p.imp_uid, i.imp_uid) AS id,
       CASE WHEN i.imp_uid IS NULL THEN 'is being approved and nobody asks'
            ELSE 'is not being approved, and the question is open' END AS why
  FROM (SELECT imp_uid FROM payments WHERE step = 'approving') p
  FULL JOIN (SELECT imp_uid FROM intents
              WHERE kind IN ('approve', 'issue_account') AND state IN ('open', 'unknown', 'undoing')) i USING (imp_uid)
 WHERE p.imp_uid IS NULL OR i.imp_uid IS NULL;

-- events_numbered --
-- P4: The events of every payment are numbered 1 to its version without a gap, and end as it stands.
SELECT COALESCE(p.imp_uid, v.imp_uid) AS id,
       'version ' || COALESCE(p.version, 0) || ', events ' || COALESCE(v.first, 0) || ' to ' || COALESCE(v.last, 0)
       || ', ' || COALESCE(v.events, 0) || ' of them' AS why
  FROM (SELECT imp_uid, version, step, cancelled, event FROM payments
         WHERE $1::text[] IS NULL OR imp_uid = ANY ($1)) p
  FULL JOIN (SELECT imp_uid, count(*) AS events, min(version) AS first, max(version) AS last FROM payment_events
              WHERE $1::text[] IS NULL OR imp_uid = ANY ($1) GROUP BY imp_uid) v USING (imp_uid)
  LEFT JOIN payment_events e ON e.imp_uid = p.imp_uid AND e.version = p.version
 WHERE (v.first, v.last, v.events) IS DISTINCT FROM (1, p.version, p.version::bigint)
    OR (e.step, e.cancelled, e.event) IS DISTINCT FROM (p.step, p.cancelled, p.event);

-- webhooks_laid --
-- P4: Every event that earns a webhook has one for each address of its payment.
WITH addresses AS (
    SELECT p.imp_uid, u.url, '-infinity'::timestamptz AS since FROM payments p, unnest(p.webhook_urls) u (url)
     WHERE $1::text[] IS NULL OR p.imp_uid = ANY ($1)
     UNION ALL
    -- The merchant's own address, once it is this one (a minute for what was under way).
    SELECT p.imp_uid, m.webhook_url, m.webhook_url_since + interval '1 minute'
      FROM payments p JOIN merchants m ON m.id = p.merchant_id
     WHERE p.webhook_urls = '{}' AND m.webhook_url <> '' AND ($1::text[] IS NULL OR p.imp_uid = ANY ($1))
)
SELECT v.imp_uid || ' ' || v.version AS id, v.event || ' was not announced to ' || a.url AS why
  FROM payment_events v JOIN addresses a ON a.imp_uid = v.imp_uid AND v.at > a.since
 WHERE v.event IN ('approved', 'approved_late', 'account_issued', 'deposited')
   AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d
                    WHERE d.imp_uid = v.imp_uid AND d.version = v.version AND d.url = a.url)
UNION ALL
SELECT i.imp_uid || ' ' || i.number, 'the cancel was not announced to ' || a.url
  FROM intents i JOIN cancellations c ON c.cancellation_id = i.number
  JOIN addresses a ON a.imp_uid = i.imp_uid AND i.opened_at > a.since
 WHERE i.kind = 'cancel' AND i.request ->> 'enable_webhook' = 'true'
   AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.cancellation_id = i.number AND d.url = a.url);

-- webhooks_known --
-- P4: Every webhook tells of an event that happened, and one that counts as delivered was answered.
SELECT d.id::text AS id, CASE WHEN v.imp_uid IS NULL THEN 'tells of no event of ' || d.imp_uid
                              ELSE 'counts as delivered and was never answered' END AS why
  FROM webhook_deliveries d LEFT JOIN payment_events v ON v.imp_uid = d.imp_uid AND v.version = d.version
 WHERE ($1::text[] IS NULL OR d.imp_uid = ANY ($1))
   AND (v.imp_uid IS NULL
        OR (d.state = 'delivered' AND NOT EXISTS
            (SELECT 1 FROM webhook_attempts a WHERE a.delivery_id = d.id AND a.answer_status BETWEEN 200 AND 299)));

-- steps_legal --
-- P8: Every history replays on the table of steps, and what was given back never shrinks.
SELECT h.imp_uid || ' ' || h.version AS id,
       COALESCE(h.before, 'nothing') || ' became ' || h.step || ' by ' || h.event AS why
  FROM (SELECT imp_uid, version, event, step, cancelled,
               lag(step) OVER w AS before, lag(cancelled) OVER w AS cancelled_before
          FROM payment_events WHERE $1::text[] IS NULL OR imp_uid = ANY ($1)
        WINDOW w AS (PARTITION BY imp_uid ORDER BY version)) h
 WHERE CASE WHEN h.before IS NULL THEN (h.event, h.step, h.cancelled) <> ('opened', 'opened', 0)
            ELSE (h.before, h.step, h.event) NOT IN (
                     ('opened', 'approving', 'authenticated'),
                     ('opened', 'failed', 'abandoned'),
                     ('approving', 'paid', 'approved'),
                     ('approving', 'failed', 'declined'),
                     ('approving', 'failed', 'undone'),
                     ('approving', 'waiting_deposit', 'account_issued'),
                     ('waiting_deposit', 'paid', 'deposited'),
                     ('waiting_deposit', 'failed', 'account_closed'),
                     ('failed', 'paid', 'approved_late'),
                     ('paid', 'paid', 'partly_cancelled'),
                     ('paid', 'cancelled', 'fully_cancelled'))
                 OR (h.event IN ('partly_cancelled', 'fully_cancelled')) <> (h.cancelled > h.cancelled_before)
                 OR h.cancelled < h.cancelled_before END;

-- times_in_order --
-- P8: Nothing is given back before it was paid.
SELECT imp_uid AS id, 'paid ' || paid_at || ', cancelled ' || cancelled_at AS why
  FROM payments WHERE cancelled_at < paid_at AND ($1::text[] IS NULL OR imp_uid = ANY ($1));

-- asked_first --
-- P13: No PG took or gave back money that we had not written down to ask for, unless a person was told.
SELECT v.imp_uid || ' ' || v.version AS id, v.event || ' without an intent' AS why
  FROM payment_events v
 WHERE v.event IN ('approved', 'approved_late', 'account_issued')
   AND ($1::text[] IS NULL OR v.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.imp_uid = v.imp_uid AND i.kind IN ('approve', 'issue_account'))
UNION ALL
SELECT c.imp_uid || ' ' || c.cancellation_id, 'given back without an intent'
  FROM cancellations c
 WHERE ($1::text[] IS NULL OR c.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM intents i
                    WHERE i.kind = 'cancel' AND i.number = c.cancellation_id AND i.imp_uid = c.imp_uid)
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.imp_uid = c.imp_uid);

-- one_question --
-- P14: At most one question about a payment is open.
SELECT imp_uid AS id, count(*) || ' open questions' AS why
  FROM intents WHERE state IN ('open', 'unknown', 'undoing') GROUP BY imp_uid HAVING count(*) > 1;

-- deposits_booked --
-- P16: What the books have in virtual accounts is what was deposited, less what was paid with it.
SELECT COALESCE(b.imp_uid, d.imp_uid, 'no payment') AS id,
       'deposited ' || COALESCE(d.arrived, 0) || ' ' || COALESCE(d.currency, b.currency)
       || ', the books say ' || COALESCE(b.deposited, 0) || ' is left' AS why
  FROM (SELECT imp_uid, currency, sum(amount) AS arrived FROM deposits
         WHERE $1::text[] IS NULL OR imp_uid IS NULL OR imp_uid = ANY ($1) GROUP BY imp_uid, currency) d
  FULL JOIN (SELECT imp_uid, currency, sum(amount) AS deposited, -sum(amount) FILTER (WHERE version IS NOT NULL) AS spent
               FROM entries WHERE account = 'deposited' AND ($1::text[] IS NULL OR imp_uid IS NULL OR imp_uid = ANY ($1))
              GROUP BY imp_uid, currency) b
    ON COALESCE(b.imp_uid, '') = COALESCE(d.imp_uid, '') AND b.currency = d.currency
 WHERE COALESCE(b.deposited, 0) <> COALESCE(d.arrived, 0) - COALESCE(b.spent, 0) OR b.deposited < 0;

-- deposits_paid --
-- P16: A deposit that is called exact paid its payment, and a payment that was paid by deposit has one.
SELECT d.channel_id || '/' || d.notice_key AS id, 'is called exact and paid nothing' AS why
  FROM deposits d
 WHERE d.meaning = 'exact' AND ($1::text[] IS NULL OR d.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM payment_events v WHERE v.imp_uid = d.imp_uid AND v.event = 'deposited')
UNION ALL
SELECT v.imp_uid, 'was paid by a deposit that is not there'
  FROM payment_events v
 WHERE v.event = 'deposited' AND ($1::text[] IS NULL OR v.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM deposits d WHERE d.imp_uid = v.imp_uid);

-- deposits_told --
-- P16: A person was told of every deposit that paid nothing.
SELECT d.channel_id || '/' || d.notice_key AS id, d.amount || ' ' || d.currency || ' ' || d.meaning || ', nobody was told' AS why
  FROM deposits d
 WHERE d.meaning <> 'exact' AND ($1::text[] IS NULL OR d.imp_uid IS NULL OR d.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t
                    WHERE t.subject = d.channel_id || '/' || d.notice_key);

-- questions_end --
-- L1: Every question to a PG ends within the hour, or a person was told; none is left lying.
SELECT i.imp_uid || ' ' || i.id AS id, i.kind || ' ' || i.state || ' since ' || i.opened_at AS why
  FROM intents i
 WHERE i.state IN ('open', 'unknown', 'undoing')
   AND (i.opened_at < $2 - interval '1 hour' OR i.next_try_at IS NULL OR i.next_try_at < $2 - interval '10 minutes')
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.imp_uid = i.imp_uid AND t.closed_at IS NULL);

-- webhooks_leave --
-- L2: No webhook is overdue by ten minutes, and a person was told of every one that was given up.
SELECT d.id::text AS id, 'to ' || d.url || ' is due since ' || d.next_at AS why
  FROM webhook_deliveries d
 WHERE d.state = 'waiting' AND d.next_at < $2 - interval '10 minutes' AND (d.leased_until IS NULL OR d.leased_until < $2)
   AND NOT EXISTS (SELECT 1 FROM webhook_deliveries e
                    WHERE e.imp_uid = d.imp_uid AND e.url = d.url AND e.version < d.version AND e.state = 'waiting')
UNION ALL
SELECT d.id::text, 'to ' || d.url || ' was given up, nobody was told'
  FROM webhook_deliveries d
 -- The modes that keep to i'mport's own rhythm give up by their nature.
 WHERE d.state = 'parked' AND d.mode = 'ladder' AND ($1::text[] IS NULL OR d.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.kind = 'webhook_parked' AND t.subject = d.id::text);

-- sealed_at_rest --
-- P19: What must be sealed is a blob, and the data key that it names is there.
SELECT b.id, CASE WHEN b.data_key IS NULL THEN 'not sealed' ELSE 'data key ' || b.data_key || ' is gone' END AS why
  FROM (SELECT 'channels ' || channel_key AS id, data_key_of(settings) AS data_key FROM channels WHERE settings IS NOT NULL
         UNION ALL
        SELECT 'merchants ' || id, data_key_of(webhook_secret) FROM merchants WHERE webhook_secret IS NOT NULL
         UNION ALL
        SELECT 'payment_secrets ' || imp_uid, data_key_of(sealed) FROM payment_secrets
         WHERE $1::text[] IS NULL OR imp_uid = ANY ($1)
         UNION ALL
        SELECT 'deposit_secrets ' || channel_id || '/' || notice_key, data_key_of(sealed) FROM deposit_secrets) b
 WHERE NOT EXISTS (SELECT 1 FROM data_keys k WHERE k.id = b.data_key);

-- audit_log_whole --
-- P20: No row of the audit log was removed, changed or moved since it was written.
SELECT 'chain ' || chain || coalesce(' row ' || place, '') AS id, why FROM audit_log_broken
 WHERE $1::text[] IS NULL OR at IS NULL OR at > $2 - interval '2 days';
