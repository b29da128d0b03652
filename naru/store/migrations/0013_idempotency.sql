-- Requests that carry an Idempotency-Key: what was asked, what was begun, what was answered.
-- One row per (merchant, method, path, key); its insertion is the claim, `attempt` fences off a try
-- that was taken over, `effect` is written in the transaction that begins the effect. What was asked
-- (32 bytes of it, its fingerprint) and, once there is one, the answer's body lie in one sealed blob.
CREATE TABLE idempotency (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    method text NOT NULL,
    path text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL CHECK (key ~ '^[!-~]{1,255}$'),
    sealed bytea NOT NULL,
    data_key integer NOT NULL GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    attempt integer NOT NULL DEFAULT 1,
    lease_until timestamptz NOT NULL,
    effect text COLLATE "C",
    status smallint,
    headers jsonb,
    expires_at timestamptz NOT NULL,
    UNIQUE (merchant_id, method, path, key),
    CHECK ((status IS NULL) = (headers IS NULL))
);

CREATE INDEX idempotency_expired ON idempotency (expires_at);

-- What was asked, begun and answered stays, whoever writes the UPDATE. The blob guards itself: it
-- opens in its own row only.
CREATE FUNCTION keep_idempotency_rules() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER idempotency_rules BEFORE UPDATE ON idempotency
    FOR EACH ROW EXECUTE FUNCTION keep_idempotency_rules();

-- What may be changed row by row, with a row in the audit log or under a rule, is never emptied at once:
-- TRUNCATE passes every rule of a row.
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON idempotency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON prepared
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON merchants
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON user_codes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON channels
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON data_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
