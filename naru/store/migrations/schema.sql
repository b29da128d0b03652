-- What all migrations add up to. Written by tools/dump_schema.py; do not edit.

CREATE TABLE audit_log (
    chain bigint NOT NULL,
    place bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    who text NOT NULL,
    what text NOT NULL,
    address text,
    subject text NOT NULL,
    change text NOT NULL,
    before jsonb,
    after jsonb,
    hash bytea NOT NULL,
    CONSTRAINT audit_log_change_check CHECK ((change = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT audit_log_place_check CHECK ((place > 0))
);

CREATE FUNCTION audit_hash(previous bytea, entry audit_log) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$
    SELECT sha256(previous || convert_to(jsonb_build_array(
        entry.chain, entry.place, extract(epoch FROM entry.at)::text, entry.who, entry.what,
        entry.address, entry.subject, entry.change, entry.before, entry.after)::text, 'UTF8'))
$$;

CREATE FUNCTION audit_value(name text, value jsonb, other jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
BEGIN
    IF value = 'null'
       OR (name !~ '(secret|password|sealed|_(hash|nonce|index)$|^(settings|request|body)$|^buyer_|^vbank_(num|holder)$|^card_number$|^custom_data$|^user_agent$|reason$|^depositor$)'
           AND left(value #>> '{}', 2) <> '\x') THEN
        RETURN value;
    END IF;
    IF jsonb_typeof(value) = 'object' THEN
        RETURN (SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') FROM jsonb_each(value) AS field (key, inner_value)
                 WHERE jsonb_typeof(other) IS DISTINCT FROM 'object' OR inner_value IS DISTINCT FROM other -> key);
    END IF;
    RETURN '"(hidden)"';
END $_$;

CREATE FUNCTION book_deposit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND channel_id <> NEW.channel_id) THEN
        RAISE EXCEPTION 'deposit % is not of the channel of payment %', NEW.notice_key, NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO entries (imp_uid, account, amount, currency, channel_id, notice_key)
    VALUES (NEW.imp_uid, 'deposited', NEW.amount, NEW.currency, NEW.channel_id, NEW.notice_key),
           (NEW.imp_uid, 'suspense', -NEW.amount, NEW.currency, NEW.channel_id, NEW.notice_key);
    RETURN NULL;
END $$;

CREATE FUNCTION book_payment() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    moved bigint := CASE WHEN NEW.step IN ('paid', 'cancelled') THEN NEW.amount - NEW.cancelled ELSE 0 END
                  - CASE WHEN OLD.step IN ('paid', 'cancelled') THEN OLD.amount - OLD.cancelled ELSE 0 END;
BEGIN
    IF moved <> 0 THEN
        INSERT INTO entries (imp_uid, account, amount, currency, version)
        VALUES (NEW.imp_uid, 'receivable', moved, NEW.currency, NEW.version),
               (NEW.imp_uid, 'sales', -moved, NEW.currency, NEW.version);
    END IF;
    IF NEW.event = 'deposited' THEN
        INSERT INTO entries (imp_uid, account, amount, currency, version)
        VALUES (NEW.imp_uid, 'deposited', -NEW.amount, NEW.currency, NEW.version),
               (NEW.imp_uid, 'suspense', NEW.amount, NEW.currency, NEW.version);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION book_reservation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    reserved bigint := CASE TG_OP WHEN 'INSERT' THEN NEW.amount ELSE -NEW.amount END;
    unit text;
BEGIN
    SELECT currency INTO unit FROM payments WHERE imp_uid = NEW.imp_uid;
    INSERT INTO entries (imp_uid, account, amount, currency, intent_id)
    VALUES (NEW.imp_uid, 'sales', reserved, unit, NEW.id),
           (NEW.imp_uid, 'refund_pending', -reserved, unit, NEW.id);
    RETURN NULL;
END $$;

CREATE FUNCTION book_return() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    given deposits;
BEGIN
    SELECT * INTO given FROM deposits WHERE channel_id = NEW.channel_id AND notice_key = NEW.notice_key;
    -- Whoever pays from it waits for us, or we for them.
    PERFORM 1 FROM payments WHERE imp_uid = given.imp_uid FOR NO KEY UPDATE;
    -- What is left in the payment's account may be less than what came: it has paid.
    IF given.meaning = 'exact' OR given.imp_uid IS NOT NULL AND given.amount > (
        SELECT sum(amount) FROM entries
         WHERE imp_uid = given.imp_uid AND currency = given.currency AND account = 'deposited') THEN
        RAISE EXCEPTION 'deposit % has paid payment %', NEW.notice_key, given.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO entries (imp_uid, account, amount, currency, channel_id, notice_key)
    VALUES (given.imp_uid, 'deposited', -given.amount, given.currency, NEW.channel_id, NEW.notice_key),
           (given.imp_uid, 'suspense', given.amount, given.currency, NEW.channel_id, NEW.notice_key);
    RETURN NULL;
END $$;

CREATE FUNCTION compare_books() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    books record;
BEGIN
    SELECT CASE WHEN p.step IN ('paid', 'cancelled') THEN p.amount - p.cancelled ELSE 0 END AS due,
           COALESCE(sum(e.amount), 0) AS total,
           COALESCE(sum(e.amount) FILTER (WHERE e.account = 'receivable'), 0) AS receivable,
           COALESCE(sum(e.amount) FILTER (WHERE e.account = 'deposited'), 0) AS deposited
      INTO books
      FROM payments p LEFT JOIN entries e ON e.imp_uid = p.imp_uid AND e.currency = p.currency
     WHERE p.imp_uid = NEW.imp_uid
     GROUP BY p.imp_uid;
    IF books.total <> 0 THEN
        RAISE EXCEPTION 'the books of % do not balance', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF books.receivable <> books.due THEN
        RAISE EXCEPTION 'the books of % say % is receivable, it is %', NEW.imp_uid, books.receivable, books.due
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF books.deposited < 0 THEN
        RAISE EXCEPTION 'the books of % lack the deposit that paid it', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION compare_cancellations() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (SELECT cancelled FROM payments WHERE imp_uid = NEW.imp_uid)
       <> (SELECT COALESCE(sum(amount), 0) FROM cancellations WHERE imp_uid = NEW.imp_uid) THEN
        RAISE EXCEPTION 'the cancellations of % do not add up', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION compare_deposit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND step IN ('paid', 'cancelled')) THEN
        RAISE EXCEPTION 'deposit % is called exact and paid nothing', NEW.notice_key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION compare_question() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payments p WHERE p.imp_uid = NEW.imp_uid AND p.step = 'approving'
                  AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.imp_uid = p.imp_uid
                                     AND i.state IN ('open', 'unknown', 'undoing'))) THEN
        RAISE EXCEPTION 'payment % is being approved and nobody asks', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION data_key_of(sealed bytea) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN ((octet_length(sealed) >= 33) AND (get_byte(sealed, 0) = 1)) THEN ((((get_byte(sealed, 1) << 24) | (get_byte(sealed, 2) << 16)) | (get_byte(sealed, 3) << 8)) | get_byte(sealed, 4)) ELSE NULL::integer END;

CREATE FUNCTION date_cancellation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.booked_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION date_webhook_url() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.webhook_url_since := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION guard_certification() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.stage NOT IN ('opened', 'asking') THEN
            RAISE EXCEPTION 'a certification does not begin as %', NEW.stage
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NOT EXISTS (SELECT FROM channels c WHERE c.id = NEW.channel_id
                          AND c.merchant_id = NEW.merchant_id AND c.kind = 'certification') THEN
            RAISE EXCEPTION 'the channel is not for certifications of this merchant'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.imp_uid, NEW.merchant_id, NEW.channel_id, NEW.pg_code, NEW.sandbox, NEW.number, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.imp_uid, OLD.merchant_id, OLD.channel_id, OLD.pg_code, OLD.sandbox, OLD.number, OLD.opened_at)
       OR (NEW.min_age, NEW.window_secret_hash) IS DISTINCT FROM (OLD.min_age, OLD.window_secret_hash)
       OR NEW.tries < OLD.tries THEN
        RAISE EXCEPTION 'what certification % is about never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.stage <> OLD.stage AND (OLD.stage, NEW.stage) NOT IN (
        ('opened', 'certified'), ('opened', 'failed'), ('asking', 'waiting'), ('asking', 'certified'),
        ('asking', 'failed'), ('waiting', 'certified'), ('waiting', 'failed'), ('certified', 'deleted')) THEN
        RAISE EXCEPTION 'a certification that is % does not become %', OLD.stage, NEW.stage
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.stage = OLD.stage AND OLD.stage = 'certified'
       AND to_jsonb(NEW) - 'sealed' - 'data_key' <> to_jsonb(OLD) - 'sealed' - 'data_key' THEN
        RAISE EXCEPTION 'what was certified never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_act_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('planned', 'asking') THEN
            RAISE EXCEPTION 'act % begins before it ends', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    -- One that is open may be looked at without an end.
    IF (OLD.state, NEW.state) NOT IN (
        ('planned', 'planned'), ('planned', 'asking'), ('planned', 'refused'),
        ('asking', 'asking'), ('asking', 'done'), ('asking', 'refused')) THEN
        RAISE EXCEPTION 'act % is %, and will not be %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.imp_uid, NEW.round, NEW.number, NEW.subject, NEW.act, NEW.fingerprint, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.imp_uid, OLD.round, OLD.number, OLD.subject, OLD.act, OLD.fingerprint, OLD.opened_at) THEN
        RAISE EXCEPTION 'what act % is about never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_card_check_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.imp_uid <> OLD.imp_uid OR OLD.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'the check of % ends once', OLD.imp_uid USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.ended_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND step IN ('failed', 'cancelled')) THEN
        RAISE EXCEPTION 'the money of the check % was not given back', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_errand_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'errands end, rows stay' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'asking' OR NOT EXISTS (
            SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND merchant_id = NEW.merchant_id
               AND CASE WHEN NEW.kind = 'change_account' THEN step = 'waiting_deposit'
                        ELSE step IN ('paid', 'cancelled') AND (escrow OR NEW.kind = 'split_slip') END) THEN
            RAISE EXCEPTION 'errand % is not of a payment that may have one', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> NEW.state AND OLD.state <> 'asking' THEN
        RAISE EXCEPTION 'errand % has ended', OLD.number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.imp_uid, NEW.kind, NEW.number, NEW.asked_at)
       IS DISTINCT FROM (OLD.id, OLD.merchant_id, OLD.imp_uid, OLD.kind, OLD.number, OLD.asked_at)
       OR (OLD.state <> 'asking' AND (NEW.became, NEW.ended_at) IS DISTINCT FROM (OLD.became, OLD.ended_at)) THEN
        RAISE EXCEPTION 'what errand % is about never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_idempotency_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.merchant_id <> OLD.merchant_id OR NEW.method <> OLD.method OR NEW.path <> OLD.path
       OR NEW.key <> OLD.key THEN
        RAISE EXCEPTION 'idempotency %: what was asked does not change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.effect IS NOT NULL AND NEW.effect IS DISTINCT FROM OLD.effect THEN
        RAISE EXCEPTION 'idempotency %: its effect has begun', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status IS NOT NULL
       AND (NEW.status, NEW.headers) IS DISTINCT FROM (OLD.status, OLD.headers) THEN
        RAISE EXCEPTION 'idempotency %: it is answered', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_intent_pace() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.next_try_at > greatest(clock_timestamp(), NEW.tried_at, NEW.opened_at) + interval '25 hours'
       AND (TG_OP = 'INSERT' OR NEW.next_try_at IS DISTINCT FROM OLD.next_try_at) THEN
        RAISE EXCEPTION 'the question about % is put off for more than a day', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_intent_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payment record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'the journal is never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT step, amount, amount - cancelled AS balance INTO payment FROM payments WHERE imp_uid = NEW.imp_uid;
        IF NEW.state <> 'open' OR (NEW.kind, payment.step) NOT IN (
            ('approve', 'opened'),
            ('approve', 'approving'),
            ('issue_account', 'approving'),
            ('cancel', 'paid'),
            ('close_account', 'waiting_deposit')
        ) THEN
            RAISE EXCEPTION 'a PG is not asked to % payment % that is %', NEW.kind, NEW.imp_uid, payment.step
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF (NEW.kind = 'cancel' AND NEW.balance_before <> payment.balance)
           OR (NEW.kind <> 'cancel' AND NEW.amount <> payment.amount) THEN
            RAISE EXCEPTION 'the question about % is not about its amount', NEW.imp_uid
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.imp_uid, NEW.kind, NEW.number, NEW.amount, NEW.balance_before, NEW.request, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.id, OLD.imp_uid, OLD.kind, OLD.number, OLD.amount, OLD.balance_before, OLD.request, OLD.opened_at) THEN
        RAISE EXCEPTION 'what question % asks never changes', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- The decision to undo is final: a late approval of what is being undone is not money.
    IF OLD.state IN ('done', 'refused', 'undone')
       OR (OLD.state = 'undoing' AND NEW.state NOT IN ('undoing', 'undone'))
       OR (OLD.state <> 'open' AND NEW.state = 'open') THEN
        RAISE EXCEPTION 'question % is % and does not become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_key_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'billing keys end, rows stay' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- A key goes through a channel of its own merchant (P10), and one that was not asked for
        -- by itself came with a payment of the same customer.
        IF EXISTS (SELECT 1 FROM channels WHERE id = NEW.channel_id AND merchant_id <> NEW.merchant_id) THEN
            RAISE EXCEPTION 'the channel of key % belongs to another merchant', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.state <> 'asking' AND NOT (NEW.state IN ('live', 'replaced') AND EXISTS (
            SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND merchant_id = NEW.merchant_id
               AND customer_uid = NEW.customer_uid AND customer_uid_usage = 'issue' AND step = 'paid')) THEN
            RAISE EXCEPTION 'nobody asked for key %', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('asking', 'live'), ('asking', 'refused'), ('live', 'replaced'), ('live', 'deleted')) THEN
        RAISE EXCEPTION 'key % is %, and will not be %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.customer_uid, NEW.channel_id, NEW.pg_code, NEW.mid, NEW.sandbox,
        NEW.number, NEW.imp_uid, NEW.asked_at)
       IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.customer_uid, OLD.channel_id, OLD.pg_code, OLD.mid, OLD.sandbox,
        OLD.number, OLD.imp_uid, OLD.asked_at) THEN
        RAISE EXCEPTION 'whose key % is never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_notice() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM operator_tasks WHERE id = OLD.task_id AND closed_at IS NULL) THEN
        RAISE EXCEPTION 'a notice is kept as long as task % is open', OLD.task_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION keep_notice_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    -- What was sealed is sealed anew when keys change, and else stays as it came.
    IF (NEW.channel_id, NEW.digest, NEW.received_at, NEW.task_id)
       IS DISTINCT FROM (OLD.channel_id, OLD.digest, OLD.received_at, OLD.task_id)
       OR NEW.tries < OLD.tries
       OR (OLD.done_at IS NOT NULL AND NEW.done_at IS DISTINCT FROM OLD.done_at)
       OR (NEW.sealed <> OLD.sealed AND data_key_of(NEW.sealed) = data_key_of(OLD.sealed)) THEN
        RAISE EXCEPTION 'what a kept notice says never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_payment_birth() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.step <> 'opened' OR NEW.event <> 'opened' OR NEW.version <> 1 OR NEW.flagged
       OR NEW.pg_tid IS NOT NULL OR NEW.paid_at IS NOT NULL THEN
        RAISE EXCEPTION 'payment % must begin as opened', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM channels WHERE id = NEW.channel_id AND merchant_id <> NEW.merchant_id) THEN
        RAISE EXCEPTION 'the channel of payment % belongs to another merchant', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_payment_facts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.cancelled_at < NEW.paid_at THEN
        RAISE EXCEPTION 'payment % is given back before it is paid', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.event = 'approved_late'
       AND NOT EXISTS (SELECT 1 FROM intents WHERE imp_uid = NEW.imp_uid AND kind = 'approve') THEN
        RAISE EXCEPTION 'no PG was ever asked to approve payment %', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.webhook_urls, NEW.return_url, NEW.app_scheme, NEW.page_origin, NEW.window_secret_hash,
        NEW.customer_uid, NEW.customer_uid_usage)
       IS DISTINCT FROM
       (OLD.webhook_urls, OLD.return_url, OLD.app_scheme, OLD.page_origin, OLD.window_secret_hash,
        OLD.customer_uid, OLD.customer_uid_usage) THEN
        RAISE EXCEPTION 'where payment % is told of, and whose customer pays, never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_payment_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'payments are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'version of % must be %', OLD.imp_uid, OLD.version + 1
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- The same table as naru/domain/payment.py, NEXT.
    IF (OLD.step, NEW.step, NEW.event) NOT IN (
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
        ('paid', 'cancelled', 'fully_cancelled')
    ) THEN
        RAISE EXCEPTION '% cannot happen to payment % that is % (to %)', NEW.event, OLD.imp_uid, OLD.step, NEW.step
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Only giving money back raises what was given back.
    IF (NEW.event IN ('partly_cancelled', 'fully_cancelled')) <> (NEW.cancelled > OLD.cancelled)
       OR NEW.cancelled < OLD.cancelled THEN
        RAISE EXCEPTION 'cancelled of % rises with a cancellation and never shrinks', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- A flag lifts the rule of one approval per order: only facts of the PG may set it, nothing clears it.
    IF NEW.flagged <> OLD.flagged AND (OLD.flagged OR NEW.event NOT IN ('deposited', 'approved_late')) THEN
        RAISE EXCEPTION 'only a fact of the PG flags payment %', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.imp_uid, NEW.merchant_id, NEW.merchant_uid, NEW.channel_id, NEW.pg_code, NEW.mid, NEW.sandbox,
        NEW.amount, NEW.currency, NEW.tax_free, NEW.vat, NEW.confirm_url, NEW.pg_order_no, NEW.started_at)
       IS DISTINCT FROM
       (OLD.imp_uid, OLD.merchant_id, OLD.merchant_uid, OLD.channel_id, OLD.pg_code, OLD.mid, OLD.sandbox,
        CASE WHEN NEW.event = 'account_changed' THEN NEW.amount ELSE OLD.amount END, OLD.currency, OLD.tax_free, OLD.vat, OLD.confirm_url, OLD.pg_order_no, OLD.started_at) THEN
        RAISE EXCEPTION 'what payment % is about never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Who took the money, and when, is written once.
    IF OLD.paid_at IS NOT NULL
       AND (NEW.paid_at, NEW.pg_tid) IS DISTINCT FROM (OLD.paid_at, OLD.pg_tid) THEN
        RAISE EXCEPTION 'how payment % was paid never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_quick_questions() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'asking'
       OR (NEW.number, NEW.merchant_id, NEW.channel_id, NEW.kind, NEW.member_id, NEW.asked_at)
          IS DISTINCT FROM (OLD.number, OLD.merchant_id, OLD.channel_id, OLD.kind, OLD.member_id, OLD.asked_at) THEN
        RAISE EXCEPTION 'question % is ended once, and never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_receipt_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'cash receipts end, rows stay' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'asking' OR NEW.cancels <> 0 THEN
            RAISE EXCEPTION 'cash receipt % begins as a question', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF EXISTS (SELECT 1 FROM channels WHERE id = NEW.channel_id AND merchant_id <> NEW.merchant_id) THEN
            RAISE EXCEPTION 'the channel of cash receipt % belongs to another merchant', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        -- A receipt is of money that was taken and is still there: of all of it, and in won.
        IF NEW.imp_uid IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND merchant_id = NEW.merchant_id
               AND merchant_uid = NEW.merchant_uid AND channel_id = NEW.channel_id AND step = 'paid' AND currency = 'KRW'
               AND NOT cash_receipt_issued AND amount - cancelled = NEW.amount) THEN
            RAISE EXCEPTION 'cash receipt % is not of what is left of payment %', NEW.number, NEW.imp_uid
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('asking', 'issued'), ('asking', 'refused'), ('asking', 'cancelling'), ('issued', 'cancelling'),
        ('cancelling', 'cancelled'), ('cancelling', 'issued')) THEN
        RAISE EXCEPTION 'cash receipt % is %, and will not be %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.cancels <> OLD.cancels) <> (NEW.state = 'cancelling' AND OLD.state <> 'cancelling')
       OR NEW.cancels NOT IN (OLD.cancels, OLD.cancels + 1) THEN
        RAISE EXCEPTION 'cash receipt % is taken back under a number for each time', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.channel_id, NEW.imp_uid, NEW.merchant_uid, NEW.number, NEW.type,
        NEW.amount, NEW.tax_free, NEW.vat, NEW.asked_at)
       IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.channel_id, OLD.imp_uid, OLD.merchant_uid, OLD.number, OLD.type,
        OLD.amount, OLD.tax_free, OLD.vat, OLD.asked_at)
       OR (OLD.receipt_tid IS NOT NULL AND (NEW.receipt_tid, NEW.apply_num, NEW.receipt_url, NEW.applied_at)
           IS DISTINCT FROM (OLD.receipt_tid, OLD.apply_num, OLD.receipt_url, OLD.applied_at)) THEN
        RAISE EXCEPTION 'what cash receipt % is about never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_schedule_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'schedules are revoked, never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'scheduled' OR NEW.attempt <> 0 OR EXISTS (
            SELECT 1 FROM channels WHERE id = NEW.channel_id AND merchant_id <> NEW.merchant_id) THEN
            RAISE EXCEPTION 'schedule % must begin as scheduled, on a channel of its merchant', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.merchant_uid, NEW.customer_uid, NEW.channel_id, NEW.number, NEW.amount,
        NEW.currency, NEW.tax_free, NEW.vat, NEW.name, NEW.webhook_urls, NEW.asked_at)
       IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.merchant_uid, OLD.customer_uid, OLD.channel_id, OLD.number, OLD.amount,
        OLD.currency, OLD.tax_free, OLD.vat, OLD.name, OLD.webhook_urls, OLD.asked_at) THEN
        RAISE EXCEPTION 'what schedule % is for never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.state, NEW.state) IN (('executed', 'revoked'), ('revoked', 'executed')) THEN
        RAISE EXCEPTION 'schedule % is %, and will not be %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- One attempt, one payment: this order's, under the number of this attempt, and not before its time.
    IF NEW.state = 'executed' AND NEW.imp_uid IS DISTINCT FROM OLD.imp_uid THEN
        IF NEW.attempt <> OLD.attempt + 1
           OR (OLD.state = 'scheduled' AND NEW.executed_at < OLD.schedule_at)
           OR NOT EXISTS (SELECT 1 FROM payments
                           WHERE imp_uid = NEW.imp_uid AND merchant_id = NEW.merchant_id
                             AND merchant_uid = NEW.merchant_uid AND customer_uid = NEW.customer_uid
                             AND customer_uid_usage = 'payment.scheduled'
                             AND amount = NEW.amount AND currency = NEW.currency
                             AND pg_order_no = NEW.number || 'r' || NEW.attempt) THEN
            RAISE EXCEPTION 'payment % is not attempt % of schedule %', NEW.imp_uid, NEW.attempt, NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF NEW.attempt <> OLD.attempt OR (NEW.state = 'executed' AND NEW.executed_at <> OLD.executed_at) THEN
        RAISE EXCEPTION 'schedule % was attempted without a payment', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Attempted again is only what has failed.
    IF OLD.state = 'executed' AND NEW.imp_uid IS DISTINCT FROM OLD.imp_uid
       AND NOT EXISTS (SELECT 1 FROM payments WHERE imp_uid = OLD.imp_uid AND step = 'failed') THEN
        RAISE EXCEPTION 'payment % of schedule % has not failed', OLD.imp_uid, OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_sealed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(NEW) - 'sealed' - 'data_key' = to_jsonb(OLD) - 'sealed' - 'data_key' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of % stay where they are', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION keep_task_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'tasks are closed, never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.kind, NEW.subject, NEW.imp_uid, NEW.sentence, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.id, OLD.kind, OLD.subject, OLD.imp_uid, OLD.sentence, OLD.opened_at) THEN
        RAISE EXCEPTION 'what task % says never changes', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.closed_at IS NOT NULL
       AND (NEW.closed_at, NEW.closed_by, NEW.note) IS DISTINCT FROM (OLD.closed_at, OLD.closed_by, OLD.note) THEN
        RAISE EXCEPTION 'task % is closed', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_watch_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'watches are ended, never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.imp_uid <> OLD.imp_uid OR NEW.looks NOT IN (OLD.looks, OLD.looks + 1)
       OR (NEW.looks = OLD.looks AND OLD.late_pg_tid IS NOT NULL AND NEW.late_pg_tid IS NULL) THEN
        RAISE EXCEPTION 'the watch of % goes on look by look', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.next_look_at IS NULL AND OLD.next_look_at IS NOT NULL AND NEW.looks < 4
       AND EXISTS (SELECT 1 FROM payments WHERE imp_uid = OLD.imp_uid AND step = 'failed') THEN
        RAISE EXCEPTION 'the watch of % ends too soon', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION keep_webhook_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'what a webhook says never changes' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION keep_witness_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.name <> OLD.name OR NEW.beat < OLD.beat THEN
        RAISE EXCEPTION 'a witness never goes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION refuse_hand_written() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'rows of % are written by trigger only', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION take_receipt_back() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE cash_receipts SET state = 'cancelling', cancels = cancels + 1, cancel_asked_at = NEW.cancelled_at,
           next_try_at = NEW.cancelled_at, tries = 0
     WHERE imp_uid = NEW.imp_uid AND state = 'issued';
    RETURN NULL;
END $$;

CREATE FUNCTION write_audit_log() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    becomes jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    known jsonb := coalesce(becomes, was);
    acting jsonb := convert_from(decode(nullif(current_setting('naru.acting', true), ''), 'hex'), 'UTF8')::jsonb;
    head audit_heads;
    entry audit_log;
BEGIN
    IF was = becomes THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_object_agg(key, audit_value(key, value, becomes -> key)) INTO entry.before
      FROM jsonb_each(was) WHERE value IS DISTINCT FROM becomes -> key;
    SELECT jsonb_object_agg(key, audit_value(key, value, was -> key)) INTO entry.after
      FROM jsonb_each(becomes) WHERE value IS DISTINCT FROM was -> key;

    entry.chain := coalesce(
        (known ->> 'merchant_id')::bigint,
        CASE WHEN TG_TABLE_NAME = 'merchants' THEN (known ->> 'id')::bigint END,
        (SELECT merchant_id FROM payments WHERE imp_uid = known ->> 'imp_uid'),
        0);
    entry.who := coalesce(
        acting ->> 'who',
        'key ' || (SELECT imp_key FROM api_keys WHERE token_hash = decode(acting ->> 'token', 'hex')),
        CASE WHEN acting IS NULL AND current_setting('application_name') = 'naru' THEN 'gateway'
             WHEN acting IS NULL THEN 'database user ' || session_user
             ELSE 'a key whose token has ended' END);
    entry.what := coalesce(acting ->> 'what', CASE WHEN entry.who = 'gateway' THEN 'by itself' ELSE 'by hand' END);
    entry.address := coalesce(acting ->> 'address', CASE WHEN acting IS NULL THEN host(inet_client_addr()) END);
    entry.subject := TG_TABLE_NAME || ' ' || (known ->> TG_ARGV[0]);
    entry.change := lower(TG_OP);

    LOOP
        SELECT * INTO head FROM audit_heads WHERE chain = entry.chain FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO audit_heads VALUES (entry.chain, 0, '') ON CONFLICT DO NOTHING;
    END LOOP;
    entry.place := head.place + 1;
    entry.at := clock_timestamp();
    entry.hash := audit_hash(head.hash, entry);
    INSERT INTO audit_log SELECT entry.*;
    UPDATE audit_heads SET place = entry.place, hash = entry.hash WHERE chain = entry.chain;
    RETURN NULL;
END $$;

CREATE FUNCTION write_payment_event() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO payment_events (imp_uid, version, event, step, cancelled)
    VALUES (NEW.imp_uid, NEW.version, NEW.event, NEW.step, NEW.cancelled);
    RETURN NULL;
END $$;

CREATE TABLE api_keys (
    imp_key text NOT NULL COLLATE pg_catalog."C",
    merchant_id bigint NOT NULL,
    secret_hash bytea NOT NULL,
    token_nonce text,
    token_hash bytea,
    token_expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone
);

CREATE TABLE audit_anchors (
    day date NOT NULL,
    heads jsonb NOT NULL
);

CREATE TABLE audit_heads (
    chain bigint NOT NULL,
    place bigint NOT NULL,
    hash bytea NOT NULL
);

CREATE VIEW audit_log_broken AS
 SELECT l.chain,
    l.place,
    l.at,
        CASE
            WHEN ((l.place > 1) AND (b.place IS NULL)) THEN 'the row before it is missing'::text
            ELSE 'its hash does not follow from it and the row before'::text
        END AS why
   FROM (audit_log l
     LEFT JOIN audit_log b ON (((b.chain = l.chain) AND (b.place = (l.place - 1)))))
  WHERE (((l.place > 1) AND (b.place IS NULL)) OR (l.hash <> audit_hash(COALESCE(b.hash, '\x'::bytea), l.*)))
UNION ALL
 SELECT chain,
    COALESCE(h.place, e.place) AS place,
    NULL::timestamp with time zone AS at,
    'the chain does not end where its head says'::text AS why
   FROM (audit_heads h
     FULL JOIN ( SELECT DISTINCT ON (audit_log.chain) audit_log.chain,
            audit_log.place,
            audit_log.hash
           FROM audit_log
          ORDER BY audit_log.chain, audit_log.place DESC) e USING (chain))
  WHERE ((h.place IS DISTINCT FROM COALESCE(e.place, (0)::bigint)) OR (h.hash IS DISTINCT FROM COALESCE(e.hash, '\x'::bytea)))
UNION ALL
 SELECT a.chain,
    a.place,
    NULL::timestamp with time zone AS at,
    (('it is not what the anchor of '::text || a.day) || ' says'::text) AS why
   FROM (( SELECT audit_anchors.day,
            (jsonb_each.key)::bigint AS chain,
            ((jsonb_each.value ->> 0))::bigint AS place,
            decode((jsonb_each.value ->> 1), 'hex'::text) AS hash
           FROM audit_anchors,
            LATERAL jsonb_each(audit_anchors.heads) jsonb_each(key, value)) a
     LEFT JOIN audit_log l USING (chain, place))
  WHERE (l.hash IS DISTINCT FROM a.hash)
UNION ALL
 SELECT 0 AS chain,
    NULL::bigint AS place,
    NULL::timestamp with time zone AS at,
    (('the anchor of '::text || a.day) || ' is not the one that was logged'::text) AS why
   FROM audit_anchors a
  WHERE (NOT (EXISTS ( SELECT
           FROM audit_log l
          WHERE ((l.chain = 0) AND (l.subject = ('audit_anchors '::text || a.day)) AND ((l.after -> 'heads'::text) = a.heads)))));

CREATE TABLE billing_keys (
    id bigint NOT NULL,
    merchant_id bigint NOT NULL,
    customer_uid text NOT NULL COLLATE pg_catalog."C",
    channel_id bigint NOT NULL,
    pg_code text NOT NULL,
    mid text NOT NULL,
    sandbox boolean NOT NULL,
    number text NOT NULL COLLATE pg_catalog."C",
    imp_uid text COLLATE pg_catalog."C",
    state text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    next_try_at timestamp with time zone,
    tries integer DEFAULT 0 NOT NULL,
    fence integer DEFAULT 0 NOT NULL,
    inserted_at timestamp with time zone,
    updated_at timestamp with time zone,
    ended_at timestamp with time zone,
    forgotten_at timestamp with time zone,
    reason text,
    card_code text,
    card_name text,
    card_number text,
    card_type integer,
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED,
    CONSTRAINT billing_keys_customer_uid_check CHECK ((customer_uid ~ '^[^[:cntrl:]]{1,80}$'::text)),
    CONSTRAINT billing_keys_dated CHECK (((state <> ALL (ARRAY['live'::text, 'replaced'::text, 'deleted'::text])) OR ((inserted_at IS NOT NULL) AND (updated_at IS NOT NULL)))),
    CONSTRAINT billing_keys_ended CHECK (((state = ANY (ARRAY['refused'::text, 'replaced'::text, 'deleted'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT billing_keys_looked_at CHECK (((state <> 'asking'::text) OR (next_try_at IS NOT NULL))),
    CONSTRAINT billing_keys_sealed CHECK (((sealed IS NULL) = (data_key IS NULL))),
    CONSTRAINT billing_keys_seen CHECK ((customer_uid ~ '^[^ ](.*[^ ])?$'::text)),
    CONSTRAINT billing_keys_state_check CHECK ((state = ANY (ARRAY['asking'::text, 'live'::text, 'refused'::text, 'replaced'::text, 'deleted'::text]))),
    CONSTRAINT billing_keys_usable CHECK (((state <> ALL (ARRAY['asking'::text, 'live'::text])) OR (sealed IS NOT NULL)))
);

ALTER TABLE billing_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME billing_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE book_comparisons (
    channel_id bigint NOT NULL,
    began_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    movements bigint NOT NULL,
    differences bigint NOT NULL
);

CREATE TABLE book_differences (
    channel_id bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    order_no text COLLATE pg_catalog."C",
    imp_uid text COLLATE pg_catalog."C",
    ours bigint,
    theirs bigint,
    currency text NOT NULL,
    at timestamp with time zone NOT NULL,
    ending text NOT NULL,
    found_at timestamp with time zone NOT NULL,
    CONSTRAINT book_differences_check CHECK (((ours IS NOT NULL) OR (theirs IS NOT NULL))),
    CONSTRAINT book_differences_ending_check CHECK ((ending = ANY (ARRAY['booked'::text, 'undone'::text, 'told'::text])))
);

CREATE TABLE cancellations (
    cancellation_id text NOT NULL COLLATE pg_catalog."C",
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    tax_free bigint DEFAULT 0 NOT NULL,
    vat bigint,
    reason text NOT NULL,
    pg_tid text NOT NULL,
    receipt_url text,
    cancelled_at timestamp with time zone NOT NULL,
    place bigint NOT NULL,
    booked_at timestamp with time zone,
    CONSTRAINT cancellations_amount_check CHECK ((amount > 0))
);

ALTER TABLE cancellations ALTER COLUMN place ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cancellations_place_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE card_checks (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    next_look_at timestamp with time zone,
    ended_at timestamp with time zone,
    key_number text COLLATE pg_catalog."C",
    CONSTRAINT card_checks_looked_at CHECK (((next_look_at IS NULL) = (ended_at IS NOT NULL)))
);

CREATE TABLE cash_receipts (
    id bigint NOT NULL,
    merchant_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    imp_uid text COLLATE pg_catalog."C",
    merchant_uid text NOT NULL COLLATE pg_catalog."C",
    number text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    type text NOT NULL,
    amount bigint NOT NULL,
    tax_free bigint NOT NULL,
    vat bigint NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    receipt_tid text,
    apply_num text,
    receipt_url text,
    applied_at timestamp with time zone,
    cancels integer DEFAULT 0 NOT NULL,
    cancel_asked_at timestamp with time zone,
    cancelled_at timestamp with time zone,
    fail_code text,
    fail_reason text,
    next_try_at timestamp with time zone,
    tries integer DEFAULT 0 NOT NULL,
    fence integer DEFAULT 0 NOT NULL,
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED,
    CONSTRAINT cash_receipts_amount_check CHECK (((amount >= 1) AND (amount <= '1000000000000'::bigint))),
    CONSTRAINT cash_receipts_cancelled CHECK ((((state = 'cancelled'::text) = (cancelled_at IS NOT NULL)) AND ((cancels = 0) = (cancel_asked_at IS NULL)) AND ((state <> ALL (ARRAY['cancelling'::text, 'cancelled'::text])) OR (cancels > 0)))),
    CONSTRAINT cash_receipts_issued CHECK ((((state = ANY (ARRAY['asking'::text, 'refused'::text])) = (receipt_tid IS NULL)) AND ((receipt_tid IS NULL) = (applied_at IS NULL)) AND ((receipt_tid IS NULL) = (apply_num IS NULL)))),
    CONSTRAINT cash_receipts_looked_at CHECK (((state = ANY (ARRAY['asking'::text, 'cancelling'::text])) = (next_try_at IS NOT NULL))),
    CONSTRAINT cash_receipts_merchant_uid_check CHECK ((merchant_uid ~ '^[^[:cntrl:]]{1,40}$'::text)),
    CONSTRAINT cash_receipts_sealed CHECK ((((sealed IS NOT NULL) = (data_key IS NOT NULL)) AND ((sealed IS NOT NULL) = (state = 'asking'::text)))),
    CONSTRAINT cash_receipts_state_check CHECK ((state = ANY (ARRAY['asking'::text, 'issued'::text, 'refused'::text, 'cancelling'::text, 'cancelled'::text]))),
    CONSTRAINT cash_receipts_tax CHECK (((tax_free + vat) <= amount)),
    CONSTRAINT cash_receipts_tax_free_check CHECK ((tax_free >= 0)),
    CONSTRAINT cash_receipts_type_check CHECK ((type = ANY (ARRAY['person'::text, 'company'::text]))),
    CONSTRAINT cash_receipts_vat_check CHECK ((vat >= 0))
);

ALTER TABLE cash_receipts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cash_receipts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE certifications (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    merchant_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    merchant_uid text COLLATE pg_catalog."C",
    pg_code text NOT NULL,
    sandbox boolean NOT NULL,
    number text NOT NULL COLLATE pg_catalog."C",
    stage text NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    window_mode text,
    window_secret_hash bytea,
    page_origin text,
    return_url text,
    request_id text,
    language text DEFAULT 'ko'::text NOT NULL,
    mobile boolean DEFAULT false NOT NULL,
    min_age integer,
    opened_at timestamp with time zone NOT NULL,
    promised_at timestamp with time zone,
    next_look_at timestamp with time zone,
    certified_at timestamp with time zone,
    pg_tid text,
    fail_code text,
    fail_reason text,
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED,
    CONSTRAINT certifications_check CHECK (((sealed IS NULL) = (data_key IS NULL))),
    CONSTRAINT certifications_check1 CHECK (((window_mode IS NULL) = (window_secret_hash IS NULL))),
    CONSTRAINT certifications_check2 CHECK (((stage = 'certified'::text) = ((sealed IS NOT NULL) AND (certified_at IS NOT NULL) AND (pg_tid IS NOT NULL)))),
    CONSTRAINT certifications_check3 CHECK (((stage <> 'failed'::text) OR ((fail_code IS NOT NULL) AND (fail_reason IS NOT NULL)))),
    CONSTRAINT certifications_check4 CHECK (((stage <> ALL (ARRAY['failed'::text, 'deleted'::text])) OR (sealed IS NULL))),
    CONSTRAINT certifications_check5 CHECK (((stage <> 'deleted'::text) OR ((merchant_uid IS NULL) AND (page_origin IS NULL) AND (return_url IS NULL)))),
    CONSTRAINT certifications_imp_uid_check CHECK ((imp_uid ~ '^imp_[0-9]{12}$'::text)),
    CONSTRAINT certifications_min_age_check CHECK (((min_age >= 0) AND (min_age <= 150))),
    CONSTRAINT certifications_stage_check CHECK ((stage = ANY (ARRAY['opened'::text, 'asking'::text, 'waiting'::text, 'certified'::text, 'failed'::text, 'deleted'::text]))),
    CONSTRAINT certifications_tries_check CHECK (((tries >= 0) AND (tries <= 5))),
    CONSTRAINT certifications_window_mode_check CHECK ((window_mode = ANY (ARRAY['popup'::text, 'redirect'::text])))
);

CREATE TABLE channels (
    id bigint NOT NULL,
    merchant_id bigint NOT NULL,
    channel_key text NOT NULL COLLATE pg_catalog."C",
    pg_code text NOT NULL,
    mid text NOT NULL,
    connector text NOT NULL,
    test boolean NOT NULL,
    kind text DEFAULT 'payment'::text NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    settings bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(settings)) STORED,
    CONSTRAINT channels_kind_check CHECK ((kind = ANY (ARRAY['payment'::text, 'api_payment'::text, 'certification'::text]))),
    CONSTRAINT channels_sealed CHECK (((settings IS NULL) = (data_key IS NULL)))
);

ALTER TABLE channels ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME channels_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE data_keys (
    id integer NOT NULL,
    sealed bytea NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT data_keys_id_check CHECK ((id > 0))
);

CREATE TABLE deposit_secrets (
    channel_id bigint NOT NULL,
    notice_key text NOT NULL COLLATE pg_catalog."C",
    sealed bytea NOT NULL,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED NOT NULL
);

CREATE TABLE deposits (
    channel_id bigint NOT NULL,
    notice_key text NOT NULL COLLATE pg_catalog."C",
    order_no text NOT NULL COLLATE pg_catalog."C",
    imp_uid text COLLATE pg_catalog."C",
    pg_tid text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    deposited_at timestamp with time zone NOT NULL,
    booked_at timestamp with time zone NOT NULL,
    meaning text NOT NULL,
    CONSTRAINT deposits_amount_check CHECK ((amount > 0)),
    CONSTRAINT deposits_meaning_check CHECK ((meaning = ANY (ARRAY['exact'::text, 'short'::text, 'over'::text, 'late'::text, 'early'::text, 'after_end'::text, 'other_account'::text, 'other_currency'::text, 'unknown_order'::text])))
);

CREATE TABLE entries (
    id bigint NOT NULL,
    imp_uid text COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    currency text NOT NULL,
    version integer,
    intent_id bigint,
    channel_id bigint,
    notice_key text COLLATE pg_catalog."C",
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT entries_account_check CHECK ((account = ANY (ARRAY['receivable'::text, 'sales'::text, 'refund_pending'::text, 'deposited'::text, 'suspense'::text]))),
    CONSTRAINT entries_amount_check CHECK ((amount <> 0)),
    CONSTRAINT entries_check CHECK ((num_nonnulls(version, intent_id, notice_key) = 1)),
    CONSTRAINT entries_check1 CHECK (((channel_id IS NULL) = (notice_key IS NULL)))
);

ALTER TABLE entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE errands (
    id bigint NOT NULL,
    merchant_id bigint NOT NULL,
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    number text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    became jsonb,
    fail_code text,
    fail_reason text,
    next_try_at timestamp with time zone,
    tries integer DEFAULT 0 NOT NULL,
    fence integer DEFAULT 0 NOT NULL,
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED,
    CONSTRAINT errands_ended CHECK ((((state = 'asking'::text) = (ended_at IS NULL)) AND ((state = 'asking'::text) = (next_try_at IS NOT NULL)) AND ((state = 'done'::text) = (became IS NOT NULL)))),
    CONSTRAINT errands_kind_check CHECK ((kind = ANY (ARRAY['ship'::text, 'reship'::text, 'split_slip'::text, 'change_account'::text]))),
    CONSTRAINT errands_sealed CHECK ((((sealed IS NOT NULL) = (data_key IS NOT NULL)) AND ((sealed IS NOT NULL) = (state = 'asking'::text)))),
    CONSTRAINT errands_state_check CHECK ((state = ANY (ARRAY['asking'::text, 'done'::text, 'refused'::text])))
);

ALTER TABLE errands ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME errands_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE house (
    one boolean DEFAULT true NOT NULL,
    id uuid NOT NULL,
    cluster text NOT NULL,
    timeline bigint NOT NULL,
    database bigint NOT NULL,
    place bigint NOT NULL,
    fenced_at timestamp with time zone,
    fenced_because text,
    unfenced_at timestamp with time zone,
    unfenced_by text,
    note text,
    CONSTRAINT house_check CHECK (((fenced_at IS NULL) = (fenced_because IS NULL))),
    CONSTRAINT house_check1 CHECK (((unfenced_by !~ '^\s*$'::text) AND (note !~ '^\s*$'::text))),
    CONSTRAINT house_one_check CHECK (one)
);

CREATE TABLE idempotency (
    id bigint NOT NULL,
    merchant_id bigint NOT NULL,
    method text NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    sealed bytea NOT NULL,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    effect text COLLATE pg_catalog."C",
    status smallint,
    headers jsonb,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_check CHECK (((status IS NULL) = (headers IS NULL))),
    CONSTRAINT idempotency_key_check CHECK ((key ~ '^[!-~]{1,255}$'::text))
);

ALTER TABLE idempotency ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME idempotency_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE intent_tries (
    id bigint NOT NULL,
    intent_id bigint NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    what text NOT NULL,
    sentence text NOT NULL,
    next_try_at timestamp with time zone,
    CONSTRAINT intent_tries_number_check CHECK ((number >= 0)),
    CONSTRAINT intent_tries_what_check CHECK ((what = ANY (ARRAY['asked'::text, 'answered'::text])))
);

ALTER TABLE intent_tries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME intent_tries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE intents (
    id bigint NOT NULL,
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    number text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    balance_before bigint DEFAULT 0 NOT NULL,
    request jsonb DEFAULT '{}'::jsonb NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    next_try_at timestamp with time zone,
    opened_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    outcome text,
    fence integer DEFAULT 0 NOT NULL,
    tried_at timestamp with time zone,
    restored boolean DEFAULT false NOT NULL,
    CONSTRAINT intents_amount_check CHECK (((amount >= 0) AND ((amount > 0) OR (kind = 'approve'::text)))),
    CONSTRAINT intents_check CHECK (((kind <> 'cancel'::text) OR (amount <= balance_before))),
    CONSTRAINT intents_check1 CHECK (((state = ANY (ARRAY['done'::text, 'refused'::text, 'undone'::text])) = (closed_at IS NOT NULL))),
    CONSTRAINT intents_kind_check CHECK ((kind = ANY (ARRAY['approve'::text, 'cancel'::text, 'issue_account'::text, 'close_account'::text]))),
    CONSTRAINT intents_state_check CHECK ((state = ANY (ARRAY['open'::text, 'unknown'::text, 'undoing'::text, 'done'::text, 'refused'::text, 'undone'::text])))
);

ALTER TABLE intents ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME intents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE kept_tickets (
    intent_id bigint NOT NULL,
    sealed bytea NOT NULL,
    dies_at timestamp with time zone NOT NULL
);

CREATE UNLOGGED TABLE limits (
    name text NOT NULL COLLATE pg_catalog."C",
    spent integer NOT NULL,
    ends_at timestamp with time zone NOT NULL
);

CREATE TABLE merchants (
    id bigint NOT NULL,
    name text NOT NULL,
    live boolean DEFAULT false NOT NULL,
    allow_test_channels boolean DEFAULT true NOT NULL,
    allowed_origins text[] DEFAULT '{}'::text[] NOT NULL,
    allowed_return_origins text[] DEFAULT '{}'::text[] NOT NULL,
    allowed_webhook_origins text[] DEFAULT '{}'::text[] NOT NULL,
    allowed_app_schemes text[] DEFAULT '{}'::text[] NOT NULL,
    webhook_url text,
    webhook_format text DEFAULT 'json'::text NOT NULL,
    webhook_mode text DEFAULT 'ladder'::text NOT NULL,
    confirm_url text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    webhook_url_since timestamp with time zone DEFAULT now() NOT NULL,
    webhook_secret bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(webhook_secret)) STORED,
    CONSTRAINT merchants_name_check CHECK ((name <> ''::text)),
    CONSTRAINT merchants_sealed CHECK (((webhook_secret IS NULL) = (data_key IS NULL))),
    CONSTRAINT merchants_webhook_format_check CHECK ((webhook_format = ANY (ARRAY['json'::text, 'form'::text]))),
    CONSTRAINT merchants_webhook_mode_check CHECK ((webhook_mode = ANY (ARRAY['ladder'::text, 'v1'::text, 'once'::text])))
);

ALTER TABLE merchants ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME merchants_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE notices (
    channel_id bigint NOT NULL,
    digest bytea NOT NULL,
    sealed bytea NOT NULL,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    next_try_at timestamp with time zone NOT NULL,
    task_id bigint,
    done_at timestamp with time zone,
    CONSTRAINT notices_digest_check CHECK ((octet_length(digest) = 32))
);

CREATE TABLE order_acts (
    id bigint NOT NULL,
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    round text NOT NULL COLLATE pg_catalog."C",
    number text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    act text NOT NULL,
    fingerprint bytea NOT NULL,
    state text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    code text,
    message text,
    next_try_at timestamp with time zone,
    tries integer DEFAULT 0 NOT NULL,
    CONSTRAINT order_acts_check CHECK (((state = ANY (ARRAY['done'::text, 'refused'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT order_acts_check1 CHECK (((state = 'refused'::text) = ((code IS NOT NULL) AND (message IS NOT NULL)))),
    CONSTRAINT order_acts_check2 CHECK (((state <> 'planned'::text) OR (act = ANY (ARRAY['cancel'::text, 'approve-cancel'::text, 'approve-return'::text])))),
    CONSTRAINT order_acts_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT order_acts_looked_at CHECK (((state = ANY (ARRAY['planned'::text, 'asking'::text])) = (next_try_at IS NOT NULL))),
    CONSTRAINT order_acts_state_check CHECK ((state = ANY (ARRAY['planned'::text, 'asking'::text, 'done'::text, 'refused'::text])))
);

CREATE TABLE quick_questions (
    number text NOT NULL COLLATE pg_catalog."C",
    merchant_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    kind text NOT NULL,
    member_id text NOT NULL COLLATE pg_catalog."C",
    partner_type text DEFAULT ''::text NOT NULL,
    partner_subtype text DEFAULT ''::text NOT NULL,
    state text DEFAULT 'asking'::text NOT NULL,
    fail_code text,
    fail_reason text,
    inserted_at timestamp with time zone,
    updated_at timestamp with time zone,
    asked_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    next_try_at timestamp with time zone,
    tries integer DEFAULT 0 NOT NULL,
    fence integer DEFAULT 0 NOT NULL,
    CONSTRAINT quick_questions_ended CHECK ((((state = 'asking'::text) = (ended_at IS NULL)) AND ((state = 'refused'::text) = (fail_code IS NOT NULL)) AND ((state = 'done'::text) = (inserted_at IS NOT NULL)))),
    CONSTRAINT quick_questions_kind_check CHECK ((kind = ANY (ARRAY['delete_member'::text, 'release_fido'::text]))),
    CONSTRAINT quick_questions_looked_at CHECK (((state = 'asking'::text) = (next_try_at IS NOT NULL))),
    CONSTRAINT quick_questions_state_check CHECK ((state = ANY (ARRAY['asking'::text, 'done'::text, 'refused'::text])))
);

CREATE VIEW open_questions AS
 SELECT
        CASE billing_keys.state
            WHEN 'asking'::text THEN 'billing key'::text
            ELSE 'billing key to forget'::text
        END AS question,
    billing_keys.number,
    billing_keys.customer_uid AS about,
        CASE billing_keys.state
            WHEN 'asking'::text THEN billing_keys.asked_at
            ELSE billing_keys.ended_at
        END AS since,
    billing_keys.next_try_at,
    billing_keys.tries
   FROM billing_keys
  WHERE ((billing_keys.state = 'asking'::text) OR ((billing_keys.state = ANY (ARRAY['replaced'::text, 'deleted'::text])) AND (billing_keys.forgotten_at IS NULL)))
UNION ALL
 SELECT 'cash receipt'::text AS question,
    cash_receipts.number,
    COALESCE(cash_receipts.imp_uid, cash_receipts.merchant_uid) AS about,
    COALESCE(cash_receipts.cancel_asked_at, cash_receipts.asked_at) AS since,
    cash_receipts.next_try_at,
    cash_receipts.tries
   FROM cash_receipts
  WHERE (cash_receipts.next_try_at IS NOT NULL)
UNION ALL
 SELECT 'member'::text AS question,
    quick_questions.number,
    quick_questions.member_id AS about,
    quick_questions.asked_at AS since,
    quick_questions.next_try_at,
    quick_questions.tries
   FROM quick_questions
  WHERE (quick_questions.next_try_at IS NOT NULL)
UNION ALL
 SELECT ('errand: '::text || replace(errands.kind, '_'::text, ' '::text)) AS question,
    errands.number,
    errands.imp_uid AS about,
    errands.asked_at AS since,
    errands.next_try_at,
    errands.tries
   FROM errands
  WHERE (errands.next_try_at IS NOT NULL)
UNION ALL
 SELECT ('act: '::text || a.act) AS question,
    a.number,
    rtrim(((a.imp_uid || ' '::text) || a.subject)) AS about,
    a.opened_at AS since,
    a.next_try_at,
    a.tries
   FROM order_acts a
  WHERE ((a.next_try_at IS NOT NULL) AND (NOT (EXISTS ( SELECT 1
           FROM intents i
          WHERE ((i.kind = 'cancel'::text) AND (i.number = a.number) AND (i.closed_at IS NULL))))));

CREATE TABLE operator_tasks (
    id bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    imp_uid text COLLATE pg_catalog."C",
    sentence text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    alert_tries integer DEFAULT 0 NOT NULL,
    next_alert_at timestamp with time zone NOT NULL,
    alerted_at timestamp with time zone,
    closed_at timestamp with time zone,
    closed_by text,
    note text,
    CONSTRAINT operator_tasks_check CHECK ((((closed_at IS NULL) = (closed_by IS NULL)) AND ((closed_at IS NULL) = (note IS NULL)))),
    CONSTRAINT operator_tasks_check1 CHECK (((closed_by !~ '^\s*$'::text) AND (note !~ '^\s*$'::text)))
);

ALTER TABLE operator_tasks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME operator_tasks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE order_acts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME order_acts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE payment_events (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    event text NOT NULL,
    step text NOT NULL,
    cancelled bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE payment_secrets (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    sealed bytea NOT NULL,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED NOT NULL
);

CREATE TABLE payments (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    merchant_id bigint NOT NULL,
    merchant_uid text NOT NULL COLLATE pg_catalog."C",
    channel_id bigint NOT NULL,
    pg_code text NOT NULL,
    hub_pg_code text,
    mid text NOT NULL,
    sandbox boolean NOT NULL,
    surface text NOT NULL,
    pay_method text NOT NULL,
    step text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    event text NOT NULL,
    amount bigint NOT NULL,
    cancelled bigint DEFAULT 0 NOT NULL,
    currency text NOT NULL,
    tax_free bigint DEFAULT 0 NOT NULL,
    vat bigint,
    name text,
    user_agent text,
    language text DEFAULT 'ko'::text NOT NULL,
    escrow boolean DEFAULT false NOT NULL,
    webhook_urls text[] DEFAULT '{}'::text[] NOT NULL,
    confirm_url text,
    return_url text,
    app_scheme text,
    page_origin text,
    window_mode text DEFAULT 'iframe'::text NOT NULL,
    window_secret_hash bytea,
    callback_shape text DEFAULT 'full'::text NOT NULL,
    request_id text,
    pg_order_no text NOT NULL COLLATE pg_catalog."C",
    pg_tid text,
    approval_number text,
    card_issuer_code text,
    card_issuer_name text,
    card_number text,
    card_installment_months integer DEFAULT 0 NOT NULL,
    card_type integer,
    bank_code text,
    bank_name text,
    vbank_code text,
    vbank_name text,
    vbank_holder text,
    vbank_due timestamp with time zone,
    vbank_issued_at timestamp with time zone,
    receipt_url text,
    cash_receipt_issued boolean DEFAULT false NOT NULL,
    customer_uid text,
    fail_code text,
    fail_reason text,
    cancel_reason text,
    started_at timestamp with time zone NOT NULL,
    approving_at timestamp with time zone,
    paid_at timestamp with time zone,
    failed_at timestamp with time zone,
    cancelled_at timestamp with time zone,
    flagged boolean DEFAULT false NOT NULL,
    customer_uid_usage text,
    CONSTRAINT payments_account CHECK (((step <> 'waiting_deposit'::text) OR ((vbank_code IS NOT NULL) AND (vbank_due IS NOT NULL)))),
    CONSTRAINT payments_amount_check CHECK ((((amount >= 0) AND (amount <= '1000000000000'::bigint)) AND ((amount > 0) OR (NOT (customer_uid_usage IS DISTINCT FROM 'issue'::text))))),
    CONSTRAINT payments_check CHECK (((tax_free >= 0) AND (tax_free <= amount))),
    CONSTRAINT payments_check1 CHECK (((vat >= 0) AND (vat <= amount))),
    CONSTRAINT payments_check2 CHECK (((cancelled >= 0) AND (cancelled <= amount))),
    CONSTRAINT payments_check3 CHECK (((cancelled = 0) OR (step = ANY (ARRAY['paid'::text, 'cancelled'::text])))),
    CONSTRAINT payments_check4 CHECK (((step = 'cancelled'::text) = ((cancelled = amount) AND (amount > 0)))),
    CONSTRAINT payments_check5 CHECK (((step <> ALL (ARRAY['paid'::text, 'cancelled'::text])) OR ((paid_at IS NOT NULL) AND (pg_tid IS NOT NULL)))),
    CONSTRAINT payments_check6 CHECK (((step <> 'failed'::text) OR ((failed_at IS NOT NULL) AND (fail_reason IS NOT NULL)))),
    CONSTRAINT payments_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payments_customer CHECK (((customer_uid_usage IS NULL) OR (customer_uid IS NOT NULL))),
    CONSTRAINT payments_imp_uid_check CHECK ((imp_uid ~ '^imps?_[0-9]{12}$'::text)),
    CONSTRAINT payments_merchant_uid_check CHECK ((merchant_uid ~ '^[^[:cntrl:]]{1,40}$'::text)),
    CONSTRAINT payments_step_check CHECK ((step = ANY (ARRAY['opened'::text, 'approving'::text, 'waiting_deposit'::text, 'paid'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT payments_surface_check CHECK ((surface = ANY (ARRAY['pc'::text, 'mobile'::text, 'api'::text]))),
    CONSTRAINT payments_usage CHECK ((customer_uid_usage = ANY (ARRAY['issue'::text, 'payment'::text, 'payment.scheduled'::text]))),
    CONSTRAINT payments_version_check CHECK ((version >= 1))
);

CREATE TABLE prepared (
    merchant_id bigint NOT NULL,
    merchant_uid text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    currency text NOT NULL,
    currency_fixed boolean NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT prepared_amount_check CHECK (((amount >= 0) AND (amount <= '1000000000000'::bigint)))
);

CREATE TABLE quick_payments (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    member_id text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE quick_prepared (
    merchant_id bigint NOT NULL,
    merchant_uid text NOT NULL COLLATE pg_catalog."C",
    btid text NOT NULL,
    sealed bytea NOT NULL,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT quick_prepared_merchant_uid_check CHECK ((merchant_uid ~ '^[^[:cntrl:]]{1,40}$'::text))
);

CREATE TABLE returned_deposits (
    channel_id bigint NOT NULL,
    notice_key text NOT NULL COLLATE pg_catalog."C",
    returned_at timestamp with time zone NOT NULL,
    returned_by text NOT NULL,
    note text NOT NULL,
    CONSTRAINT returned_deposits_note_check CHECK ((note !~ '^\s*$'::text)),
    CONSTRAINT returned_deposits_returned_by_check CHECK ((returned_by !~ '^\s*$'::text))
);

CREATE TABLE schedules (
    id bigint NOT NULL,
    merchant_id bigint NOT NULL,
    merchant_uid text NOT NULL COLLATE pg_catalog."C",
    customer_uid text NOT NULL COLLATE pg_catalog."C",
    channel_id bigint NOT NULL,
    number text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    tax_free bigint NOT NULL,
    vat bigint,
    name text,
    webhook_urls text[] DEFAULT '{}'::text[] NOT NULL,
    schedule_at timestamp with time zone NOT NULL,
    next_try_at timestamp with time zone,
    asked_at timestamp with time zone NOT NULL,
    executed_at timestamp with time zone,
    revoked_at timestamp with time zone,
    imp_uid text COLLATE pg_catalog."C",
    sealed bytea NOT NULL,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED NOT NULL,
    CONSTRAINT schedules_amount_check CHECK (((amount >= 1) AND (amount <= '1000000000000'::bigint))),
    CONSTRAINT schedules_attempt_check CHECK (((attempt >= 0) AND (attempt <= 99999))),
    CONSTRAINT schedules_check CHECK (((tax_free >= 0) AND (tax_free <= amount))),
    CONSTRAINT schedules_check1 CHECK (((vat >= 0) AND (vat <= amount))),
    CONSTRAINT schedules_customer_uid_check CHECK ((customer_uid ~ '^[^[:cntrl:]]{1,80}$'::text)),
    CONSTRAINT schedules_executed CHECK ((((state = 'executed'::text) = (imp_uid IS NOT NULL)) AND ((state = 'executed'::text) = (executed_at IS NOT NULL)))),
    CONSTRAINT schedules_looked_at CHECK (((state = 'scheduled'::text) = (next_try_at IS NOT NULL))),
    CONSTRAINT schedules_merchant_uid_check CHECK ((merchant_uid ~ '^[^[:cntrl:]]{1,40}$'::text)),
    CONSTRAINT schedules_never_early CHECK ((next_try_at >= schedule_at)),
    CONSTRAINT schedules_number_check CHECK ((number ~ '^[a-z0-9]{6,30}$'::text)),
    CONSTRAINT schedules_revoked CHECK (((state = 'revoked'::text) = (revoked_at IS NOT NULL))),
    CONSTRAINT schedules_state_check CHECK ((state = ANY (ARRAY['scheduled'::text, 'executed'::text, 'revoked'::text])))
);

ALTER TABLE schedules ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE tiers (
    merchant_id bigint NOT NULL,
    agency_id bigint NOT NULL,
    tier_code text NOT NULL COLLATE pg_catalog."C",
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tiers_check CHECK ((merchant_id <> agency_id)),
    CONSTRAINT tiers_tier_code_check CHECK ((tier_code ~ '^[A-Z0-9]{3}$'::text))
);

CREATE TABLE undone_watches (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    looks integer DEFAULT 0 NOT NULL,
    next_look_at timestamp with time zone,
    late_pg_tid text,
    late_approved_at timestamp with time zone,
    looked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT undone_watches_check CHECK (((late_pg_tid IS NULL) = (late_approved_at IS NULL))),
    CONSTRAINT undone_watches_pace CHECK ((next_look_at <= (looked_at + '25:00:00'::interval)))
);

CREATE TABLE user_codes (
    user_code text NOT NULL COLLATE pg_catalog."C",
    merchant_id bigint NOT NULL,
    "position" integer DEFAULT 0 NOT NULL
);

CREATE TABLE webhook_attempts (
    id bigint NOT NULL,
    delivery_id bigint NOT NULL,
    began_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    request_headers jsonb NOT NULL,
    answer_status integer,
    answer_body text,
    error text,
    CONSTRAINT webhook_attempts_check CHECK (((answer_status IS NULL) <> (error IS NULL))),
    CONSTRAINT webhook_attempts_duration_ms_check CHECK ((duration_ms >= 0))
);

ALTER TABLE webhook_attempts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webhook_attempts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE webhook_deliveries (
    id bigint NOT NULL,
    webhook_id text NOT NULL COLLATE pg_catalog."C",
    merchant_id bigint NOT NULL,
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    status text NOT NULL,
    cancellation_id text,
    url text NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL,
    mode text NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    leased_until timestamp with time zone,
    fence integer DEFAULT 0 NOT NULL,
    announced_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    rung_at timestamp with time zone,
    waits_since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhook_deliveries_check CHECK (((state = 'waiting'::text) = (ended_at IS NULL))),
    CONSTRAINT webhook_deliveries_mode_check CHECK ((mode = ANY (ARRAY['ladder'::text, 'v1'::text, 'once'::text]))),
    CONSTRAINT webhook_deliveries_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'parked'::text])))
);

ALTER TABLE webhook_deliveries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webhook_deliveries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE witnesses (
    name uuid NOT NULL,
    beat bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (imp_key);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY audit_anchors
    ADD CONSTRAINT audit_anchors_pkey PRIMARY KEY (day);

ALTER TABLE ONLY audit_heads
    ADD CONSTRAINT audit_heads_pkey PRIMARY KEY (chain);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (chain, place);

ALTER TABLE ONLY billing_keys
    ADD CONSTRAINT billing_keys_number_key UNIQUE (number);

ALTER TABLE ONLY billing_keys
    ADD CONSTRAINT billing_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY book_comparisons
    ADD CONSTRAINT book_comparisons_pkey PRIMARY KEY (channel_id, began_at);

ALTER TABLE ONLY book_differences
    ADD CONSTRAINT book_differences_pkey PRIMARY KEY (channel_id, kind, subject);

ALTER TABLE ONLY cancellations
    ADD CONSTRAINT cancellations_pkey PRIMARY KEY (cancellation_id);

ALTER TABLE ONLY card_checks
    ADD CONSTRAINT card_checks_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY cash_receipts
    ADD CONSTRAINT cash_receipts_number_key UNIQUE (number);

ALTER TABLE ONLY cash_receipts
    ADD CONSTRAINT cash_receipts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY certifications
    ADD CONSTRAINT certifications_number_key UNIQUE (number);

ALTER TABLE ONLY certifications
    ADD CONSTRAINT certifications_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_channel_key_key UNIQUE (channel_key);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_merchant_id_pg_code_mid_kind_key UNIQUE (merchant_id, pg_code, mid, kind);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (id);

ALTER TABLE ONLY data_keys
    ADD CONSTRAINT data_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY deposit_secrets
    ADD CONSTRAINT deposit_secrets_pkey PRIMARY KEY (channel_id, notice_key);

ALTER TABLE ONLY deposits
    ADD CONSTRAINT deposits_pkey PRIMARY KEY (channel_id, notice_key);

ALTER TABLE ONLY entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY errands
    ADD CONSTRAINT errands_number_key UNIQUE (number);

ALTER TABLE ONLY errands
    ADD CONSTRAINT errands_pkey PRIMARY KEY (id);

ALTER TABLE ONLY house
    ADD CONSTRAINT house_pkey PRIMARY KEY (one);

ALTER TABLE ONLY idempotency
    ADD CONSTRAINT idempotency_merchant_id_method_path_key_key UNIQUE (merchant_id, method, path, key);

ALTER TABLE ONLY idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (id);

ALTER TABLE ONLY intent_tries
    ADD CONSTRAINT intent_tries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY intents
    ADD CONSTRAINT intents_kind_number_key UNIQUE (kind, number);

ALTER TABLE ONLY intents
    ADD CONSTRAINT intents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY kept_tickets
    ADD CONSTRAINT kept_tickets_pkey PRIMARY KEY (intent_id);

ALTER TABLE ONLY limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (name);

ALTER TABLE ONLY merchants
    ADD CONSTRAINT merchants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY notices
    ADD CONSTRAINT notices_pkey PRIMARY KEY (channel_id, digest);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT one_schedule_per_order UNIQUE (merchant_id, merchant_uid);

ALTER TABLE ONLY operator_tasks
    ADD CONSTRAINT operator_tasks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY order_acts
    ADD CONSTRAINT order_acts_number_key UNIQUE (number);

ALTER TABLE ONLY order_acts
    ADD CONSTRAINT order_acts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payment_events
    ADD CONSTRAINT payment_events_pkey PRIMARY KEY (imp_uid, version);

ALTER TABLE ONLY payment_secrets
    ADD CONSTRAINT payment_secrets_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_pg_order_no_key UNIQUE (pg_order_no);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY prepared
    ADD CONSTRAINT prepared_pkey PRIMARY KEY (merchant_id, merchant_uid);

ALTER TABLE ONLY quick_payments
    ADD CONSTRAINT quick_payments_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY quick_prepared
    ADD CONSTRAINT quick_prepared_pkey PRIMARY KEY (merchant_id, merchant_uid);

ALTER TABLE ONLY quick_questions
    ADD CONSTRAINT quick_questions_pkey PRIMARY KEY (number);

ALTER TABLE ONLY returned_deposits
    ADD CONSTRAINT returned_deposits_pkey PRIMARY KEY (channel_id, notice_key);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_imp_uid_key UNIQUE (imp_uid);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_number_key UNIQUE (number);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tiers
    ADD CONSTRAINT tiers_agency_id_tier_code_key UNIQUE (agency_id, tier_code);

ALTER TABLE ONLY tiers
    ADD CONSTRAINT tiers_pkey PRIMARY KEY (merchant_id);

ALTER TABLE ONLY undone_watches
    ADD CONSTRAINT undone_watches_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY user_codes
    ADD CONSTRAINT user_codes_pkey PRIMARY KEY (user_code);

ALTER TABLE ONLY webhook_attempts
    ADD CONSTRAINT webhook_attempts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_webhook_id_key UNIQUE (webhook_id);

ALTER TABLE ONLY witnesses
    ADD CONSTRAINT witnesses_pkey PRIMARY KEY (name);

CREATE INDEX acts_of_round ON order_acts USING btree (round);

CREATE INDEX cancellations_of_payment ON cancellations USING btree (imp_uid, cancelled_at);

CREATE INDEX card_checks_due ON card_checks USING btree (next_look_at) WHERE (next_look_at IS NOT NULL);

CREATE INDEX certifications_of_key ON certifications USING btree (data_key);

CREATE INDEX certifications_unfinished ON certifications USING btree (COALESCE(next_look_at, opened_at)) WHERE (stage = ANY (ARRAY['opened'::text, 'asking'::text, 'waiting'::text]));

CREATE INDEX checks_of_key ON card_checks USING btree (key_number);

CREATE INDEX deposits_of_payment ON deposits USING btree (imp_uid);

CREATE INDEX entries_by_time ON entries USING brin (at) WITH (autosummarize='on');

CREATE INDEX entries_of_payment ON entries USING btree (imp_uid);

CREATE INDEX errands_due ON errands USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX errands_of_key ON errands USING btree (data_key) WHERE (data_key IS NOT NULL);

CREATE INDEX errands_of_payment ON errands USING btree (imp_uid, id);

CREATE INDEX idempotency_expired ON idempotency USING btree (expires_at);

CREATE INDEX intents_to_settle ON intents USING btree (next_try_at) WHERE (state = ANY (ARRAY['open'::text, 'unknown'::text, 'undoing'::text]));

CREATE INDEX kept_tickets_dead ON kept_tickets USING btree (dies_at);

CREATE INDEX keys_due ON billing_keys USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX keys_of_payment ON billing_keys USING btree (imp_uid) WHERE (imp_uid IS NOT NULL);

CREATE INDEX limits_ended ON limits USING btree (ends_at);

CREATE INDEX notices_due ON notices USING btree (next_try_at);

CREATE INDEX notices_of_task ON notices USING btree (task_id);

CREATE UNIQUE INDEX one_approval_per_order ON payments USING btree (merchant_id, merchant_uid) WHERE ((step = ANY (ARRAY['approving'::text, 'paid'::text, 'cancelled'::text])) AND (NOT flagged) AND (amount > 0));

CREATE UNIQUE INDEX one_asked_key ON billing_keys USING btree (merchant_id, customer_uid) WHERE (state = 'asking'::text);

CREATE UNIQUE INDEX one_check_of_key ON card_checks USING btree (key_number) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX one_default_channel ON channels USING btree (merchant_id, kind) WHERE is_default;

CREATE UNIQUE INDEX one_live_key ON billing_keys USING btree (merchant_id, customer_uid) WHERE (state = 'live'::text);

CREATE UNIQUE INDEX one_open_act ON order_acts USING btree (imp_uid, subject) WHERE (state = ANY (ARRAY['planned'::text, 'asking'::text]));

CREATE UNIQUE INDEX one_open_errand ON errands USING btree (imp_uid) WHERE (state = 'asking'::text);

CREATE UNIQUE INDEX one_open_intent ON intents USING btree (imp_uid) WHERE (state = ANY (ARRAY['open'::text, 'unknown'::text, 'undoing'::text]));

CREATE UNIQUE INDEX one_open_task ON operator_tasks USING btree (kind, subject) WHERE (closed_at IS NULL);

CREATE UNIQUE INDEX one_quick_question ON quick_questions USING btree (channel_id, kind, member_id) WHERE (state = 'asking'::text);

CREATE UNIQUE INDEX one_receipt ON cash_receipts USING btree (merchant_id, merchant_uid) WHERE (state = ANY (ARRAY['asking'::text, 'issued'::text, 'cancelling'::text]));

CREATE UNIQUE INDEX one_shipment ON errands USING btree (imp_uid) WHERE ((kind = 'ship'::text) AND (state <> 'refused'::text));

CREATE INDEX order_acts_due ON order_acts USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX payment_events_by_time ON payment_events USING brin (at) WITH (autosummarize='on');

CREATE INDEX payments_approving ON payments USING btree (approving_at) WHERE (step = 'approving'::text);

CREATE INDEX payments_by_cancelled ON payments USING btree (merchant_id, cancelled_at DESC) WHERE (cancelled > 0);

CREATE INDEX payments_by_customer ON payments USING btree (merchant_id, customer_uid, started_at DESC) WHERE (customer_uid IS NOT NULL);

CREATE INDEX payments_by_failed ON payments USING btree (merchant_id, failed_at DESC) WHERE (step = 'failed'::text);

CREATE INDEX payments_by_order ON payments USING btree (merchant_id, merchant_uid, started_at DESC);

CREATE INDEX payments_by_paid ON payments USING btree (merchant_id, paid_at DESC) WHERE (step = 'paid'::text);

CREATE INDEX payments_by_start ON payments USING btree (merchant_id, started_at DESC);

CREATE INDEX payments_of_member ON quick_payments USING btree (member_id);

CREATE INDEX payments_waiting ON payments USING btree (vbank_due) WHERE (step = 'waiting_deposit'::text);

CREATE INDEX quick_prepared_of_key ON quick_prepared USING btree (data_key);

CREATE INDEX quick_questions_due ON quick_questions USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX receipts_due ON cash_receipts USING btree (next_try_at) WHERE (next_try_at IS NOT NULL);

CREATE INDEX receipts_of_key ON cash_receipts USING btree (data_key) WHERE (data_key IS NOT NULL);

CREATE INDEX receipts_of_order ON cash_receipts USING btree (merchant_id, merchant_uid, id);

CREATE INDEX receipts_of_payment ON cash_receipts USING btree (imp_uid, id);

CREATE INDEX schedules_by_time ON schedules USING btree (merchant_id, schedule_at DESC);

CREATE INDEX schedules_due ON schedules USING btree (next_try_at, id) WHERE (next_try_at IS NOT NULL);

CREATE INDEX schedules_of_customer ON schedules USING btree (merchant_id, customer_uid, schedule_at DESC);

CREATE INDEX tasks_of_payment ON operator_tasks USING btree (imp_uid) WHERE (imp_uid IS NOT NULL);

CREATE INDEX tasks_to_tell ON operator_tasks USING btree (next_alert_at) WHERE ((alerted_at IS NULL) AND (closed_at IS NULL));

CREATE INDEX tries_of_intent ON intent_tries USING btree (intent_id, id);

CREATE INDEX watches_due ON undone_watches USING btree (next_look_at) WHERE (next_look_at IS NOT NULL);

CREATE INDEX webhook_attempts_of_delivery ON webhook_attempts USING btree (delivery_id, id);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries USING btree (next_at) WHERE (state = 'waiting'::text);

CREATE INDEX webhook_deliveries_line ON webhook_deliveries USING btree (imp_uid, version) WHERE (state = 'waiting'::text);

CREATE INDEX webhook_deliveries_of_merchant ON webhook_deliveries USING btree (merchant_id, id);

CREATE INDEX webhook_deliveries_to ON webhook_deliveries USING btree (merchant_id, id) WHERE (state = 'waiting'::text);

CREATE TRIGGER act_rules BEFORE INSERT OR UPDATE ON order_acts FOR EACH ROW EXECUTE FUNCTION keep_act_rules();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON audit_anchors FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE ON audit_heads FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON book_comparisons FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON book_differences FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON cancellations FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE ON certifications FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON deposits FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE ON house FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON intent_tries FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE ON order_acts FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON quick_payments FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON returned_deposits FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON tiers FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON webhook_attempts FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE CONSTRAINT TRIGGER approving_is_asked AFTER UPDATE ON intents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((new.kind <> 'cancel'::text) AND (old.closed_at IS NULL) AND (new.closed_at IS NOT NULL))) EXECUTE FUNCTION compare_question();

CREATE CONSTRAINT TRIGGER approving_is_asked AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.step = 'approving'::text)) EXECUTE FUNCTION compare_question();

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON api_keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('imp_key');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON audit_anchors DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('day');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON billing_keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('number');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON cash_receipts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('number');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE ON certifications DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('imp_uid');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON channels DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('channel_key');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON data_keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('id');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON errands DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('number');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON house DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('id');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON intents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('imp_uid');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON merchants DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('id');

CREATE CONSTRAINT TRIGGER audited AFTER UPDATE ON operator_tasks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('id');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON order_acts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('number');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON prepared DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('merchant_uid');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON quick_prepared DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('merchant_uid');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON quick_questions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('number');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON returned_deposits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('notice_key');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE ON schedules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('number');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON tiers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('tier_code');

CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR DELETE OR UPDATE ON user_codes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('user_code');

CREATE CONSTRAINT TRIGGER audited AFTER DELETE OR UPDATE ON webhook_deliveries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((current_setting('naru.acting'::text, true) <> ''::text) OR (current_setting('application_name'::text) <> 'naru'::text))) EXECUTE FUNCTION write_audit_log('id');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT ON cancellations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('cancellation_id');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT ON deposits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('notice_key');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER UPDATE ON intents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('imp_uid');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER DELETE OR UPDATE ON notices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('channel_id');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT OR UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('imp_uid');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER UPDATE ON undone_watches DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('imp_uid');

CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT ON webhook_deliveries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((current_setting('application_name'::text) <> 'naru'::text)) EXECUTE FUNCTION write_audit_log('id');

CREATE TRIGGER booking_dated BEFORE INSERT ON cancellations FOR EACH ROW EXECUTE FUNCTION date_cancellation();

CREATE TRIGGER books AFTER INSERT ON deposits FOR EACH ROW EXECUTE FUNCTION book_deposit();

CREATE TRIGGER books AFTER UPDATE ON payments FOR EACH ROW WHEN (((new.step = ANY (ARRAY['paid'::text, 'cancelled'::text])) OR (old.step = ANY (ARRAY['paid'::text, 'cancelled'::text])))) EXECUTE FUNCTION book_payment();

CREATE TRIGGER books AFTER INSERT ON returned_deposits FOR EACH ROW EXECUTE FUNCTION book_return();

CREATE CONSTRAINT TRIGGER books_agree AFTER INSERT ON deposits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.imp_uid IS NOT NULL)) EXECUTE FUNCTION compare_books();

CREATE CONSTRAINT TRIGGER books_agree AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((pg_trigger_depth() = 0)) EXECUTE FUNCTION compare_books();

CREATE CONSTRAINT TRIGGER books_agree AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((new.step = ANY (ARRAY['paid'::text, 'cancelled'::text])) OR (old.step = ANY (ARRAY['paid'::text, 'cancelled'::text])))) EXECUTE FUNCTION compare_books();

CREATE TRIGGER books_let_go AFTER UPDATE ON intents FOR EACH ROW WHEN (((new.kind = 'cancel'::text) AND (old.closed_at IS NULL) AND (new.closed_at IS NOT NULL))) EXECUTE FUNCTION book_reservation();

CREATE TRIGGER books_reserve AFTER INSERT ON intents FOR EACH ROW WHEN ((new.kind = 'cancel'::text)) EXECUTE FUNCTION book_reservation();

CREATE TRIGGER by_trigger_only BEFORE INSERT OR UPDATE ON audit_heads FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();

CREATE TRIGGER by_trigger_only BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();

CREATE TRIGGER by_trigger_only BEFORE INSERT ON entries FOR EACH ROW WHEN ((pg_trigger_depth() = 0)) EXECUTE FUNCTION refuse_hand_written();

CREATE TRIGGER by_trigger_only BEFORE INSERT ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();

CREATE CONSTRAINT TRIGGER cancellations_add_up AFTER INSERT ON cancellations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION compare_cancellations();

CREATE CONSTRAINT TRIGGER cancellations_add_up AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.cancelled IS DISTINCT FROM old.cancelled)) EXECUTE FUNCTION compare_cancellations();

CREATE TRIGGER card_check_rules BEFORE DELETE OR UPDATE ON card_checks FOR EACH ROW EXECUTE FUNCTION keep_card_check_rules();

CREATE TRIGGER errand_rules BEFORE INSERT OR DELETE OR UPDATE ON errands FOR EACH ROW EXECUTE FUNCTION keep_errand_rules();

CREATE CONSTRAINT TRIGGER exact_pays AFTER INSERT ON deposits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.meaning = 'exact'::text)) EXECUTE FUNCTION compare_deposit();

CREATE TRIGGER guarded BEFORE INSERT OR UPDATE ON certifications FOR EACH ROW EXECUTE FUNCTION guard_certification();

CREATE TRIGGER idempotency_rules BEFORE UPDATE ON idempotency FOR EACH ROW EXECUTE FUNCTION keep_idempotency_rules();

CREATE TRIGGER intent_pace BEFORE INSERT OR UPDATE OF next_try_at ON intents FOR EACH ROW EXECUTE FUNCTION keep_intent_pace();

CREATE TRIGGER intent_rules BEFORE INSERT OR DELETE OR UPDATE ON intents FOR EACH ROW EXECUTE FUNCTION keep_intent_rules();

CREATE CONSTRAINT TRIGGER kept_with_its_task AFTER DELETE ON notices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keep_notice();

CREATE TRIGGER key_rules BEFORE INSERT OR DELETE OR UPDATE ON billing_keys FOR EACH ROW EXECUTE FUNCTION keep_key_rules();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON book_comparisons FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON book_differences FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cancellations FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON card_checks FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cash_receipts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON certifications FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON channels FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON data_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON deposit_secrets FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON deposits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON errands FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON house FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON idempotency FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON intent_tries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON intents FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON merchants FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON notices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON operator_tasks FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON order_acts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payment_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payment_secrets FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payments FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON prepared FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON quick_payments FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON quick_prepared FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON quick_questions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON returned_deposits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON schedules FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON tiers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON undone_watches FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON user_codes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON webhook_attempts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON webhook_deliveries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON witnesses FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER notice_rules BEFORE UPDATE ON notices FOR EACH ROW EXECUTE FUNCTION keep_notice_rules();

CREATE TRIGGER payment_birth BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION keep_payment_birth();

CREATE TRIGGER payment_facts BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION keep_payment_facts();

CREATE TRIGGER payment_history AFTER INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION write_payment_event();

CREATE TRIGGER payment_rules BEFORE DELETE OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION keep_payment_rules();

CREATE TRIGGER quick_question_rules BEFORE DELETE OR UPDATE ON quick_questions FOR EACH ROW EXECUTE FUNCTION keep_quick_questions();

CREATE TRIGGER receipt_rules BEFORE INSERT OR DELETE OR UPDATE ON cash_receipts FOR EACH ROW EXECUTE FUNCTION keep_receipt_rules();

CREATE TRIGGER schedule_rules BEFORE INSERT OR DELETE OR UPDATE ON schedules FOR EACH ROW EXECUTE FUNCTION keep_schedule_rules();

CREATE TRIGGER sealed_stays BEFORE DELETE OR UPDATE ON deposit_secrets FOR EACH ROW EXECUTE FUNCTION keep_sealed();

CREATE TRIGGER sealed_stays BEFORE DELETE OR UPDATE ON payment_secrets FOR EACH ROW EXECUTE FUNCTION keep_sealed();

CREATE TRIGGER takes_receipt_back AFTER UPDATE OF step ON payments FOR EACH ROW WHEN (((new.step = 'cancelled'::text) AND (old.step <> 'cancelled'::text))) EXECUTE FUNCTION take_receipt_back();

CREATE TRIGGER task_rules BEFORE DELETE OR UPDATE ON operator_tasks FOR EACH ROW EXECUTE FUNCTION keep_task_rules();

CREATE TRIGGER watch_rules BEFORE DELETE OR UPDATE ON undone_watches FOR EACH ROW EXECUTE FUNCTION keep_watch_rules();

CREATE TRIGGER webhook_rules BEFORE UPDATE ON webhook_deliveries FOR EACH ROW WHEN (((((((((((new.webhook_id IS DISTINCT FROM old.webhook_id) OR (new.merchant_id IS DISTINCT FROM old.merchant_id)) OR (new.imp_uid IS DISTINCT FROM old.imp_uid)) OR (new.version IS DISTINCT FROM old.version)) OR (new.status IS DISTINCT FROM old.status)) OR (new.cancellation_id IS DISTINCT FROM old.cancellation_id)) OR (new.url IS DISTINCT FROM old.url)) OR (new.content_type IS DISTINCT FROM old.content_type)) OR (new.body IS DISTINCT FROM old.body)) OR (new.announced_at IS DISTINCT FROM old.announced_at))) EXECUTE FUNCTION keep_webhook_rules();

CREATE TRIGGER webhook_url_dated BEFORE UPDATE ON merchants FOR EACH ROW WHEN ((new.webhook_url IS DISTINCT FROM old.webhook_url)) EXECUTE FUNCTION date_webhook_url();

CREATE TRIGGER witness_rules BEFORE DELETE OR UPDATE ON witnesses FOR EACH ROW EXECUTE FUNCTION keep_witness_rules();

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY billing_keys
    ADD CONSTRAINT billing_keys_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY billing_keys
    ADD CONSTRAINT billing_keys_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY billing_keys
    ADD CONSTRAINT billing_keys_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY billing_keys
    ADD CONSTRAINT billing_keys_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY book_comparisons
    ADD CONSTRAINT book_comparisons_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY book_differences
    ADD CONSTRAINT book_differences_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY book_differences
    ADD CONSTRAINT book_differences_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY cancellations
    ADD CONSTRAINT cancellations_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY card_checks
    ADD CONSTRAINT card_checks_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY card_checks
    ADD CONSTRAINT card_checks_key_number_fkey FOREIGN KEY (key_number) REFERENCES billing_keys(number);

ALTER TABLE ONLY cash_receipts
    ADD CONSTRAINT cash_receipts_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY cash_receipts
    ADD CONSTRAINT cash_receipts_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY cash_receipts
    ADD CONSTRAINT cash_receipts_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY cash_receipts
    ADD CONSTRAINT cash_receipts_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY certifications
    ADD CONSTRAINT certifications_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY certifications
    ADD CONSTRAINT certifications_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY certifications
    ADD CONSTRAINT certifications_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY deposit_secrets
    ADD CONSTRAINT deposit_secrets_channel_id_notice_key_fkey FOREIGN KEY (channel_id, notice_key) REFERENCES deposits(channel_id, notice_key);

ALTER TABLE ONLY deposit_secrets
    ADD CONSTRAINT deposit_secrets_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY deposits
    ADD CONSTRAINT deposits_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY deposits
    ADD CONSTRAINT deposits_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY errands
    ADD CONSTRAINT errands_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY errands
    ADD CONSTRAINT errands_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY errands
    ADD CONSTRAINT errands_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY idempotency
    ADD CONSTRAINT idempotency_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY idempotency
    ADD CONSTRAINT idempotency_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY intent_tries
    ADD CONSTRAINT intent_tries_intent_id_fkey FOREIGN KEY (intent_id) REFERENCES intents(id);

ALTER TABLE ONLY intents
    ADD CONSTRAINT intents_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY kept_tickets
    ADD CONSTRAINT kept_tickets_intent_id_fkey FOREIGN KEY (intent_id) REFERENCES intents(id);

ALTER TABLE ONLY merchants
    ADD CONSTRAINT merchants_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY notices
    ADD CONSTRAINT notices_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY notices
    ADD CONSTRAINT notices_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY notices
    ADD CONSTRAINT notices_task_id_fkey FOREIGN KEY (task_id) REFERENCES operator_tasks(id);

ALTER TABLE ONLY operator_tasks
    ADD CONSTRAINT operator_tasks_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY order_acts
    ADD CONSTRAINT order_acts_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY payment_events
    ADD CONSTRAINT payment_events_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY payment_secrets
    ADD CONSTRAINT payment_secrets_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY payment_secrets
    ADD CONSTRAINT payment_secrets_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY prepared
    ADD CONSTRAINT prepared_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY quick_payments
    ADD CONSTRAINT quick_payments_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY quick_prepared
    ADD CONSTRAINT quick_prepared_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY quick_prepared
    ADD CONSTRAINT quick_prepared_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY quick_questions
    ADD CONSTRAINT quick_questions_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY quick_questions
    ADD CONSTRAINT quick_questions_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY returned_deposits
    ADD CONSTRAINT returned_deposits_channel_id_notice_key_fkey FOREIGN KEY (channel_id, notice_key) REFERENCES deposits(channel_id, notice_key);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys(id);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY schedules
    ADD CONSTRAINT schedules_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY tiers
    ADD CONSTRAINT tiers_agency_id_fkey FOREIGN KEY (agency_id) REFERENCES merchants(id);

ALTER TABLE ONLY tiers
    ADD CONSTRAINT tiers_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY undone_watches
    ADD CONSTRAINT undone_watches_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY user_codes
    ADD CONSTRAINT user_codes_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY webhook_attempts
    ADD CONSTRAINT webhook_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES webhook_deliveries(id);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);
