-- What PGs were told about orders: product orders of a mall, points, decisions, deliveries.
-- A row is committed before the PG is told. Acts that give money back are cancels as well: their
-- `number` is the number of the cancel, and the money stands in intents and cancellations alone.
--   planned  written down, not asked (acts that give money back begin so)
--   asking   the PG may have been asked          done, refused  its word
CREATE TABLE order_acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    imp_uid text COLLATE "C" NOT NULL REFERENCES payments (imp_uid),
    -- One request of the merchant may be about several product orders.
    round text COLLATE "C" NOT NULL,
    number text COLLATE "C" NOT NULL UNIQUE,
    -- A product order; empty: the order as a whole.
    subject text COLLATE "C" NOT NULL,
    act text NOT NULL,
    -- What was told, as a keyed hash: it may name a person, and is only ever compared.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    state text NOT NULL CHECK (state IN ('planned', 'asking', 'done', 'refused')),
    opened_at timestamptz NOT NULL,
    ended_at timestamptz,
    code text,
    message text,
    CHECK ((state IN ('done', 'refused')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'refused') = (code IS NOT NULL AND message IS NOT NULL)),
    CHECK (state <> 'planned' OR act IN ('cancel', 'approve-cancel', 'approve-return'))
);
-- One at a time.
CREATE UNIQUE INDEX one_open_act ON order_acts (imp_uid, subject) WHERE state IN ('planned', 'asking');
CREATE INDEX acts_of_round ON order_acts (round);

CREATE FUNCTION keep_act_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('planned', 'asking') THEN
            RAISE EXCEPTION 'act % begins before it ends', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.state, NEW.state) NOT IN (
        ('planned', 'asking'), ('planned', 'refused'), ('asking', 'done'), ('asking', 'refused')) THEN
        RAISE EXCEPTION 'act % is %, and will not be %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.imp_uid, NEW.round, NEW.number, NEW.subject, NEW.act, NEW.fingerprint, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.imp_uid, OLD.round, OLD.number, OLD.subject, OLD.act, OLD.fingerprint, OLD.opened_at) THEN
        RAISE EXCEPTION 'what act % is about never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER act_rules BEFORE INSERT OR UPDATE ON order_acts
    FOR EACH ROW EXECUTE FUNCTION keep_act_rules();
CREATE TRIGGER append_only BEFORE DELETE ON order_acts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON order_acts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE ON order_acts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('number');
