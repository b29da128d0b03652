-- The books: double entry, append-only, written by trigger only, so that no code path and no
-- hand-written statement can move money past them (docs/decisions/0010-books.md).
--
--   receivable      what the PG owes us for payments that are paid: amount - cancelled
--   sales           its other side
--   refund_pending  what an open cancel has spoken for; taken from sales until the PG has answered
--   deposited       money in virtual accounts that is not (yet) a paid payment
--   suspense        its other side: empty when everything that arrived has found its payment

CREATE TABLE entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Null: a deposit for an order that is not ours. No foreign key: only triggers on tables that
    -- have one write here, and it would cost a lock for every row.
    imp_uid text COLLATE "C",
    account text COLLATE "C" NOT NULL
        CHECK (account IN ('receivable', 'sales', 'refund_pending', 'deposited', 'suspense')),
    amount bigint NOT NULL CHECK (amount <> 0),
    currency text NOT NULL,
    -- Where it comes from: the payment's version, or the intent, or the PG's notice.
    version integer,
    intent_id bigint,
    channel_id bigint,
    notice_key text COLLATE "C",
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (num_nonnulls(version, intent_id, notice_key) = 1),
    CHECK ((channel_id IS NULL) = (notice_key IS NULL))
);

-- What is in the house already: the many first, while everybody works; what changed meanwhile is
-- mended below, under the lock.
CREATE TEMPORARY TABLE books_begun ON COMMIT DROP AS SELECT clock_timestamp() - interval '1 minute' AS at;
INSERT INTO entries (imp_uid, account, amount, currency, version)
SELECT p.imp_uid, leg.account, leg.sign * (p.amount - p.cancelled), p.currency, p.version
  FROM payments p, (VALUES ('receivable', 1), ('sales', -1)) leg (account, sign)
 WHERE p.step = 'paid';
CREATE INDEX entries_of_payment ON entries (imp_uid);
CREATE INDEX entries_by_time ON entries USING brin (at) WITH (autosummarize = on);

-- All tables in one moment. Who waits for a lock while holding another can end in a deadlock with
-- the traffic, so nobody waits long: all is let go and tried again.
DO $$
BEGIN
    SET LOCAL lock_timeout = '300ms';
    FOR attempt IN 1..100 LOOP
        BEGIN
            LOCK TABLE payments, intents, deposits, webhook_deliveries, payment_events
                IN SHARE ROW EXCLUSIVE MODE;
            LOCK TABLE merchants IN ACCESS EXCLUSIVE MODE;
            SET LOCAL lock_timeout = '5s';
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
    RAISE EXCEPTION 'payments are too busy to open the books' USING ERRCODE = 'lock_not_available';
END $$;

INSERT INTO entries (imp_uid, account, amount, currency, version)
SELECT p.imp_uid, leg.account, leg.sign * p.missing, p.currency, p.version
  FROM (SELECT p.imp_uid, p.currency, p.version,
               CASE WHEN p.step IN ('paid', 'cancelled') THEN p.amount - p.cancelled ELSE 0 END
               - COALESCE((SELECT sum(e.amount) FROM entries e
                            WHERE e.imp_uid = p.imp_uid AND e.account = 'receivable'), 0) AS missing
          FROM payments p
         WHERE p.imp_uid IN (SELECT v.imp_uid FROM payment_events v
                              WHERE v.at >= (SELECT begun.at FROM books_begun begun))) p,
       (VALUES ('receivable', 1), ('sales', -1)) leg (account, sign)
 WHERE p.missing <> 0;
INSERT INTO entries (imp_uid, account, amount, currency, intent_id)
SELECT i.imp_uid, leg.account, leg.sign * i.amount, p.currency, i.id
  FROM intents i JOIN payments p USING (imp_uid),
       (VALUES ('sales', 1), ('refund_pending', -1)) leg (account, sign)
 WHERE i.kind = 'cancel' AND i.state IN ('open', 'unknown', 'undoing');
INSERT INTO entries (imp_uid, account, amount, currency, channel_id, notice_key)
SELECT d.imp_uid, leg.account, leg.sign * d.amount, d.currency, d.channel_id, d.notice_key
  FROM deposits d, (VALUES ('deposited', 1), ('suspense', -1)) leg (account, sign);
INSERT INTO entries (imp_uid, account, amount, currency, version)
SELECT p.imp_uid, leg.account, leg.sign * p.amount, p.currency, v.version
  FROM payment_events v JOIN payments p USING (imp_uid),
       (VALUES ('deposited', -1), ('suspense', 1)) leg (account, sign)
 WHERE v.event = 'deposited' AND v.imp_uid IN (SELECT d.imp_uid FROM deposits d);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER by_trigger_only BEFORE INSERT ON entries
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_hand_written();

-- Paid, given back: the books follow the row, whatever moved it.
CREATE FUNCTION book_payment() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER books AFTER UPDATE ON payments FOR EACH ROW
    WHEN (NEW.step IN ('paid', 'cancelled') OR OLD.step IN ('paid', 'cancelled'))
    EXECUTE FUNCTION book_payment();

-- A cancel is reserved when it is opened and let go when it is answered, whatever the answer: what
-- the PG really gave back is booked by the payment.
CREATE FUNCTION book_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER books_reserve AFTER INSERT ON intents FOR EACH ROW
    WHEN (NEW.kind = 'cancel') EXECUTE FUNCTION book_reservation();
CREATE TRIGGER books_let_go AFTER UPDATE ON intents FOR EACH ROW
    WHEN (NEW.kind = 'cancel' AND OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL)
    EXECUTE FUNCTION book_reservation();

-- A deposit is in suspense until its payment takes it out.
CREATE FUNCTION book_deposit() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER books AFTER INSERT ON deposits FOR EACH ROW EXECUTE FUNCTION book_deposit();

-- At every commit that paid, gave back or brought a deposit: the books of the payment balance and say
-- what its row says (P1). Reservations are two entries of one statement and end with the cancel; the
-- audit looks at them, so that the way of every payment need not.
CREATE FUNCTION compare_books() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE CONSTRAINT TRIGGER books_agree AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.step IN ('paid', 'cancelled') OR OLD.step IN ('paid', 'cancelled'))
    EXECUTE FUNCTION compare_books();
CREATE CONSTRAINT TRIGGER books_agree AFTER INSERT ON deposits DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.imp_uid IS NOT NULL) EXECUTE FUNCTION compare_books();
-- Entries come two by two from the triggers above; any other hand is checked row by row.
CREATE CONSTRAINT TRIGGER books_agree AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION compare_books();

-- An exact deposit is one that paid: at commit the payment is not waiting any more (P16).
CREATE FUNCTION compare_deposit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND step IN ('paid', 'cancelled')) THEN
        RAISE EXCEPTION 'deposit % is called exact and paid nothing', NEW.notice_key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER exact_pays AFTER INSERT ON deposits DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.meaning = 'exact') EXECUTE FUNCTION compare_deposit();

-- What is being approved has an open question, or nobody would ever end it (P3).
CREATE FUNCTION compare_question() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payments p WHERE p.imp_uid = NEW.imp_uid AND p.step = 'approving'
                  AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.imp_uid = p.imp_uid
                                     AND i.state IN ('open', 'unknown', 'undoing'))) THEN
        RAISE EXCEPTION 'payment % is being approved and nobody asks', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approving_is_asked AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.step = 'approving') EXECUTE FUNCTION compare_question();
CREATE CONSTRAINT TRIGGER approving_is_asked AFTER UPDATE ON intents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.kind <> 'cancel' AND OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL)
    EXECUTE FUNCTION compare_question();

-- Money is not given back before it is taken; a late approval is of something that a PG was asked
-- (P8); and where the buyer and the news go to is said once.
CREATE FUNCTION keep_payment_facts() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF (NEW.webhook_urls, NEW.return_url, NEW.app_scheme, NEW.page_origin, NEW.window_secret_hash)
       IS DISTINCT FROM
       (OLD.webhook_urls, OLD.return_url, OLD.app_scheme, OLD.page_origin, OLD.window_secret_hash) THEN
        RAISE EXCEPTION 'where payment % is told of never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- Without WHEN: PostgreSQL reads a condition anew for every statement, which costs more than the call.
CREATE TRIGGER payment_facts BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION keep_payment_facts();

-- A payment goes through a channel of its own merchant (P10).
CREATE OR REPLACE FUNCTION keep_payment_birth() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- What a webhook says, and to whom, never changes; none is taken back (P4).
CREATE FUNCTION keep_webhook_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a webhook says never changes' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER webhook_rules BEFORE UPDATE ON webhook_deliveries FOR EACH ROW
    WHEN ((NEW.webhook_id, NEW.merchant_id, NEW.imp_uid, NEW.version, NEW.status, NEW.cancellation_id,
           NEW.url, NEW.content_type, NEW.body, NEW.announced_at)
          IS DISTINCT FROM
          (OLD.webhook_id, OLD.merchant_id, OLD.imp_uid, OLD.version, OLD.status, OLD.cancellation_id,
           OLD.url, OLD.content_type, OLD.body, OLD.announced_at))
    EXECUTE FUNCTION keep_webhook_rules();
CREATE TRIGGER append_only BEFORE DELETE ON webhook_deliveries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON webhook_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The audit asks which events earned a webhook: since when has the merchant had this address?
ALTER TABLE merchants ADD COLUMN webhook_url_since timestamptz NOT NULL DEFAULT now();
CREATE FUNCTION date_webhook_url() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.webhook_url_since := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_url_dated BEFORE UPDATE ON merchants FOR EACH ROW
    WHEN (NEW.webhook_url IS DISTINCT FROM OLD.webhook_url) EXECUTE FUNCTION date_webhook_url();

-- For `naru audit --recent`: what changed lately, at next to no cost for those who write.
CREATE INDEX payment_events_by_time ON payment_events USING brin (at) WITH (autosummarize = on);
