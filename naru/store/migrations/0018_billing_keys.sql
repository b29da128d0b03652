-- Billing keys: the right to charge a card without its holder, kept by the PG; and payments that
-- come with one, or make one.

-- One row is one key that a PG was asked for, by our own number for the question.
--   asking   the PG may be asking its card company    live      charges go by this one
--   refused  there is none, and never will be         replaced, deleted   it was live once
CREATE TABLE billing_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    customer_uid text COLLATE "C" NOT NULL CHECK (customer_uid ~ '^[^[:cntrl:]]{1,80}$'),
    channel_id bigint NOT NULL REFERENCES channels (id),
    pg_code text NOT NULL,
    mid text NOT NULL,
    sandbox boolean NOT NULL,
    number text COLLATE "C" NOT NULL UNIQUE,
    -- The payment that it came with.
    imp_uid text COLLATE "C" REFERENCES payments (imp_uid),
    state text NOT NULL CHECK (state IN ('asking', 'live', 'refused', 'replaced', 'deleted')),
    asked_at timestamptz NOT NULL,
    -- While it is asked for: when the worker looks, how often it did, and the number of its lease.
    next_try_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    fence integer NOT NULL DEFAULT 0,
    -- When the customer got the first of an unbroken line of keys, and this one.
    inserted_at timestamptz,
    updated_at timestamptz,
    ended_at timestamptz,
    -- The PG knows that nobody uses it any more, too.
    forgotten_at timestamptz,
    reason text,
    card_code text,
    card_name text,
    card_number text,
    card_type integer,
    -- The PG's key, and whose card it is.
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    CONSTRAINT billing_keys_sealed CHECK ((sealed IS NULL) = (data_key IS NULL)),
    CONSTRAINT billing_keys_usable CHECK (state NOT IN ('asking', 'live') OR sealed IS NOT NULL),
    CONSTRAINT billing_keys_looked_at CHECK (state <> 'asking' OR next_try_at IS NOT NULL),
    CONSTRAINT billing_keys_dated CHECK (state NOT IN ('live', 'replaced', 'deleted')
                                         OR (inserted_at IS NOT NULL AND updated_at IS NOT NULL)),
    CONSTRAINT billing_keys_ended CHECK ((state IN ('refused', 'replaced', 'deleted')) = (ended_at IS NOT NULL))
);
-- One at a time: a customer_uid names one card, and one question about it is open.
CREATE UNIQUE INDEX one_live_key ON billing_keys (merchant_id, customer_uid) WHERE state = 'live';
CREATE UNIQUE INDEX one_asked_key ON billing_keys (merchant_id, customer_uid) WHERE state = 'asking';
CREATE INDEX keys_due ON billing_keys (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX keys_of_payment ON billing_keys (imp_uid) WHERE imp_uid IS NOT NULL;

CREATE FUNCTION keep_key_rules() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER key_rules BEFORE INSERT OR UPDATE OR DELETE ON billing_keys
    FOR EACH ROW EXECUTE FUNCTION keep_key_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON billing_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('number');

-- What a payment has to do with a key: it makes one, or it is charged by one. Registering a card
-- takes no money; only that may be a payment of nothing, and nothing of it is ever given back.
ALTER TABLE payments
    ADD COLUMN customer_uid_usage text,
    DROP CONSTRAINT payments_amount_check,
    DROP CONSTRAINT payments_check4,
    ADD CONSTRAINT payments_usage CHECK (customer_uid_usage IN ('issue', 'payment', 'payment.scheduled')),
    ADD CONSTRAINT payments_customer CHECK (customer_uid_usage IS NULL OR customer_uid IS NOT NULL),
    ADD CONSTRAINT payments_amount_check CHECK (amount BETWEEN 0 AND 1000000000000
                                                AND (amount > 0 OR customer_uid_usage IS NOT DISTINCT FROM 'issue')),
    ADD CONSTRAINT payments_check4 CHECK ((step = 'cancelled') = (cancelled = amount AND amount > 0));
CREATE INDEX payments_by_customer ON payments (merchant_id, customer_uid, started_at DESC)
    WHERE customer_uid IS NOT NULL;
ALTER TABLE intents
    DROP CONSTRAINT intents_amount_check,
    ADD CONSTRAINT intents_amount_check CHECK (amount >= 0 AND (amount > 0 OR kind = 'approve'));

-- Whose customer paid, and how, is said once.
CREATE OR REPLACE FUNCTION keep_payment_facts() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- A window that keeps a card and takes nothing pays no order: it must not stand where a payment stands.
ALTER INDEX one_approval_per_order RENAME TO one_approval_per_order_before;
CREATE UNIQUE INDEX one_approval_per_order ON payments (merchant_id, merchant_uid)
    WHERE step IN ('approving', 'paid', 'cancelled') AND NOT flagged AND amount > 0;
DROP INDEX one_approval_per_order_before;
