-- What is asked without moving money, in one view; acts at malls get the ladder that the others have; and
-- what nobody ever deletes cannot be deleted.

-- First, because what is planned is looked at below, too.
CREATE OR REPLACE FUNCTION keep_act_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('planned', 'asking') THEN
            RAISE EXCEPTION 'act % begins before it ends', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    -- One that is open may be looked at without an end.
    IF (OLD.state, NEW.state) NOT IN (
        ('planned', 'planned'), ('planned', 'asking'), ('planned', 'refused'),
        ('asking', 'asking'), ('asking', 'done'), ('asking', 'refused')) THEN
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

-- While the answer about an act is missing: when the worker asks again, and how often it did. The
-- merchant's act is in the audit log; the worker's tries are not.
DROP TRIGGER audited ON order_acts;
ALTER TABLE order_acts
    ADD COLUMN next_try_at timestamptz,
    ADD COLUMN tries integer NOT NULL DEFAULT 0;
UPDATE order_acts SET next_try_at = opened_at WHERE state IN ('planned', 'asking');
ALTER TABLE order_acts ADD CONSTRAINT order_acts_looked_at
    CHECK ((state IN ('planned', 'asking')) = (next_try_at IS NOT NULL));
CREATE INDEX order_acts_due ON order_acts (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON order_acts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('number');

-- What a PG was asked and has not answered, and that moves no money. Of an act that gives money
-- back its cancel tells, as long as that is open. A task about one of these is about its number.
CREATE VIEW open_questions AS
SELECT CASE state WHEN 'asking' THEN 'billing key' ELSE 'billing key to forget' END AS question, number,
       customer_uid AS about, CASE state WHEN 'asking' THEN asked_at ELSE ended_at END AS since, next_try_at, tries
  FROM billing_keys WHERE state = 'asking' OR (state IN ('replaced', 'deleted') AND forgotten_at IS NULL)
UNION ALL
SELECT 'cash receipt', number, COALESCE(imp_uid, merchant_uid), COALESCE(cancel_asked_at, asked_at), next_try_at, tries
  FROM cash_receipts WHERE next_try_at IS NOT NULL
UNION ALL
SELECT 'member', number, member_id, asked_at, next_try_at, tries FROM quick_questions WHERE next_try_at IS NOT NULL
UNION ALL
SELECT 'errand: ' || replace(kind, '_', ' '), number, imp_uid, asked_at, next_try_at, tries FROM errands WHERE next_try_at IS NOT NULL
UNION ALL
SELECT 'act: ' || act, number, rtrim(imp_uid || ' ' || subject), opened_at, next_try_at, tries
  FROM order_acts a WHERE next_try_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.kind = 'cancel' AND i.number = a.number AND i.closed_at IS NULL);
