-- A deposit that paid nothing and that the PG's console has given back: suspense is let go, and the
-- account counts as if it had never come.
CREATE TABLE returned_deposits (
    channel_id bigint NOT NULL,
    notice_key text COLLATE "C" NOT NULL,
    returned_at timestamptz NOT NULL,
    returned_by text NOT NULL CHECK (returned_by !~ '^\s*$'),
    note text NOT NULL CHECK (note !~ '^\s*$'),
    PRIMARY KEY (channel_id, notice_key),
    FOREIGN KEY (channel_id, notice_key) REFERENCES deposits
);

CREATE FUNCTION book_return() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given deposits;
BEGIN
    SELECT * INTO given FROM deposits WHERE channel_id = NEW.channel_id AND notice_key = NEW.notice_key;
    -- Whoever pays from it waits for us, or we for them.
    PERFORM 1 FROM payments WHERE imp_uid = given.imp_uid FOR NO KEY UPDATE;
    -- What is left in the payment's account may be less than what came: it has paid.
    IF given.meaning = 'exact' OR given.imp_uid IS NOT NULL AND given.amount > (
        SELECT sum(amount) FROM entries
         WHERE imp_uid = given.imp_uid AND currency = given.currency AND account = 'deposited') THEN
        RAISE EXCEPTION 'deposit % has paid payment %', NEW.notice_key, given.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO entries (imp_uid, account, amount, currency, channel_id, notice_key)
    VALUES (given.imp_uid, 'deposited', -given.amount, given.currency, NEW.channel_id, NEW.notice_key),
           (given.imp_uid, 'suspense', given.amount, given.currency, NEW.channel_id, NEW.notice_key);
    RETURN NULL;
END $$;
CREATE TRIGGER books AFTER INSERT ON returned_deposits FOR EACH ROW EXECUTE FUNCTION book_return();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON returned_deposits
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON returned_deposits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON returned_deposits
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('notice_key');
