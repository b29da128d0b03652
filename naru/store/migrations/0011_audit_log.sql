-- Who changed what, when and from where: one row per change, in the transaction of the change, in a
-- chain of hashes per merchant (chain 0 is the installation's). P20.

CREATE TABLE audit_log (
    chain bigint NOT NULL,
    place bigint NOT NULL CHECK (place > 0),
    at timestamptz NOT NULL,
    who text NOT NULL,
    what text NOT NULL,
    address text,
    subject text NOT NULL,
    change text NOT NULL CHECK (change IN ('insert', 'update', 'delete')),
    before jsonb,
    after jsonb,
    hash bytea NOT NULL,
    PRIMARY KEY (chain, place)
);

-- Where each chain ends: without it the newest rows could be cut off unseen.
CREATE TABLE audit_heads (
    chain bigint PRIMARY KEY,
    place bigint NOT NULL,
    hash bytea NOT NULL
);

-- The ends of all chains, once a day. Its own row in chain 0 covers them, and that row's hash goes
-- to the worker's log, which is another place: who writes a whole chain anew cannot write that.
CREATE TABLE audit_anchors (
    day date PRIMARY KEY,
    heads jsonb NOT NULL
);

CREATE FUNCTION audit_hash(previous bytea, entry audit_log) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$
    SELECT sha256(previous || convert_to(jsonb_build_array(
        entry.chain, entry.place, extract(epoch FROM entry.at)::text, entry.who, entry.what,
        entry.address, entry.subject, entry.change, entry.before, entry.after)::text, 'UTF8'))
$$;

-- Everything that is wrong in any chain, in words: what `naru log verify` and `naru audit` read.
CREATE VIEW audit_log_broken AS
SELECT l.chain, l.place, l.at,
       CASE WHEN l.place > 1 AND b.place IS NULL THEN 'the row before it is missing'
            ELSE 'its hash does not follow from it and the row before' END AS why
  FROM audit_log l LEFT JOIN audit_log b ON b.chain = l.chain AND b.place = l.place - 1
 WHERE (l.place > 1 AND b.place IS NULL) OR l.hash <> audit_hash(coalesce(b.hash, ''), l)
UNION ALL
SELECT chain, coalesce(h.place, e.place), NULL, 'the chain does not end where its head says'
  FROM audit_heads h
  FULL JOIN (SELECT DISTINCT ON (chain) chain, place, hash FROM audit_log ORDER BY chain, place DESC) e USING (chain)
 WHERE (h.place, h.hash) IS DISTINCT FROM (coalesce(e.place, 0), coalesce(e.hash, ''))
UNION ALL
SELECT a.chain, a.place, NULL, 'it is not what the anchor of ' || a.day || ' says'
  FROM (SELECT day, key::bigint AS chain, (value ->> 0)::bigint AS place, decode(value ->> 1, 'hex') AS hash
          FROM audit_anchors, jsonb_each(heads)) a
  LEFT JOIN audit_log l USING (chain, place)
 WHERE l.hash IS DISTINCT FROM a.hash
UNION ALL
SELECT 0, NULL, NULL, 'the anchor of ' || a.day || ' is not the one that was logged'
  FROM audit_anchors a
 WHERE NOT EXISTS (
     SELECT FROM audit_log l WHERE l.chain = 0 AND l.subject = 'audit_anchors ' || a.day AND l.after -> 'heads' = a.heads);

-- What the log keeps of one column: of secrets and of people's data the fact that it changed; of an
-- object of secrets the names of the fields that changed.
CREATE FUNCTION audit_value(name text, value jsonb, other jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    IF value = 'null'
       OR (name !~ '(secret|password|sealed|_(hash|nonce|index)$|^(settings|request|body)$|^buyer_|^vbank_(num|holder)$|^card_number$|^custom_data$|^user_agent$|reason$|^depositor$)'
           AND left(value #>> '{}', 2) <> '\x') THEN
        RETURN value;
    END IF;
    IF jsonb_typeof(value) = 'object' THEN
        RETURN (SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') FROM jsonb_each(value) AS field (key, inner_value)
                 WHERE jsonb_typeof(other) IS DISTINCT FROM 'object' OR inner_value IS DISTINCT FROM other -> key);
    END IF;
    RETURN '"(hidden)"';
END $$;

-- Deferred to the commit, so that a chain is held for as short as can be, and last of all locks.
-- The argument is the column that names the row.
CREATE FUNCTION write_audit_log() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    becomes jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    known jsonb := coalesce(becomes, was);
    acting jsonb := convert_from(decode(nullif(current_setting('naru.acting', true), ''), 'hex'), 'UTF8')::jsonb;
    head audit_heads;
    entry audit_log;
BEGIN
    IF was = becomes THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_object_agg(key, audit_value(key, value, becomes -> key)) INTO entry.before
      FROM jsonb_each(was) WHERE value IS DISTINCT FROM becomes -> key;
    SELECT jsonb_object_agg(key, audit_value(key, value, was -> key)) INTO entry.after
      FROM jsonb_each(becomes) WHERE value IS DISTINCT FROM was -> key;

    entry.chain := coalesce(
        (known ->> 'merchant_id')::bigint,
        CASE WHEN TG_TABLE_NAME = 'merchants' THEN (known ->> 'id')::bigint END,
        (SELECT merchant_id FROM payments WHERE imp_uid = known ->> 'imp_uid'),
        0);
    entry.who := coalesce(
        acting ->> 'who',
        'key ' || (SELECT imp_key FROM api_keys WHERE token_hash = decode(acting ->> 'token', 'hex')),
        CASE WHEN acting IS NULL AND current_setting('application_name') = 'naru' THEN 'gateway'
             WHEN acting IS NULL THEN 'database user ' || session_user
             ELSE 'a key whose token has ended' END);
    entry.what := coalesce(acting ->> 'what', CASE WHEN entry.who = 'gateway' THEN 'by itself' ELSE 'by hand' END);
    entry.address := coalesce(acting ->> 'address', CASE WHEN acting IS NULL THEN host(inet_client_addr()) END);
    entry.subject := TG_TABLE_NAME || ' ' || (known ->> TG_ARGV[0]);
    entry.change := lower(TG_OP);

    LOOP
        SELECT * INTO head FROM audit_heads WHERE chain = entry.chain FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO audit_heads VALUES (entry.chain, 0, '') ON CONFLICT DO NOTHING;
    END LOOP;
    entry.place := head.place + 1;
    entry.at := clock_timestamp();
    entry.hash := audit_hash(head.hash, entry);
    INSERT INTO audit_log SELECT entry.*;
    UPDATE audit_heads SET place = entry.place, hash = entry.hash WHERE chain = entry.chain;
    RETURN NULL;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER by_trigger_only BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER by_trigger_only BEFORE INSERT OR UPDATE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();
CREATE TRIGGER append_only BEFORE DELETE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_anchors
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Settings: whoever changes them.
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON merchants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('id');
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON user_codes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('user_code');
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('imp_key');
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON channels
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('channel_key');
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON prepared
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('merchant_uid');
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON data_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('id');
CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON audit_anchors
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('day');

-- Money: what a merchant or an operator asks for. What buyers, PGs and our own worker do has its
-- history in payment_events, and pays nothing for this log.
CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON intents
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('imp_uid');
CREATE CONSTRAINT TRIGGER audited AFTER UPDATE OR DELETE ON webhook_deliveries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('id');
CREATE CONSTRAINT TRIGGER audited AFTER UPDATE ON operator_tasks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('naru.acting', true) <> '' OR current_setting('application_name') <> 'naru')
    EXECUTE FUNCTION write_audit_log('id');

-- Money: what somebody writes by hand.
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER UPDATE ON intents
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('imp_uid');
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT OR UPDATE ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('imp_uid');
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT ON cancellations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('cancellation_id');
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT ON deposits
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('notice_key');
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER INSERT ON webhook_deliveries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('id');
