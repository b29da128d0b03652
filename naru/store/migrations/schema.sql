-- What all migrations add up to. Written by tools/dump_schema.py; do not edit.

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

CREATE FUNCTION keep_payment_birth() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.step <> 'opened' OR NEW.event <> 'opened' OR NEW.version <> 1 OR NEW.flagged
       OR NEW.pg_tid IS NOT NULL OR NEW.paid_at IS NOT NULL THEN
        RAISE EXCEPTION 'payment % must begin as opened', NEW.imp_uid
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
        OLD.amount, OLD.currency, OLD.tax_free, OLD.vat, OLD.confirm_url, OLD.pg_order_no, OLD.started_at) THEN
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
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT channels_kind_check CHECK ((kind = ANY (ARRAY['payment'::text, 'api_payment'::text, 'certification'::text])))
);

ALTER TABLE channels ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME channels_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE deposits (
    channel_id bigint NOT NULL,
    notice_key text NOT NULL COLLATE pg_catalog."C",
    order_no text NOT NULL COLLATE pg_catalog."C",
    imp_uid text COLLATE pg_catalog."C",
    pg_tid text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    depositor text,
    deposited_at timestamp with time zone NOT NULL,
    booked_at timestamp with time zone NOT NULL,
    meaning text NOT NULL,
    CONSTRAINT deposits_amount_check CHECK ((amount > 0)),
    CONSTRAINT deposits_meaning_check CHECK ((meaning = ANY (ARRAY['exact'::text, 'short'::text, 'over'::text, 'late'::text, 'after_end'::text, 'unknown_order'::text])))
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
    CONSTRAINT intents_amount_check CHECK ((amount > 0)),
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
    webhook_secret text,
    confirm_url text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT merchants_name_check CHECK ((name <> ''::text)),
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

CREATE TABLE payment_events (
    imp_uid text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    event text NOT NULL,
    step text NOT NULL,
    cancelled bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
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
    buyer_name text,
    buyer_email text,
    buyer_tel text,
    buyer_addr text,
    buyer_postcode text,
    custom_data text,
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
    request jsonb DEFAULT '{}'::jsonb NOT NULL,
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
    vbank_num text,
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
    CONSTRAINT payments_amount_check CHECK (((amount >= 1) AND (amount <= '1000000000000'::bigint))),
    CONSTRAINT payments_check CHECK (((tax_free >= 0) AND (tax_free <= amount))),
    CONSTRAINT payments_check1 CHECK (((vat >= 0) AND (vat <= amount))),
    CONSTRAINT payments_check2 CHECK (((cancelled >= 0) AND (cancelled <= amount))),
    CONSTRAINT payments_check3 CHECK (((cancelled = 0) OR (step = ANY (ARRAY['paid'::text, 'cancelled'::text])))),
    CONSTRAINT payments_check4 CHECK (((step = 'cancelled'::text) = (cancelled = amount))),
    CONSTRAINT payments_check5 CHECK (((step <> ALL (ARRAY['paid'::text, 'cancelled'::text])) OR ((paid_at IS NOT NULL) AND (pg_tid IS NOT NULL)))),
    CONSTRAINT payments_check6 CHECK (((step <> 'failed'::text) OR ((failed_at IS NOT NULL) AND (fail_reason IS NOT NULL)))),
    CONSTRAINT payments_check7 CHECK (((step <> 'waiting_deposit'::text) OR ((vbank_num IS NOT NULL) AND (vbank_due IS NOT NULL)))),
    CONSTRAINT payments_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payments_imp_uid_check CHECK ((imp_uid ~ '^imps?_[0-9]{12}$'::text)),
    CONSTRAINT payments_merchant_uid_check CHECK ((merchant_uid ~ '^[^[:cntrl:]]{1,40}$'::text)),
    CONSTRAINT payments_step_check CHECK ((step = ANY (ARRAY['opened'::text, 'approving'::text, 'waiting_deposit'::text, 'paid'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT payments_surface_check CHECK ((surface = ANY (ARRAY['pc'::text, 'mobile'::text, 'api'::text]))),
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

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (imp_key);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY cancellations
    ADD CONSTRAINT cancellations_pkey PRIMARY KEY (cancellation_id);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_channel_key_key UNIQUE (channel_key);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_merchant_id_pg_code_mid_kind_key UNIQUE (merchant_id, pg_code, mid, kind);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (id);

ALTER TABLE ONLY deposits
    ADD CONSTRAINT deposits_pkey PRIMARY KEY (channel_id, notice_key);

ALTER TABLE ONLY intents
    ADD CONSTRAINT intents_kind_number_key UNIQUE (kind, number);

ALTER TABLE ONLY intents
    ADD CONSTRAINT intents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY merchants
    ADD CONSTRAINT merchants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY operator_tasks
    ADD CONSTRAINT operator_tasks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payment_events
    ADD CONSTRAINT payment_events_pkey PRIMARY KEY (imp_uid, version);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_pg_order_no_key UNIQUE (pg_order_no);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (imp_uid);

ALTER TABLE ONLY prepared
    ADD CONSTRAINT prepared_pkey PRIMARY KEY (merchant_id, merchant_uid);

ALTER TABLE ONLY user_codes
    ADD CONSTRAINT user_codes_pkey PRIMARY KEY (user_code);

ALTER TABLE ONLY webhook_attempts
    ADD CONSTRAINT webhook_attempts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_webhook_id_key UNIQUE (webhook_id);

CREATE INDEX cancellations_of_payment ON cancellations USING btree (imp_uid, cancelled_at);

CREATE INDEX deposits_of_payment ON deposits USING btree (imp_uid);

CREATE INDEX intents_to_settle ON intents USING btree (next_try_at) WHERE (state = ANY (ARRAY['open'::text, 'unknown'::text, 'undoing'::text]));

CREATE UNIQUE INDEX one_approval_per_order ON payments USING btree (merchant_id, merchant_uid) WHERE ((step = ANY (ARRAY['approving'::text, 'paid'::text, 'cancelled'::text])) AND (NOT flagged));

CREATE UNIQUE INDEX one_default_channel ON channels USING btree (merchant_id, kind) WHERE is_default;

CREATE UNIQUE INDEX one_open_intent ON intents USING btree (imp_uid) WHERE (state = ANY (ARRAY['open'::text, 'unknown'::text, 'undoing'::text]));

CREATE UNIQUE INDEX one_open_task ON operator_tasks USING btree (kind, subject) WHERE (closed_at IS NULL);

CREATE INDEX payments_approving ON payments USING btree (approving_at) WHERE (step = 'approving'::text);

CREATE INDEX payments_by_cancelled ON payments USING btree (merchant_id, cancelled_at DESC) WHERE (cancelled > 0);

CREATE INDEX payments_by_failed ON payments USING btree (merchant_id, failed_at DESC) WHERE (step = 'failed'::text);

CREATE INDEX payments_by_order ON payments USING btree (merchant_id, merchant_uid, started_at DESC);

CREATE INDEX payments_by_paid ON payments USING btree (merchant_id, paid_at DESC) WHERE (step = 'paid'::text);

CREATE INDEX payments_by_start ON payments USING btree (merchant_id, started_at DESC);

CREATE INDEX tasks_of_payment ON operator_tasks USING btree (imp_uid) WHERE (imp_uid IS NOT NULL);

CREATE INDEX tasks_to_tell ON operator_tasks USING btree (next_alert_at) WHERE (alerted_at IS NULL);

CREATE INDEX webhook_attempts_of_delivery ON webhook_attempts USING btree (delivery_id, id);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries USING btree (next_at) WHERE (state = 'waiting'::text);

CREATE INDEX webhook_deliveries_line ON webhook_deliveries USING btree (imp_uid, version) WHERE (state = 'waiting'::text);

CREATE INDEX webhook_deliveries_of_merchant ON webhook_deliveries USING btree (merchant_id, id);

CREATE INDEX webhook_deliveries_to ON webhook_deliveries USING btree (merchant_id, id) WHERE (state = 'waiting'::text);

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON cancellations FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON deposits FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON webhook_attempts FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER by_trigger_only BEFORE INSERT ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();

CREATE CONSTRAINT TRIGGER cancellations_add_up AFTER INSERT ON cancellations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION compare_cancellations();

CREATE CONSTRAINT TRIGGER cancellations_add_up AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.cancelled IS DISTINCT FROM old.cancelled)) EXECUTE FUNCTION compare_cancellations();

CREATE TRIGGER intent_rules BEFORE INSERT OR DELETE OR UPDATE ON intents FOR EACH ROW EXECUTE FUNCTION keep_intent_rules();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cancellations FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON deposits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON intents FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON operator_tasks FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payment_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payments FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER never_emptied BEFORE TRUNCATE ON webhook_attempts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER payment_birth BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION keep_payment_birth();

CREATE TRIGGER payment_history AFTER INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION write_payment_event();

CREATE TRIGGER payment_rules BEFORE DELETE OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION keep_payment_rules();

CREATE TRIGGER task_rules BEFORE DELETE OR UPDATE ON operator_tasks FOR EACH ROW EXECUTE FUNCTION keep_task_rules();

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY cancellations
    ADD CONSTRAINT cancellations_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY channels
    ADD CONSTRAINT channels_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY deposits
    ADD CONSTRAINT deposits_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY deposits
    ADD CONSTRAINT deposits_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY intents
    ADD CONSTRAINT intents_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY operator_tasks
    ADD CONSTRAINT operator_tasks_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY payment_events
    ADD CONSTRAINT payment_events_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels(id);

ALTER TABLE ONLY payments
    ADD CONSTRAINT payments_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY prepared
    ADD CONSTRAINT prepared_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY user_codes
    ADD CONSTRAINT user_codes_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);

ALTER TABLE ONLY webhook_attempts
    ADD CONSTRAINT webhook_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES webhook_deliveries(id);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_imp_uid_fkey FOREIGN KEY (imp_uid) REFERENCES payments(imp_uid);

ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants(id);
