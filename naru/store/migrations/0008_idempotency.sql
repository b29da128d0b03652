-- Requests that carry an Idempotency-Key: what was asked, what was begun, what was answered.
-- One row per (merchant, method, path, key); its insertion is the claim, `attempt` fences off a try
-- that was taken over, `effect` is written in the transaction that begins the effect.
CREATE TABLE idempotency (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    method text NOT NULL,
    path text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL CHECK (key ~ '^[!-~]{1,255}$'),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    attempt integer NOT NULL DEFAULT 1,
    lease_until timestamptz NOT NULL,
    effect text COLLATE "C",
    status smallint,
    headers jsonb,
    body bytea,
    expires_at timestamptz NOT NULL,
    UNIQUE (merchant_id, method, path, key),
    CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (headers IS NULL))
);

CREATE INDEX idempotency_expired ON idempotency (expires_at);

-- What was asked, begun and answered stays, whoever writes the UPDATE.
CREATE FUNCTION keep_idempotency_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.merchant_id <> OLD.merchant_id OR NEW.method <> OLD.method OR NEW.path <> OLD.path
       OR NEW.key <> OLD.key OR NEW.fingerprint <> OLD.fingerprint THEN
        RAISE EXCEPTION 'idempotency %: what was asked does not change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.effect IS NOT NULL AND NEW.effect IS DISTINCT FROM OLD.effect THEN
        RAISE EXCEPTION 'idempotency %: its effect has begun', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status IS NOT NULL
       AND (NEW.status, NEW.headers, NEW.body) IS DISTINCT FROM (OLD.status, OLD.headers, OLD.body) THEN
        RAISE EXCEPTION 'idempotency %: it is answered', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER idempotency_rules BEFORE UPDATE ON idempotency
    FOR EACH ROW EXECUTE FUNCTION keep_idempotency_rules();

-- How often something was done in a window of time, over all processes. Nothing is lost when a
-- crash empties it, so it is kept out of the log that every commit waits for.
CREATE UNLOGGED TABLE limits (
    name text COLLATE "C" PRIMARY KEY,
    spent integer NOT NULL,
    ends_at timestamptz NOT NULL
);

CREATE INDEX limits_ended ON limits (ends_at);
