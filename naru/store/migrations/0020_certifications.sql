-- Certifications (본인인증): who a person is, sealed, and deletable at the merchant's word.

CREATE TABLE certifications (
    imp_uid text COLLATE "C" PRIMARY KEY CHECK (imp_uid ~ '^imp_[0-9]{12}$'),
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    channel_id bigint NOT NULL REFERENCES channels (id),
    merchant_uid text COLLATE "C",
    pg_code text NOT NULL,
    sandbox boolean NOT NULL,
    -- Our own name for it at the company.
    number text COLLATE "C" NOT NULL UNIQUE,
    stage text NOT NULL CHECK (stage IN ('opened', 'asking', 'waiting', 'certified', 'failed', 'deleted')),
    -- Tries of a code, each spent before the company is asked.
    tries integer NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    window_mode text CHECK (window_mode IN ('popup', 'redirect')),
    window_secret_hash bytea,
    page_origin text,
    return_url text,
    request_id text,
    language text NOT NULL DEFAULT 'ko',
    mobile boolean NOT NULL DEFAULT false,
    min_age integer CHECK (min_age BETWEEN 0 AND 150),
    opened_at timestamptz NOT NULL,
    -- Since then the company may hold a result that was not read.
    promised_at timestamptz,
    next_look_at timestamptz,
    certified_at timestamptz,
    pg_tid text,
    fail_code text,
    fail_reason text,
    -- The person, the page that asked and what it filled in beforehand.
    sealed bytea,
    data_key integer GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    CHECK ((sealed IS NULL) = (data_key IS NULL)),
    CHECK ((window_mode IS NULL) = (window_secret_hash IS NULL)),
    CHECK ((stage = 'certified') = (sealed IS NOT NULL AND certified_at IS NOT NULL AND pg_tid IS NOT NULL)),
    CHECK (stage <> 'failed' OR (fail_code IS NOT NULL AND fail_reason IS NOT NULL)),
    -- Nobody's data lie in what did not succeed, or was deleted.
    CHECK (stage NOT IN ('failed', 'deleted') OR sealed IS NULL),
    CHECK (stage <> 'deleted' OR (merchant_uid IS NULL AND page_origin IS NULL AND return_url IS NULL))
);
CREATE INDEX certifications_unfinished ON certifications (coalesce(next_look_at, opened_at))
    WHERE stage IN ('opened', 'asking', 'waiting');
CREATE INDEX certifications_of_key ON certifications (data_key);

CREATE FUNCTION guard_certification() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER guarded BEFORE INSERT OR UPDATE ON certifications
    FOR EACH ROW EXECUTE FUNCTION guard_certification();
CREATE TRIGGER append_only BEFORE DELETE ON certifications
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON certifications
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- What the merchant's server asks for, and what somebody writes by hand. What persons do in windows
-- is theirs.
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE ON certifications
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('imp_uid');
