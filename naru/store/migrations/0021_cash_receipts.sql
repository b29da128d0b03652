-- Cash receipts: what the tax office is told, one live receipt per payment. And errands: what a PG is
-- told of a payment that moves no money (shipments of escrow, sub-shops on a slip, another due date).

-- One row is one question by our own number.
--   asking      the tax office may know of it      issued      it does
--   refused     it does not, and never will        cancelling  it is being taken back
--   cancelled   it was taken back
CREATE TABLE cash_receipts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    channel_id bigint NOT NULL REFERENCES channels (id),
    -- Of a payment of ours, or of an order that was paid outside.
    imp_uid text COLLATE "C" REFERENCES payments (imp_uid),
    merchant_uid text COLLATE "C" CHECK (merchant_uid ~ '^[^[:cntrl:]]{1,40}$'),
    number text COLLATE "C" NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('asking', 'issued', 'refused', 'cancelling', 'cancelled')),
    type text NOT NULL CHECK (type IN ('person', 'company')),
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000),
    tax_free bigint NOT NULL CHECK (tax_free >= 0),
    vat bigint NOT NULL CHECK (vat >= 0),
    asked_at timestamptz NOT NULL,
    receipt_tid text,
    apply_num text,
    receipt_url text,
    applied_at timestamptz,
    -- How often it was asked to be taken back: a number for each time.
    cancels integer NOT NULL DEFAULT 0,
    cancel_asked_at timestamptz,
    cancelled_at timestamptz,
    fail_code text,
    fail_reason text,
    -- While an answer is missing: when the worker looks, how often it did, and the number of its lease.
    next_try_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    fence integer NOT NULL DEFAULT 0,
    -- Whose receipt it is, in words: only until the question is answered.
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    CONSTRAINT cash_receipts_of_one CHECK ((imp_uid IS NULL) <> (merchant_uid IS NULL)),
    CONSTRAINT cash_receipts_tax CHECK (tax_free + vat <= amount),
    CONSTRAINT cash_receipts_sealed CHECK ((sealed IS NOT NULL) = (data_key IS NOT NULL)
                                           AND (sealed IS NOT NULL) = (state = 'asking')),
    CONSTRAINT cash_receipts_issued CHECK ((state IN ('asking', 'refused')) = (receipt_tid IS NULL)
                                           AND (receipt_tid IS NULL) = (applied_at IS NULL)
                                           AND (receipt_tid IS NULL) = (apply_num IS NULL)),
    CONSTRAINT cash_receipts_cancelled CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)
                                              AND (cancels = 0) = (cancel_asked_at IS NULL)
                                              AND (state NOT IN ('cancelling', 'cancelled') OR cancels > 0)),
    CONSTRAINT cash_receipts_looked_at CHECK ((state IN ('asking', 'cancelling')) = (next_try_at IS NOT NULL))
);
CREATE UNIQUE INDEX one_receipt ON cash_receipts (imp_uid)
    WHERE state IN ('asking', 'issued', 'cancelling');
CREATE UNIQUE INDEX one_external_receipt ON cash_receipts (merchant_id, merchant_uid)
    WHERE state IN ('asking', 'issued', 'cancelling');
CREATE INDEX receipts_of_payment ON cash_receipts (imp_uid, id);
CREATE INDEX receipts_of_order ON cash_receipts (merchant_id, merchant_uid, id);
CREATE INDEX receipts_due ON cash_receipts (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX receipts_of_key ON cash_receipts (data_key) WHERE data_key IS NOT NULL;

CREATE FUNCTION keep_receipt_rules() RETURNS trigger LANGUAGE plpgsql AS $$
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
               AND channel_id = NEW.channel_id AND step = 'paid' AND currency = 'KRW'
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
CREATE TRIGGER receipt_rules BEFORE INSERT OR UPDATE OR DELETE ON cash_receipts
    FOR EACH ROW EXECUTE FUNCTION keep_receipt_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cash_receipts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON cash_receipts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('number');

-- Money that went back whole has no receipt any more, whoever gave it back: the worker tells the tax
-- office. (What is still being asked for is looked at when it is answered.) The cancel itself needs
-- nothing of it.
CREATE FUNCTION take_receipt_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cash_receipts SET state = 'cancelling', cancels = cancels + 1, cancel_asked_at = NEW.cancelled_at,
           next_try_at = NEW.cancelled_at, tries = 0
     WHERE imp_uid = NEW.imp_uid AND state = 'issued';
    RETURN NULL;
END $$;
CREATE TRIGGER takes_receipt_back AFTER UPDATE OF step ON payments
    FOR EACH ROW WHEN (NEW.step = 'cancelled' AND OLD.step <> 'cancelled')
    EXECUTE FUNCTION take_receipt_back();

CREATE TABLE errands (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    imp_uid text COLLATE "C" NOT NULL REFERENCES payments (imp_uid),
    kind text NOT NULL CHECK (kind IN ('ship', 'reship', 'split_slip', 'change_account')),
    number text COLLATE "C" NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('asking', 'done', 'refused')),
    asked_at timestamptz NOT NULL,
    ended_at timestamptz,
    became jsonb,
    fail_code text,
    fail_reason text,
    next_try_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    fence integer NOT NULL DEFAULT 0,
    -- What the PG is told, with people's addresses: only until it has heard it.
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    CONSTRAINT errands_sealed CHECK ((sealed IS NOT NULL) = (data_key IS NOT NULL)
                                     AND (sealed IS NOT NULL) = (state = 'asking')),
    CONSTRAINT errands_ended CHECK ((state = 'asking') = (ended_at IS NULL)
                                    AND (state = 'asking') = (next_try_at IS NOT NULL)
                                    AND (state = 'done') = (became IS NOT NULL))
);
-- One at a time, and a shipment is told once; after that it is changed.
CREATE UNIQUE INDEX one_open_errand ON errands (imp_uid) WHERE state = 'asking';
CREATE UNIQUE INDEX one_shipment ON errands (imp_uid) WHERE kind = 'ship' AND state <> 'refused';
CREATE INDEX errands_of_payment ON errands (imp_uid, id);
CREATE INDEX errands_due ON errands (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX errands_of_key ON errands (data_key) WHERE data_key IS NOT NULL;

CREATE FUNCTION keep_errand_rules() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER errand_rules BEFORE INSERT OR UPDATE OR DELETE ON errands
    FOR EACH ROW EXECUTE FUNCTION keep_errand_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON errands
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON errands
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('number');

-- An account that waits may be given another amount and another due date, by the PG (settle) and then
-- here. Nothing was paid yet; what is about money that was taken still never changes.
CREATE OR REPLACE FUNCTION keep_payment_rules() RETURNS trigger
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
