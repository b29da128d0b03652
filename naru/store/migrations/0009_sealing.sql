-- Secrets and personal data are sealed (naru/store/seal.py, docs/decisions/0012-sealing.md). What is
-- there already goes through a table of this transaction, from which store/migrate.py seals it
-- before the commit. Personal data of payments and deposits lie beside their rows: those rows never
-- change without a step, and sealing anew with another key is none.

CREATE TABLE data_keys (
    id integer PRIMARY KEY CHECK (id > 0),
    sealed bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- The data key that a blob names; null for what is no blob.
CREATE FUNCTION data_key_of(sealed bytea) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(sealed) >= 33 AND get_byte(sealed, 0) = 1
            THEN (get_byte(sealed, 1) << 24) | (get_byte(sealed, 2) << 16)
                 | (get_byte(sealed, 3) << 8) | get_byte(sealed, 4) END;

-- By the foreign keys, a data key that still seals something cannot be removed, not even by hand.
CREATE TABLE payment_secrets (
    imp_uid text COLLATE "C" PRIMARY KEY REFERENCES payments,
    sealed bytea NOT NULL,
    data_key integer NOT NULL GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys
);
CREATE TABLE deposit_secrets (
    channel_id bigint NOT NULL,
    notice_key text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    data_key integer NOT NULL GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    PRIMARY KEY (channel_id, notice_key),
    FOREIGN KEY (channel_id, notice_key) REFERENCES deposits
);

CREATE TEMPORARY TABLE unsealed (place text, row_id text, plain jsonb) ON COMMIT DROP;
INSERT INTO unsealed
SELECT 'channels.settings', channel_key, settings FROM channels WHERE settings <> '{}'
UNION ALL
SELECT 'merchants.webhook_secret', id::text, to_jsonb(webhook_secret) FROM merchants WHERE webhook_secret IS NOT NULL
UNION ALL
SELECT 'payment_secrets.sealed', imp_uid, jsonb_strip_nulls(jsonb_build_object('name', buyer_name, 'email', buyer_email,
       'tel', buyer_tel, 'addr', buyer_addr, 'postcode', buyer_postcode, 'custom_data', custom_data,
       'account', vbank_num)) || jsonb_build_object('request', request)
  FROM payments
UNION ALL
SELECT 'deposit_secrets.sealed', channel_id || '/' || notice_key, to_jsonb(depositor)
  FROM deposits WHERE depositor IS NOT NULL;

ALTER TABLE channels DROP COLUMN settings;
ALTER TABLE channels
    ADD COLUMN settings bytea,
    ADD COLUMN data_key integer GENERATED ALWAYS AS (data_key_of(settings)) STORED REFERENCES data_keys,
    ADD CONSTRAINT channels_sealed CHECK ((settings IS NULL) = (data_key IS NULL));
ALTER TABLE merchants DROP COLUMN webhook_secret;
ALTER TABLE merchants
    ADD COLUMN webhook_secret bytea,
    ADD COLUMN data_key integer GENERATED ALWAYS AS (data_key_of(webhook_secret)) STORED REFERENCES data_keys,
    ADD CONSTRAINT merchants_sealed CHECK ((webhook_secret IS NULL) = (data_key IS NULL));
ALTER TABLE deposits DROP COLUMN depositor;
ALTER TABLE payments
    DROP COLUMN buyer_name,
    DROP COLUMN buyer_email,
    DROP COLUMN buyer_tel,
    DROP COLUMN buyer_addr,
    DROP COLUMN buyer_postcode,
    DROP COLUMN custom_data,
    DROP COLUMN request,
    DROP COLUMN vbank_num,
    ADD CONSTRAINT payments_account CHECK (step <> 'waiting_deposit' OR (vbank_code IS NOT NULL AND vbank_due IS NOT NULL));

-- The blob guards itself; where it lies, and that it lies there, is guarded here.
CREATE FUNCTION keep_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(NEW) - 'sealed' - 'data_key' = to_jsonb(OLD) - 'sealed' - 'data_key' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of % stay where they are', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER sealed_stays BEFORE UPDATE OR DELETE ON payment_secrets FOR EACH ROW EXECUTE FUNCTION keep_sealed();
CREATE TRIGGER sealed_stays BEFORE UPDATE OR DELETE ON deposit_secrets FOR EACH ROW EXECUTE FUNCTION keep_sealed();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payment_secrets FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON deposit_secrets FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
