-- Merchants, channels, payments and what happened to them.
-- Text that is compared (order numbers, ids) uses the "C" collation: byte by byte, no look-alikes.

CREATE TABLE merchants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    live boolean NOT NULL DEFAULT false,
    allow_test_channels boolean NOT NULL DEFAULT true,
    allowed_origins text[] NOT NULL DEFAULT '{}',
    allowed_return_origins text[] NOT NULL DEFAULT '{}',
    allowed_webhook_origins text[] NOT NULL DEFAULT '{}',
    allowed_app_schemes text[] NOT NULL DEFAULT '{}',
    webhook_url text,
    webhook_format text NOT NULL DEFAULT 'json' CHECK (webhook_format IN ('json', 'form')),
    webhook_mode text NOT NULL DEFAULT 'ladder' CHECK (webhook_mode IN ('ladder', 'v1', 'once')),
    webhook_secret text,
    confirm_url text,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- 가맹점식별코드: what IMP.init names. A merchant may answer to several.
CREATE TABLE user_codes (
    user_code text COLLATE "C" PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    position integer NOT NULL DEFAULT 0
);

-- imp_key / imp_secret. The secret and the access token are kept as hashes only; the token can be
-- said again because it is derived from the nonce with the root key (rest/authenticate.py).
CREATE TABLE api_keys (
    imp_key text COLLATE "C" PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    secret_hash bytea NOT NULL,
    token_nonce text,
    token_hash bytea UNIQUE,
    token_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE channels (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    channel_key text COLLATE "C" NOT NULL UNIQUE,
    pg_code text NOT NULL,
    mid text NOT NULL,
    connector text NOT NULL,
    test boolean NOT NULL,
    kind text NOT NULL DEFAULT 'payment' CHECK (kind IN ('payment', 'api_payment', 'certification')),
    is_default boolean NOT NULL DEFAULT false,
    settings jsonb NOT NULL DEFAULT '{}',
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (merchant_id, pg_code, mid, kind)
);
CREATE UNIQUE INDEX one_default_channel ON channels (merchant_id, kind) WHERE is_default;

-- An amount announced before the window opens (사전등록).
CREATE TABLE prepared (
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    merchant_uid text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
    currency text NOT NULL,
    currency_fixed boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, merchant_uid)
);

CREATE TABLE payments (
    imp_uid text COLLATE "C" PRIMARY KEY CHECK (imp_uid ~ '^imps?_[0-9]{12}$'),
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    merchant_uid text COLLATE "C" NOT NULL CHECK (merchant_uid ~ '^[^[:cntrl:]]{1,40}$'),
    channel_id bigint NOT NULL REFERENCES channels (id),
    pg_code text NOT NULL,
    hub_pg_code text,
    mid text NOT NULL,
    sandbox boolean NOT NULL,
    surface text NOT NULL CHECK (surface IN ('pc', 'mobile', 'api')),
    pay_method text NOT NULL,
    step text NOT NULL CHECK (step IN ('opened', 'approving', 'waiting_deposit', 'paid', 'failed', 'cancelled')),
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    event text NOT NULL,
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000),
    cancelled bigint NOT NULL DEFAULT 0,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    tax_free bigint NOT NULL DEFAULT 0 CHECK (tax_free BETWEEN 0 AND amount),
    vat bigint CHECK (vat BETWEEN 0 AND amount),
    name text,
    buyer_name text,
    buyer_email text,
    buyer_tel text,
    buyer_addr text,
    buyer_postcode text,
    custom_data text,
    user_agent text,
    language text NOT NULL DEFAULT 'ko',
    escrow boolean NOT NULL DEFAULT false,
    webhook_urls text[] NOT NULL DEFAULT '{}',
    confirm_url text,
    return_url text,
    app_scheme text,
    page_origin text,
    window_mode text NOT NULL DEFAULT 'iframe',
    window_secret_hash bytea,
    callback_shape text NOT NULL DEFAULT 'full',
    request_id text,
    request jsonb NOT NULL DEFAULT '{}',
    pg_order_no text COLLATE "C" NOT NULL UNIQUE,
    pg_tid text,
    approval_number text,
    card_issuer_code text,
    card_issuer_name text,
    card_number text,
    card_installment_months integer NOT NULL DEFAULT 0,
    card_type integer,
    bank_code text,
    bank_name text,
    vbank_code text,
    vbank_name text,
    vbank_num text,
    vbank_holder text,
    vbank_due timestamptz,
    vbank_issued_at timestamptz,
    receipt_url text,
    cash_receipt_issued boolean NOT NULL DEFAULT false,
    customer_uid text,
    fail_code text,
    fail_reason text,
    cancel_reason text,
    started_at timestamptz NOT NULL,
    approving_at timestamptz,
    paid_at timestamptz,
    failed_at timestamptz,
    cancelled_at timestamptz,
    flagged boolean NOT NULL DEFAULT false,
    CHECK (cancelled BETWEEN 0 AND amount),
    CHECK (cancelled = 0 OR step IN ('paid', 'cancelled')),
    CHECK ((step = 'cancelled') = (cancelled = amount)),
    CHECK (step NOT IN ('paid', 'cancelled') OR (paid_at IS NOT NULL AND pg_tid IS NOT NULL)),
    CHECK (step <> 'failed' OR (failed_at IS NOT NULL AND fail_reason IS NOT NULL)),
    CHECK (step <> 'waiting_deposit' OR (vbank_num IS NOT NULL AND vbank_due IS NOT NULL))
);
-- One approval per order by our own decision (P2). Facts that arrive are booked with `flagged`.
CREATE UNIQUE INDEX one_approval_per_order ON payments (merchant_id, merchant_uid)
    WHERE step IN ('approving', 'paid', 'cancelled') AND NOT flagged;
CREATE INDEX payments_by_order ON payments (merchant_id, merchant_uid, started_at DESC);
CREATE INDEX payments_by_start ON payments (merchant_id, started_at DESC);
CREATE INDEX payments_by_paid ON payments (merchant_id, paid_at DESC) WHERE step = 'paid';
CREATE INDEX payments_by_failed ON payments (merchant_id, failed_at DESC) WHERE step = 'failed';
CREATE INDEX payments_by_cancelled ON payments (merchant_id, cancelled_at DESC) WHERE cancelled > 0;
CREATE INDEX payments_approving ON payments (approving_at) WHERE step = 'approving';

-- The numbered history of every payment: one row per change, written by trigger, never touched again.
CREATE TABLE payment_events (
    imp_uid text COLLATE "C" NOT NULL REFERENCES payments (imp_uid),
    version integer NOT NULL,
    event text NOT NULL,
    step text NOT NULL,
    cancelled bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (imp_uid, version)
);

-- The journal: what we are about to ask a PG, committed before the call (RELIABILITY 6.1).
--   open      the call may be under way          unknown   nobody here knows what the PG did
--   undoing   a net-cancel is decided             done, refused, undone   ended
CREATE TABLE intents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    imp_uid text COLLATE "C" NOT NULL REFERENCES payments (imp_uid),
    kind text NOT NULL CHECK (kind IN ('approve', 'cancel', 'issue_account', 'close_account')),
    number text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    balance_before bigint NOT NULL DEFAULT 0,
    request jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'unknown', 'undoing', 'done', 'refused', 'undone')),
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    outcome text,
    UNIQUE (kind, number),
    CHECK (kind <> 'cancel' OR amount <= balance_before),
    CHECK ((state IN ('done', 'refused', 'undone')) = (closed_at IS NOT NULL))
);
-- One at a time (P14).
CREATE UNIQUE INDEX one_open_intent ON intents (imp_uid) WHERE state IN ('open', 'unknown', 'undoing');
CREATE INDEX intents_to_settle ON intents (next_try_at) WHERE state IN ('open', 'unknown', 'undoing');

CREATE TABLE cancellations (
    cancellation_id text COLLATE "C" PRIMARY KEY,
    imp_uid text COLLATE "C" NOT NULL REFERENCES payments (imp_uid),
    amount bigint NOT NULL CHECK (amount > 0),
    tax_free bigint NOT NULL DEFAULT 0,
    vat bigint,
    reason text NOT NULL,
    pg_tid text NOT NULL,
    receipt_url text,
    cancelled_at timestamptz NOT NULL
);
CREATE INDEX cancellations_of_payment ON cancellations (imp_uid, cancelled_at);

-- Facts from PGs: every deposit is booked once by the PG's own key, whatever it means to us (P16).
CREATE TABLE deposits (
    channel_id bigint NOT NULL REFERENCES channels (id),
    notice_key text COLLATE "C" NOT NULL,
    order_no text COLLATE "C" NOT NULL,
    imp_uid text COLLATE "C" REFERENCES payments (imp_uid),
    pg_tid text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    depositor text,
    deposited_at timestamptz NOT NULL,
    booked_at timestamptz NOT NULL,
    -- exact: it paid the payment. Everything else needs a person.
    meaning text NOT NULL CHECK (meaning IN ('exact', 'short', 'over', 'late', 'after_end', 'unknown_order')),
    PRIMARY KEY (channel_id, notice_key)
);
CREATE INDEX deposits_of_payment ON deposits (imp_uid);

CREATE FUNCTION keep_payment_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'payments are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'version of % must be %', OLD.imp_uid, OLD.version + 1
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.step, NEW.step, NEW.event) NOT IN (
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
        ('paid', 'cancelled', 'fully_cancelled')
    ) THEN
        RAISE EXCEPTION '% cannot happen to payment % that is % (to %)', NEW.event, OLD.imp_uid, OLD.step, NEW.step
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.cancelled < OLD.cancelled THEN
        RAISE EXCEPTION 'cancelled of % never shrinks', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.imp_uid, NEW.merchant_id, NEW.merchant_uid, NEW.channel_id, NEW.amount, NEW.currency,
        NEW.tax_free, NEW.pg_order_no, NEW.started_at)
       IS DISTINCT FROM
       (OLD.imp_uid, OLD.merchant_id, OLD.merchant_uid, OLD.channel_id, OLD.amount, OLD.currency,
        OLD.tax_free, OLD.pg_order_no, OLD.started_at) THEN
        RAISE EXCEPTION 'what payment % is about never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_rules BEFORE UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION keep_payment_rules();

CREATE FUNCTION write_payment_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO payment_events (imp_uid, version, event, step, cancelled)
    VALUES (NEW.imp_uid, NEW.version, NEW.event, NEW.step, NEW.cancelled);
    RETURN NULL;
END $$;
CREATE TRIGGER payment_history AFTER INSERT OR UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION write_payment_event();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payment_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cancellations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON deposits
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
