-- Schedules: orders that a customer's card is charged for later (P15).

--   scheduled  it is due at schedule_at    executed  imp_uid says what became of it    revoked  it never runs
CREATE TABLE schedules (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    merchant_uid text COLLATE "C" NOT NULL CHECK (merchant_uid ~ '^[^[:cntrl:]]{1,40}$'),
    customer_uid text COLLATE "C" NOT NULL CHECK (customer_uid ~ '^[^[:cntrl:]]{1,80}$'),
    -- The customer's channel when it was made; it is charged by the key that lives when it is due.
    channel_id bigint NOT NULL REFERENCES channels (id),
    -- Ours: the PG's order number of an attempt is this, an r, and the number of the attempt.
    number text COLLATE "C" NOT NULL UNIQUE CHECK (number ~ '^[a-z0-9]{6,30}$'),
    state text NOT NULL CHECK (state IN ('scheduled', 'executed', 'revoked')),
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND 99999),
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000),
    currency text NOT NULL,
    tax_free bigint NOT NULL CHECK (tax_free BETWEEN 0 AND amount),
    vat bigint CHECK (vat BETWEEN 0 AND amount),
    name text,
    webhook_urls text[] NOT NULL DEFAULT '{}',
    schedule_at timestamptz NOT NULL,
    -- When the worker looks: schedule_at, or later when something was in the way.
    next_try_at timestamptz,
    asked_at timestamptz NOT NULL,
    executed_at timestamptz,
    revoked_at timestamptz,
    imp_uid text COLLATE "C" UNIQUE REFERENCES payments (imp_uid),
    -- Who pays, and what the merchant gave with it.
    sealed bytea NOT NULL,
    data_key integer NOT NULL GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    CONSTRAINT one_schedule_per_order UNIQUE (merchant_id, merchant_uid),
    CONSTRAINT schedules_looked_at CHECK ((state = 'scheduled') = (next_try_at IS NOT NULL)),
    CONSTRAINT schedules_executed CHECK ((state = 'executed') = (imp_uid IS NOT NULL)
                                         AND (state = 'executed') = (executed_at IS NOT NULL)),
    CONSTRAINT schedules_revoked CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
    CONSTRAINT schedules_never_early CHECK (next_try_at >= schedule_at)
);
CREATE INDEX schedules_due ON schedules (next_try_at, id) WHERE next_try_at IS NOT NULL;
CREATE INDEX schedules_by_time ON schedules (merchant_id, schedule_at DESC);
CREATE INDEX schedules_of_customer ON schedules (merchant_id, customer_uid, schedule_at DESC);

CREATE FUNCTION keep_schedule_rules() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER schedule_rules BEFORE INSERT OR UPDATE OR DELETE ON schedules
    FOR EACH ROW EXECUTE FUNCTION keep_schedule_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON schedules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE ON schedules
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('number');

-- Cards that were charged to see whether they can be, until the money is given back.
CREATE TABLE card_checks (
    imp_uid text COLLATE "C" PRIMARY KEY REFERENCES payments (imp_uid),
    next_look_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT card_checks_looked_at CHECK ((next_look_at IS NULL) = (ended_at IS NOT NULL))
);
CREATE INDEX card_checks_due ON card_checks (next_look_at) WHERE next_look_at IS NOT NULL;

CREATE FUNCTION keep_card_check_rules() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER card_check_rules BEFORE UPDATE OR DELETE ON card_checks
    FOR EACH ROW EXECUTE FUNCTION keep_card_check_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON card_checks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
