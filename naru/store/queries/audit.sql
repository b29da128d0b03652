-- every_guard_stands --
-- P1: The constraints and triggers that keep the promises are there, switched on and as we ship them, and
-- no others stand beside them.
-- Then: Stop the house, bring it back as naru/store/migrations/schema.sql has it, and find in PostgreSQL's log who changed it. Audit again before you go on.
SELECT g.name AS id, 'missing or switched off' AS why
  FROM unnest($3::text[]) g (name)
 WHERE NOT EXISTS (SELECT 1 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                    WHERE c.relnamespace = 'public'::regnamespace AND c.relname || '.' || t.tgname = g.name
                      AND t.tgenabled IN ('O', 'A'))
UNION ALL
SELECT c.relname || '.' || t.tgname, 'is a trigger, and not one of ours'
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
   AND c.relname || '.' || t.tgname <> ALL ($3)
   AND EXISTS (SELECT 1 FROM unnest($3) g (name) WHERE split_part(g.name, '.', 1) = c.relname)
UNION ALL
SELECT r.tablename || '.' || r.rulename, 'is a rule, and we have none'
  FROM pg_rules r WHERE r.schemaname = 'public'
UNION ALL
SELECT split_part(f.body, ' ', 1), 'is not the function that we ship'
  FROM unnest($4::text[]) f (body)
 WHERE NOT EXISTS (SELECT 1 FROM pg_proc p
                    WHERE p.pronamespace = 'public'::regnamespace AND p.proname || ' ' || md5(p.prosrc) = f.body)
UNION ALL
SELECT c.conrelid::regclass || '.' || c.conname, 'never validated'
  FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
 WHERE NOT c.convalidated AND r.relnamespace = 'public'::regnamespace
UNION ALL
SELECT n.name, 'not there, or not valid'
  FROM (VALUES ('one_approval_per_order'), ('one_open_intent')) n (name)
 WHERE NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indexrelid = to_regclass(n.name) AND x.indisunique AND x.indisvalid);

-- books_balance --
-- P1: The entries of every payment sum to zero in each currency: sales against what is receivable or held
-- back, suspense against what is deposited, entry for entry.
-- Then: Another hand than our triggers wrote an entry: PostgreSQL's log and `naru log show` say whose. Entries are never changed, not even now; hold the payment and compare it with the PG (`naru books compare`).
SELECT COALESCE(b.imp_uid, 'no payment') AS id,
       CASE WHEN b.sales <> 0 THEN b.sales || ' ' || b.currency || ' left over in sales'
            WHEN b.suspense <> 0 THEN b.suspense || ' ' || b.currency || ' left over in suspense'
            ELSE 'an entry of ' || b.currency || ' has no other side' END AS why
  FROM (SELECT e.imp_uid, e.currency,
               sum(CASE WHEN e.account IN ('deposited', 'suspense') THEN 0 ELSE e.amount END) AS sales,
               sum(CASE WHEN e.account IN ('deposited', 'suspense') THEN e.amount ELSE 0 END) AS suspense,
               sum(CASE WHEN e.account IN ('sales', 'suspense') THEN -abs(e.amount) ELSE abs(e.amount) END) AS moved
          FROM entries e
         WHERE $1::text[] IS NULL OR e.imp_uid IS NULL OR e.imp_uid = ANY ($1)
         GROUP BY e.imp_uid, e.currency) b
 WHERE b.sales <> 0 OR b.suspense <> 0 OR b.moved <> 0;

-- books_agree --
-- P1: What the books call receivable is what the payment says, its amount less what was given back in its
-- own currency, and they moved no more than that.
-- Then: Hold the payment (no cancels), and compare row, history and the PG's console: `naru payment IMP_UID`, `naru books compare`. What agrees with the PG is true.
SELECT COALESCE(p.imp_uid, b.imp_uid) AS id,
       'the books say ' || COALESCE(b.receivable, 0) || ' and moved ' || COALESCE(b.moved, 0) || ' '
       || COALESCE(b.currency, p.currency) || ', the payment says ' || COALESCE(p.due, 0)
       || ' and ' || COALESCE(p.moved, 0) AS why
  FROM (SELECT imp_uid, currency, amount - cancelled AS due, amount + cancelled AS moved FROM payments
         WHERE step IN ('paid', 'cancelled') AND ($1::text[] IS NULL OR imp_uid = ANY ($1))) p
  FULL JOIN (SELECT imp_uid, currency, sum(amount) AS receivable, sum(abs(amount)) AS moved FROM entries
              WHERE account = 'receivable' AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
              GROUP BY imp_uid, currency) b ON b.imp_uid = p.imp_uid AND b.currency = p.currency
 -- Less was moved where the books were opened for a payment that was older.
 WHERE COALESCE(b.receivable, 0) <> COALESCE(p.due, 0) OR COALESCE(b.moved, 0) > COALESCE(p.moved, 0);

-- cancellations_add_up --
-- P1: What a payment says was given back is the sum of its cancellations.
-- Then: Compare the cancels of `naru payment IMP_UID` with the PG's console. Do not cancel more until they agree.
SELECT COALESCE(p.imp_uid, c.imp_uid) AS id,
       'cancelled ' || COALESCE(p.cancelled, 0) || ', cancellations ' || COALESCE(c.given_back, 0) AS why
  FROM (SELECT imp_uid, cancelled FROM payments
         WHERE cancelled <> 0 AND ($1::text[] IS NULL OR imp_uid = ANY ($1))) p
  FULL JOIN (SELECT imp_uid, sum(amount) AS given_back FROM cancellations
              WHERE $1::text[] IS NULL OR imp_uid = ANY ($1) GROUP BY imp_uid) c USING (imp_uid)
 WHERE COALESCE(p.cancelled, 0) <> COALESCE(c.given_back, 0);

-- refunds_reserved --
-- P7: What the books hold back is what open cancels have spoken for, in the payment's own currency, and
-- they held back no more than was ever spoken for.
-- Then: See in `naru payment IMP_UID` which cancel is open. If none is, another hand wrote an entry: as with books_balance.
SELECT COALESCE(i.imp_uid, b.imp_uid) AS id,
       'reserved ' || COALESCE(i.reserved, 0) || ' of ' || COALESCE(i.moved, 0) || ', the books say '
       || -COALESCE(b.pending, 0) || ' of ' || COALESCE(b.moved, 0) || ' ' || COALESCE(b.currency, i.currency) AS why
  FROM (SELECT n.imp_uid, p.currency, COALESCE(sum(n.amount) FILTER (WHERE n.closed_at IS NULL), 0) AS reserved,
               sum(CASE WHEN n.closed_at IS NULL THEN n.amount ELSE 2 * n.amount END) AS moved
          FROM intents n JOIN payments p USING (imp_uid)
         WHERE n.kind = 'cancel' AND ($1::text[] IS NULL OR n.imp_uid = ANY ($1))
         GROUP BY n.imp_uid, p.currency) i
  FULL JOIN (SELECT imp_uid, currency, sum(amount) AS pending, sum(abs(amount)) AS moved FROM entries
              WHERE account = 'refund_pending' AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
              GROUP BY imp_uid, currency) b ON b.imp_uid = i.imp_uid AND b.currency = i.currency
 WHERE COALESCE(i.reserved, 0) <> -COALESCE(b.pending, 0) OR COALESCE(b.moved, 0) > COALESCE(i.moved, 0);

-- balance_spent_once --
-- P7: No two cancels that succeeded were reserved against the same balance.
-- Then: The buyer may have been given back too much: look both cancels up in the PG's console and settle the difference with the buyer.
SELECT imp_uid AS id, count(*) || ' cancels of the balance ' || balance_before AS why
  FROM intents
 WHERE kind = 'cancel' AND state = 'done' AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
 GROUP BY imp_uid, balance_before HAVING count(*) > 1;

-- one_approval --
-- P2: At most one payment of an order is approved, or being approved, by our decision.
-- Then: The order is paid twice: ask the merchant which payment is wanted, and cancel the other one.
SELECT (SELECT string_agg(p.imp_uid, ' ' ORDER BY p.imp_uid) FROM payments p
         WHERE p.merchant_id = o.merchant_id AND p.merchant_uid = o.merchant_uid
           AND p.step IN ('approving', 'paid', 'cancelled') AND NOT p.flagged AND p.amount > 0) AS id,
       o.approved || ' of order ' || o.merchant_uid || ' of merchant ' || o.merchant_id AS why
  FROM (SELECT p.merchant_id, p.merchant_uid, count(*) AS approved FROM payments p
         WHERE p.step IN ('approving', 'paid', 'cancelled') AND NOT p.flagged AND p.amount > 0
           AND ($1::text[] IS NULL OR (p.merchant_id, p.merchant_uid) IN
                (SELECT t.merchant_id, t.merchant_uid FROM payments t WHERE t.imp_uid = ANY ($1)))
         GROUP BY p.merchant_id, p.merchant_uid HAVING count(*) > 1) o;

-- approving_is_asked --
-- P3: What is being approved has an open question; an open question about an approval has such a payment.
-- Then: Look the order up in the PG's console. Start `naru worker`; if nothing has changed after a minute, report a defect of Naru with `naru payment IMP_UID`.
SELECT COALESCE(p.imp_uid, i.imp_uid) AS id,
       CASE WHEN i.imp_uid IS NULL THEN 'is being approved and nobody asks'
            ELSE 'is not being approved, and the question is open' END AS why
  FROM (SELECT imp_uid FROM payments WHERE step = 'approving') p
  FULL JOIN (SELECT imp_uid FROM intents
              WHERE kind IN ('approve', 'issue_account') AND state IN ('open', 'unknown', 'undoing')) i USING (imp_uid)
 WHERE p.imp_uid IS NULL OR i.imp_uid IS NULL;

-- events_numbered --
-- P4: The events of every payment are numbered 1 to its version without a gap, and end as it stands.
-- Then: Rows were changed behind our triggers. The PG's book says what happened to the money: `naru books compare`. PostgreSQL's log says who changed them.
SELECT h.imp_uid AS id,
       'version ' || COALESCE(h.version, 0) || ', events ' || COALESCE(h.first, 0) || ' to ' || COALESCE(h.last, 0)
       || ', ' || h.events || ' of them' || CASE WHEN h.ends THEN '' ELSE ', the last says something else' END AS why
  FROM (SELECT imp_uid, p.version, count(v.version) AS events, min(v.version) AS first, max(v.version) AS last,
               COALESCE(bool_or(v.version = p.version AND v.step = p.step AND v.cancelled = p.cancelled
                                AND v.event = p.event), false) AS ends
          FROM (SELECT imp_uid, version, step, cancelled, event FROM payments
                 WHERE $1::text[] IS NULL OR imp_uid = ANY ($1)) p
          FULL JOIN (SELECT imp_uid, version, step, cancelled, event FROM payment_events
                      WHERE $1::text[] IS NULL OR imp_uid = ANY ($1)) v USING (imp_uid)
         GROUP BY imp_uid, p.version) h
 WHERE (h.first, h.last, h.events) IS DISTINCT FROM (1, h.version, h.version::bigint) OR NOT h.ends;

-- webhooks_laid --
-- P4: Every event that earns a webhook has one for each address of its payment.
-- Then: The merchant was not told: tell them the imp_uid, so that they ask for it, and report a defect of Naru.
SELECT e.imp_uid || ' ' || COALESCE(e.cancel, e.version::text) AS id, e.event || ' was not announced to ' || a.url AS why
  FROM (SELECT v.imp_uid, v.at, v.version, v.event, NULL::text AS cancel FROM payment_events v
         WHERE v.event IN ('approved', 'approved_late', 'account_issued', 'deposited')
           AND ($1::text[] IS NULL OR v.imp_uid = ANY ($1))
        UNION ALL
        -- Of what a schedule tried its failure is told, too.
        SELECT v.imp_uid, v.at, v.version, v.event, NULL
          FROM payment_events v JOIN payments p USING (imp_uid)
         WHERE v.event IN ('declined', 'undone', 'abandoned') AND p.customer_uid_usage = 'payment.scheduled'
           AND ($1::text[] IS NULL OR v.imp_uid = ANY ($1))
        UNION ALL
        SELECT i.imp_uid, i.opened_at, NULL, 'the cancel', i.number
          FROM intents i JOIN cancellations c ON c.cancellation_id = i.number
         WHERE i.kind = 'cancel' AND i.request ->> 'enable_webhook' = 'true'
           AND ($1::text[] IS NULL OR i.imp_uid = ANY ($1))) e
  JOIN payments p USING (imp_uid) JOIN merchants m ON m.id = p.merchant_id,
       -- The merchant's own address, once it is this one (a minute for what was under way).
       unnest(CASE WHEN p.webhook_urls <> '{}' THEN p.webhook_urls
                   WHEN m.webhook_url <> '' AND e.at > m.webhook_url_since + interval '1 minute'
                   THEN ARRAY[m.webhook_url] END) a (url)
 WHERE NOT EXISTS (SELECT 1 FROM webhook_deliveries d
                    WHERE d.imp_uid = e.imp_uid AND d.url = a.url AND (d.version = e.version OR d.cancellation_id = e.cancel));

-- webhooks_known --
-- P4: Every webhook tells of an event that happened, and one that counts as delivered was answered.
-- Then: Rows were changed behind our triggers: PostgreSQL's log says who. `naru webhooks resend NUMBER` sends again what counts as delivered.
SELECT d.id::text AS id, 'tells of no event of ' || d.imp_uid AS why
  FROM webhook_deliveries d
 WHERE ($1::text[] IS NULL OR d.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM payment_events v WHERE v.imp_uid = d.imp_uid AND v.version = d.version)
UNION ALL
SELECT d.id::text, 'counts as delivered and was never answered'
  FROM webhook_deliveries d
 WHERE ($1::text[] IS NULL OR d.imp_uid = ANY ($1)) AND d.state = 'delivered'
   AND NOT EXISTS (SELECT 1 FROM webhook_attempts a WHERE a.delivery_id = d.id AND a.answer_status BETWEEN 200 AND 299);

-- steps_legal --
-- P8: Every history replays on the table of steps, and what was given back never shrinks.
-- Then: Rows were changed behind our triggers. The PG's book says what happened to the money: `naru books compare`. PostgreSQL's log says who changed them.
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
                     ('waiting_deposit', 'waiting_deposit', 'account_changed'),
                     ('failed', 'paid', 'approved_late'),
                     ('paid', 'paid', 'partly_cancelled'),
                     ('paid', 'cancelled', 'fully_cancelled'))
                 OR (h.event IN ('partly_cancelled', 'fully_cancelled')) <> (h.cancelled > h.cancelled_before)
                 OR h.cancelled < h.cancelled_before END;

-- times_in_order --
-- P8: Nothing is given back before it was paid, or paid a day before its window was opened.
-- Then: Compare both times with the PG's console; a clock is wrong, here or there (`naru doctor`), or another hand wrote the payment: `naru books compare` and `naru log show` say so.
SELECT imp_uid AS id, 'paid ' || paid_at || ', cancelled ' || cancelled_at AS why
  FROM payments WHERE cancelled_at < paid_at AND ($1::text[] IS NULL OR imp_uid = ANY ($1))
UNION ALL
SELECT imp_uid, 'opened ' || started_at || ', paid ' || paid_at
  FROM payments
 WHERE paid_at < started_at - interval '1 day' AND ($1::text[] IS NULL OR imp_uid = ANY ($1));

-- asked_first --
-- P13: No PG took or gave back money that we had not written down to ask for, unless a person was told.
-- Then: Money moved without our asking: look the payment up in the PG's console, and change the keys of the channel if nobody here did it.
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
-- Then: Stop the workers, look at both questions (`naru payment IMP_UID`) and end each by the PG's console. An index is missing: see every_guard_stands.
SELECT imp_uid AS id, count(*) || ' open questions' AS why
  FROM intents WHERE state IN ('open', 'unknown', 'undoing') GROUP BY imp_uid HAVING count(*) > 1;

-- deposits_booked --
-- P16: What the books have in virtual accounts is what was deposited, less what was paid with it or given
-- back, and they moved no more than that.
-- Then: Compare the deposits of `naru payment IMP_UID` with the PG's console. If they agree, another hand wrote an entry: as with books_balance.
SELECT COALESCE(b.imp_uid, d.imp_uid, 'no payment') AS id,
       'deposited ' || COALESCE(d.arrived, 0) || ' ' || COALESCE(d.currency, b.currency) || ', spent or given back '
       || COALESCE(d.spent, 0) || '; the books say ' || COALESCE(b.deposited, 0) || ' is left of '
       || COALESCE(b.moved, 0) || ' moved' AS why
  FROM (SELECT f.imp_uid, f.currency, sum(f.arrived) AS arrived, sum(f.spent) AS spent
          FROM (SELECT imp_uid, currency, amount AS arrived, 0 AS spent FROM deposits
                 WHERE $1::text[] IS NULL OR imp_uid IS NULL OR imp_uid = ANY ($1)
                UNION ALL
                SELECT p.imp_uid, p.currency, 0, p.amount FROM payments p JOIN payment_events v USING (imp_uid)
                 WHERE v.event = 'deposited' AND ($1::text[] IS NULL OR v.imp_uid = ANY ($1))
                UNION ALL
                SELECT d.imp_uid, d.currency, 0, d.amount FROM returned_deposits r JOIN deposits d USING (channel_id, notice_key)
                 WHERE $1::text[] IS NULL OR d.imp_uid IS NULL OR d.imp_uid = ANY ($1)) f
         GROUP BY f.imp_uid, f.currency) d
  FULL JOIN (SELECT imp_uid, currency, sum(amount) AS deposited, sum(abs(amount)) AS moved
               FROM entries WHERE account = 'deposited' AND ($1::text[] IS NULL OR imp_uid IS NULL OR imp_uid = ANY ($1))
              GROUP BY imp_uid, currency) b
    ON COALESCE(b.imp_uid, '') = COALESCE(d.imp_uid, '') AND b.currency = d.currency
 WHERE COALESCE(b.deposited, 0) <> COALESCE(d.arrived, 0) - COALESCE(d.spent, 0) OR b.deposited < 0
    OR COALESCE(b.moved, 0) > COALESCE(d.arrived, 0) + COALESCE(d.spent, 0);

-- deposits_paid --
-- P16: A deposit that is called exact paid its payment, and a payment that was paid by deposit has one.
-- Then: Look the virtual account up in the PG's console. Do not deliver before the deposit is seen there.
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
-- Then: Look the deposit up in the PG's console, and give it back (`naru tasks close --returned`) or settle the order by hand.
SELECT d.channel_id || '/' || d.notice_key AS id, d.amount || ' ' || d.currency || ' ' || d.meaning || ', nobody was told' AS why
  FROM deposits d
 WHERE d.meaning <> 'exact' AND ($1::text[] IS NULL OR d.imp_uid IS NULL OR d.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t
                    WHERE t.subject = d.channel_id || '/' || d.notice_key);

-- questions_end --
-- L1: Every question to a PG ends within the hour, or a person was told; none is left lying.
-- Then: Start `naru worker`: it asks again, and tells a person of what it cannot end. `naru doubts` lists them.
SELECT i.imp_uid || ' ' || i.id AS id, i.kind || ' ' || i.state || ' since ' || i.opened_at AS why
  FROM intents i
 WHERE i.state IN ('open', 'unknown', 'undoing')
   AND (i.opened_at < $2 - interval '1 hour' OR i.next_try_at IS NULL OR i.next_try_at < $2 - interval '10 minutes')
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.imp_uid = i.imp_uid AND t.closed_at IS NULL);

-- answers_found --
-- L1: Every question that moves no money (keys, cash receipts, members, errands, acts at malls) ends within
-- two hours, or a person was told; none is left lying, or put off for longer than its ladder is.
-- Then: Start `naru worker`: it asks again, and tells a person of what it cannot end. `naru doubts` lists them. One that is put off for days was written by another hand (`naru log show`): set its next_try_at to now() in its table.
SELECT q.number AS id, q.question || ' about ' || q.about || ' since ' || q.since || ', next try ' || COALESCE(q.next_try_at::text, 'never') AS why
  FROM open_questions q
 -- Two days more: the clock of who put it off may have been set back since.
 WHERE q.next_try_at IS NULL OR q.next_try_at > $2 + interval '73 hours'
    OR (q.since < $2 - interval '2 hours' OR q.next_try_at < $2 - interval '10 minutes')
       AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.subject = q.number AND t.closed_at IS NULL);

-- doubts_looked_at --
-- L1: No doubt is put off for more than a day, and every approval that was undone is looked for to the end
-- within six days.
-- Then: The PG has been silent for days (ask it about that order), or another hand wrote it: `naru log show` says whose. `naru worker` looks by itself if you bring the time back: UPDATE intents SET next_try_at = now() for a doubt, UPDATE undone_watches SET next_look_at = now() for a watch.
SELECT i.imp_uid || ' ' || i.id AS id, i.kind || ' is not tried before ' || i.next_try_at AS why
  FROM intents i
 -- As by the clock of the try that put it off: ours may have been set back since, though by two days at most.
 WHERE i.state IN ('open', 'unknown', 'undoing')
   AND i.next_try_at > least(greatest($2, i.tried_at, i.opened_at), $2 + interval '2 days') + interval '25 hours'
UNION ALL
SELECT w.imp_uid, 'is not looked for before ' || w.next_look_at
  FROM undone_watches w
 WHERE w.next_look_at > least(greatest($2, w.looked_at), $2 + interval '2 days')
                        + CASE w.looks WHEN 0 THEN interval '1 hour' WHEN 1 THEN interval '2 hours' ELSE interval '25 hours' END
UNION ALL
SELECT w.imp_uid, 'is not looked for any more, after ' || w.looks || ' looks'
  FROM undone_watches w JOIN payments p USING (imp_uid)
 WHERE w.next_look_at IS NULL AND p.step = 'failed' AND w.looks < 4
UNION ALL
-- Put off again and again, by another hand or by a PG that is silent. The ladder takes two days.
SELECT w.imp_uid, 'is still looked for, after ' || w.looks || ' looks since ' || p.failed_at
  FROM undone_watches w JOIN payments p USING (imp_uid)
 WHERE w.next_look_at IS NOT NULL AND p.step = 'failed' AND w.looks < 4 AND p.failed_at < $2 - interval '6 days';

-- webhooks_leave --
-- L2: No webhook is overdue by ten minutes, and a person was told of every one that was given up.
-- Then: Start `naru worker`. What was given up: see that the merchant's address answers, then `naru webhooks resend NUMBER`.
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

-- schedules_run_once --
-- P15: What is executed has its payment, of its own order and attempt and not before its time; what is not has
-- none; and no payment was scheduled by nobody.
-- Then: A card may have been charged without the merchant's asking: look the order up in the PG's console (`naru payment IMP_UID`), give back what nobody wanted, and find in `naru log show` who changed the schedule.
SELECT s.number AS id, CASE WHEN s.state = 'scheduled' THEN 'is scheduled and has payment ' || s.imp_uid
                            WHEN p.imp_uid IS NULL THEN 'is executed without a payment'
                            WHEN s.executed_at < s.schedule_at THEN 'was executed before its time'
                            ELSE 'payment ' || p.imp_uid || ' is not its attempt ' || s.attempt END AS why
  FROM schedules s LEFT JOIN payments p ON p.imp_uid = s.imp_uid
 WHERE ($1::text[] IS NULL OR s.imp_uid = ANY ($1))
   AND CASE WHEN s.state = 'executed'
            THEN p.imp_uid IS NULL OR s.executed_at < s.schedule_at
                 OR (p.merchant_id, p.merchant_uid, p.customer_uid, p.amount, p.currency, p.pg_order_no)
                    IS DISTINCT FROM
                    (s.merchant_id, s.merchant_uid, s.customer_uid, s.amount, s.currency, s.number || 'r' || s.attempt)
            ELSE s.imp_uid IS NOT NULL END
UNION ALL
SELECT p.imp_uid, 'was charged by no schedule'
  FROM payments p
 WHERE p.customer_uid_usage = 'payment.scheduled' AND ($1::text[] IS NULL OR p.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM schedules s
                    WHERE s.merchant_id = p.merchant_id AND s.merchant_uid = p.merchant_uid
                      AND p.pg_order_no LIKE s.number || 'r%' AND s.attempt > 0);

-- schedules_start --
-- L5: No schedule is late by ten minutes while nothing is in its way.
-- Then: Start `naru worker`, and see in `naru schedules` what is late.
SELECT s.number AS id, 'due since ' || s.schedule_at AS why
  FROM schedules s
 WHERE s.next_try_at < $2 - interval '10 minutes';

-- checks_given_back --
-- L1: What a card was charged to see whether it can be is given back within the hour, or a person was told.
-- Then: Start `naru worker`; if it goes on, look at `naru payment IMP_UID` and cancel it by hand.
SELECT c.imp_uid AS id, 'charged to check a card, and ' || p.step AS why
  FROM card_checks c JOIN payments p USING (imp_uid)
 WHERE c.ended_at IS NULL AND p.started_at < $2 - interval '1 hour' AND ($1::text[] IS NULL OR c.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.imp_uid = c.imp_uid AND t.closed_at IS NULL);

-- receipts_told --
-- P12: A person was told of every cash receipt that stands for more than is left of its payment.
-- Then: Take the receipt back and issue it anew of the rest: DELETE and POST /receipts/IMP_UID. If no task says so, another hand gave the money back, or wrote the receipt: `naru payment IMP_UID` and `naru log show`.
SELECT r.number AS id, 'tells ' || r.amount || ' of ' || r.imp_uid || ', and ' || (p.amount - p.cancelled) || ' is left' AS why
  FROM cash_receipts r JOIN payments p ON p.imp_uid = r.imp_uid
 WHERE r.state = 'issued' AND r.amount > p.amount - p.cancelled AND ($1::text[] IS NULL OR r.imp_uid = ANY ($1))
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t
                    WHERE t.subject = r.number AND t.kind IN ('receipt_too_large', 'receipt_stands'));

-- receipts_once --
-- P2: The tax office is told of an order's cash once, whether it was paid here or elsewhere, and by the buyer's own
-- wish or the merchant's; or a person was told.
-- Then: Take all but one back: DELETE /receipts/external/MERCHANT_UID, or DELETE /receipts/IMP_UID. An index is missing: see every_guard_stands.
SELECT merchant_uid AS id, count(*) || ' receipts of merchant ' || merchant_id || ' stand' AS why
  FROM cash_receipts WHERE state IN ('asking', 'issued', 'cancelling')
 GROUP BY merchant_id, merchant_uid HAVING count(*) > 1
UNION ALL
SELECT r.merchant_uid, r.number || ' stands beside the receipt that the PG issued with ' || p.imp_uid
  FROM cash_receipts r JOIN payments p USING (merchant_id, merchant_uid)
 WHERE r.imp_uid IS NULL AND r.state = 'issued' AND p.step = 'paid' AND p.cash_receipt_issued
   AND NOT EXISTS (SELECT 1 FROM operator_tasks t WHERE t.subject = r.number AND t.kind = 'receipt_too_large');

-- sealed_at_rest --
-- P19: What must be sealed is a blob, and the data key that it names is there.
-- Then: Not sealed: change that secret (it lay open) and set it anew. A data key that is gone is in the backups only: restore the table data_keys from one.
SELECT b.id, CASE WHEN b.data_key IS NULL THEN 'not sealed' ELSE 'data key ' || b.data_key || ' is gone' END AS why
  FROM (SELECT 'channels ' || channel_key AS id, data_key_of(settings) AS data_key FROM channels WHERE settings IS NOT NULL
         UNION ALL
        SELECT 'merchants ' || id, data_key_of(webhook_secret) FROM merchants WHERE webhook_secret IS NOT NULL
         UNION ALL
        SELECT 'payment_secrets ' || imp_uid, data_key_of(sealed) FROM payment_secrets
         WHERE $1::text[] IS NULL OR imp_uid = ANY ($1)
         UNION ALL
        SELECT 'deposit_secrets ' || channel_id || '/' || notice_key, data_key_of(sealed) FROM deposit_secrets
         UNION ALL
        SELECT 'notices ' || channel_id || '/' || left(encode(digest, 'hex'), 16), data_key FROM notices
         UNION ALL
        SELECT 'billing_keys ' || number, data_key FROM billing_keys WHERE sealed IS NOT NULL
         UNION ALL
        SELECT 'schedules ' || number, data_key FROM schedules) b
 WHERE NOT EXISTS (SELECT 1 FROM data_keys k WHERE k.id = b.data_key);

-- audit_log_whole --
-- P20: No row of the audit log was removed, changed or moved since it was written.
-- Then: Keep a copy of the table, compare it with a backup and with the anchors in the workers' logs (`naru log verify --anchor`), and find in PostgreSQL's log who changed it.
SELECT 'chain ' || chain || coalesce(' row ' || place, '') AS id, why FROM audit_log_broken
 WHERE $1::text[] IS NULL OR at IS NULL OR at > $2 - interval '2 days';
