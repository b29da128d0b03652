-- open --
-- A new payment; its first event is written by trigger. No row comes back when the id is taken, when
-- the order is approved or being approved, or when it was announced with other words for its amount.
-- (A reading, for early refusals: the claim decides.)
WITH opened AS (INSERT INTO payments (
    imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method,
    step, event, amount, currency, tax_free, vat, name,
    user_agent, language, escrow, webhook_urls, confirm_url, return_url, app_scheme,
    page_origin, window_mode, window_secret_hash, callback_shape, request_id, pg_order_no,
    customer_uid, started_at, customer_uid_usage
) SELECT
    $1, $2, $3, $4, $5, $6, $7, $8, $9,
    'opened', 'opened', $10, $11, $12, $13, $14,
    $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26, $27,
    $28, $29, $32
 WHERE $31 OR NOT (
       EXISTS (SELECT 1 FROM payments p WHERE p.merchant_id = $2 AND p.merchant_uid = $3
                  AND p.step IN ('approving', 'paid', 'cancelled') AND NOT p.flagged AND p.amount > 0)
       OR EXISTS (SELECT 1 FROM prepared a WHERE a.merchant_id = $2 AND a.merchant_uid = $3
                     AND (a.amount <> $10 OR a.currency <> $11)))
 ON CONFLICT (imp_uid) DO NOTHING RETURNING *
), kept AS (INSERT INTO payment_secrets (imp_uid, sealed) SELECT imp_uid, $30 FROM opened)
SELECT *, $30::bytea AS sealed FROM opened;

-- get --
-- One payment by its id, whoever owns it (for the PG's and the clock's doors).
SELECT p.*, s.sealed FROM payments p LEFT JOIN payment_secrets s USING (imp_uid) WHERE p.imp_uid = $1;

-- get_of_merchant --
-- One payment of this merchant; a foreign one is not there.
SELECT p.*, s.sealed FROM payments p LEFT JOIN payment_secrets s USING (imp_uid)
 WHERE p.imp_uid = $1 AND merchant_id = $2;

-- case --
-- A payment with its channel (c_) and its merchant (m_); with $2 only for who holds its window's secret.
SELECT p.*, s.sealed,
       c.id AS c_id, c.merchant_id AS c_merchant_id, c.channel_key AS c_channel_key, c.pg_code AS c_pg_code,
       c.mid AS c_mid, c.connector AS c_connector, c.test AS c_test, c.kind AS c_kind,
       c.is_default AS c_is_default, c.settings AS c_settings,
       m.id AS m_id, m.name AS m_name, m.live AS m_live, m.allow_test_channels AS m_allow_test_channels,
       m.allowed_origins AS m_allowed_origins, m.allowed_return_origins AS m_allowed_return_origins,
       m.allowed_webhook_origins AS m_allowed_webhook_origins, m.allowed_app_schemes AS m_allowed_app_schemes,
       m.webhook_url AS m_webhook_url, m.webhook_format AS m_webhook_format, m.webhook_mode AS m_webhook_mode,
       m.webhook_secret AS m_webhook_secret, m.confirm_url AS m_confirm_url,
       (SELECT u.user_code FROM user_codes u WHERE u.merchant_id = m.id
         ORDER BY u.position, u.user_code LIMIT 1) AS m_user_code
  FROM payments p JOIN channels c ON c.id = p.channel_id JOIN merchants m ON m.id = p.merchant_id
  LEFT JOIN payment_secrets s ON s.imp_uid = p.imp_uid
 WHERE p.imp_uid = $1 AND ($2::bytea IS NULL OR p.window_secret_hash = $2);

-- by_tokens --
-- For each question: the merchant that a living token speaks for, which with a tier's code is that
-- tier of it, and its payment of this id, if there is one. The busiest statement of all, for everybody
-- who asks at the same moment. No row: nobody's token, or no tier of theirs.
SELECT asked.place, coalesce(t.merchant_id, k.merchant_id) AS speaks_for, p.*, s.sealed
  FROM unnest($1::text[], $2::bytea[], $3::timestamptz[], $4::text[])
       WITH ORDINALITY AS asked (imp_uid, token_hash, at, tier_code, place)
  JOIN api_keys k ON k.token_hash = asked.token_hash AND k.token_expires_at > asked.at
  LEFT JOIN tiers t ON t.agency_id = k.merchant_id AND t.tier_code = asked.tier_code
  LEFT JOIN payments p
    ON p.imp_uid = asked.imp_uid AND p.merchant_id = coalesce(t.merchant_id, k.merchant_id)
  LEFT JOIN payment_secrets s ON s.imp_uid = p.imp_uid
 WHERE asked.tier_code IS NULL OR t.merchant_id IS NOT NULL;

-- get_by_window --
-- The payment whose window holds this secret.
SELECT p.*, s.sealed FROM payments p LEFT JOIN payment_secrets s USING (imp_uid)
 WHERE p.imp_uid = $1 AND window_secret_hash = $2;

-- get_by_pg_order --
-- The payment behind the number we gave to the PG.
SELECT p.*, s.sealed FROM payments p LEFT JOIN payment_secrets s USING (imp_uid) WHERE pg_order_no = $1;

-- taken --
-- Is this order approved, or being approved? (A reading for early refusals; the index decides.)
SELECT step FROM payments
 WHERE merchant_id = $1 AND merchant_uid = $2 AND step IN ('approving', 'paid', 'cancelled') AND NOT flagged AND amount > 0;

-- is_cash_here --
-- Did the money of this order come here, or is it asked for, or is an account waiting for it? (A reading for
-- refusals of receipts of orders that were paid outside; one receipt of an order is the index's.)
SELECT EXISTS (SELECT 1 FROM payments WHERE merchant_id = $1 AND merchant_uid = $2
                  AND step IN ('approving', 'waiting_deposit', 'paid', 'cancelled') AND amount > 0);

-- many_of_merchant --
-- Payments by ids or order numbers, newest first.
SELECT p.*, s.sealed FROM payments p LEFT JOIN payment_secrets s USING (imp_uid)
 WHERE merchant_id = $1 AND (p.imp_uid = ANY ($2) OR merchant_uid = ANY ($3))
 ORDER BY started_at DESC, p.imp_uid DESC LIMIT 1000;

-- claim_for_approval --
-- opened -> approving with its intent, in one statement; no row comes back if someone else was first,
-- or if the order ($6, $7) was announced, which is held still, with other words for its amount.
-- The partial unique index refuses a second one of the same order.
WITH announced AS (
    SELECT amount, currency FROM prepared WHERE merchant_id = $6 AND merchant_uid = $7 FOR SHARE
), claimed AS (
    UPDATE payments SET step = 'approving', event = 'authenticated', version = version + 1,
           approving_at = $2, pay_method = COALESCE($4, pay_method)
     WHERE imp_uid = $1 AND step = 'opened'
       AND NOT EXISTS (SELECT 1 FROM announced a
                        WHERE a.amount <> payments.amount OR a.currency <> payments.currency)
 RETURNING *
), journal AS (
    INSERT INTO intents (imp_uid, kind, number, amount, request, opened_at, next_try_at)
    SELECT imp_uid, 'approve', pg_order_no, amount, $5, $2, $3 FROM claimed
)
SELECT c.*, s.sealed FROM claimed c LEFT JOIN payment_secrets s USING (imp_uid);

-- abandon --
-- opened -> failed: the buyer gave up, or the PG's window ended without proof.
UPDATE payments SET step = 'failed', event = 'abandoned', version = version + 1,
       failed_at = $2, fail_code = $3, fail_reason = $4
 WHERE imp_uid = $1 AND step = 'opened'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- settle_paid --
-- approving -> paid, if nobody decided meanwhile (compare-and-swap on the version); with it the question
-- $17 is answered, and what was kept to ask it again is forgotten.
WITH settled AS (
    UPDATE payments SET step = 'paid', event = 'approved', version = version + 1,
           paid_at = $3, pg_tid = $4, pay_method = COALESCE($5, pay_method), hub_pg_code = $6,
           approval_number = $7, card_issuer_code = $8, card_issuer_name = $9, card_number = $10,
           card_installment_months = $11, card_type = $12, bank_code = $13, bank_name = $14,
           receipt_url = $15, cash_receipt_issued = $16
     WHERE imp_uid = $1 AND version = $2 AND step = 'approving'
 RETURNING *
), ended AS (
    UPDATE intents SET state = 'done', closed_at = $18, outcome = NULL
     WHERE id = $17 AND imp_uid IN (SELECT imp_uid FROM settled) AND state IN ('open', 'unknown', 'undoing')
 RETURNING id
), forgotten AS (
    DELETE FROM kept_tickets WHERE intent_id IN (SELECT id FROM ended)
)
SELECT c.*, s.sealed FROM settled c LEFT JOIN payment_secrets s USING (imp_uid);

-- settle_late --
-- failed -> paid: the PG tells of an approval after we recorded a failure. A fact: flagged when the
-- order is paid by another payment already.
UPDATE payments SET step = 'paid', event = 'approved_late', version = version + 1,
       paid_at = $3, pg_tid = $4, failed_at = NULL, fail_code = NULL, fail_reason = NULL, flagged = $5
 WHERE imp_uid = $1 AND version = $2 AND step = 'failed'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- settle_failed --
-- approving -> failed: the PG said no, or it is proven that nothing happened.
UPDATE payments SET step = 'failed', event = $3, version = version + 1,
       failed_at = $4, fail_code = $5, fail_reason = $6
 WHERE imp_uid = $1 AND version = $2 AND step = 'approving'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- settle_account --
-- approving -> waiting_deposit: a virtual account waits. Its number goes where the buyer's data are.
WITH settled AS (
    UPDATE payments SET step = 'waiting_deposit', event = 'account_issued', version = version + 1,
           pg_tid = $3, vbank_code = $4, vbank_name = $5, vbank_holder = $6, vbank_due = $7, vbank_issued_at = $8
     WHERE imp_uid = $1 AND version = $2 AND step = 'approving'
 RETURNING *
), kept AS (
    INSERT INTO payment_secrets (imp_uid, sealed) SELECT imp_uid, $9 FROM settled
        ON CONFLICT (imp_uid) DO UPDATE SET sealed = EXCLUDED.sealed
)
SELECT *, $9::bytea AS sealed FROM settled;

-- deposit --
-- waiting_deposit -> paid. Flagged when another payment of the order was paid already.
UPDATE payments SET step = 'paid', event = 'deposited', version = version + 1,
       paid_at = $3, flagged = $4
 WHERE imp_uid = $1 AND version = $2 AND step = 'waiting_deposit'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- overdue --
-- Accounts that wait past their due date, longest first; a PG that refused is asked once a day.
SELECT merchant_id, imp_uid FROM payments p
 WHERE step = 'waiting_deposit' AND vbank_due < $1
   AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.imp_uid = p.imp_uid AND i.kind = 'close_account'
                      AND i.opened_at > $2)
 ORDER BY vbank_due LIMIT $3;

-- change_account --
-- waiting_deposit stays: another amount, another due date.
UPDATE payments SET event = 'account_changed', version = version + 1, amount = $3, vbank_due = $4
 WHERE imp_uid = $1 AND version = $2 AND step = 'waiting_deposit'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- close_account --
-- waiting_deposit -> failed: the account was closed before a deposit.
UPDATE payments SET step = 'failed', event = 'account_closed', version = version + 1,
       failed_at = $3, fail_reason = $4
 WHERE imp_uid = $1 AND version = $2 AND step = 'waiting_deposit'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- cancel --
-- paid -> paid or cancelled: this much was given back. The amount decides the step.
UPDATE payments SET cancelled = cancelled + $3, version = version + 1,
       step = CASE WHEN cancelled + $3 = amount THEN 'cancelled' ELSE 'paid' END,
       event = CASE WHEN cancelled + $3 = amount THEN 'fully_cancelled' ELSE 'partly_cancelled' END,
       cancelled_at = GREATEST($4, paid_at), cancel_reason = $5
 WHERE imp_uid = $1 AND version = $2 AND step = 'paid'
RETURNING *, (SELECT sealed FROM payment_secrets s WHERE s.imp_uid = payments.imp_uid) AS sealed;

-- lock --
-- The payment, held until the end of this transaction, with what is sealed: who had to wait sees both anew.
SELECT p.*, s.sealed FROM payments p JOIN payment_secrets s USING (imp_uid)
 WHERE p.imp_uid = $1 AND merchant_id = $2 FOR UPDATE;

-- paid_as --
-- The PG's number of one payment, claimed for another: a row of the console that was misread.
SELECT imp_uid FROM payments
 WHERE merchant_id = $1 AND step = 'paid' AND paid_at >= $3 AND pg_tid = $2 LIMIT 1;

-- cancellations_of_many --
-- What was given back of these payments, oldest first.
SELECT * FROM cancellations WHERE imp_uid = ANY ($1) ORDER BY place;

-- add_cancellation --
-- One row per cancel that succeeded.
INSERT INTO cancellations (cancellation_id, imp_uid, amount, tax_free, vat, reason, pg_tid, receipt_url, cancelled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- history --
-- The numbered events of one payment.
SELECT version, event, step, cancelled, at FROM payment_events WHERE imp_uid = $1 ORDER BY version;
