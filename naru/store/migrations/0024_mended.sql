-- What strangers found: cards checked side by side, members of a shared MID, questions that nobody asks
-- again, watches that a hand could put off.

-- Of one key one check at a time: the others hear what it found.
ALTER TABLE card_checks ADD COLUMN key_number text COLLATE "C" REFERENCES billing_keys (number);
CREATE UNIQUE INDEX one_check_of_key ON card_checks (key_number) WHERE ended_at IS NULL;
CREATE INDEX checks_of_key ON card_checks (key_number);

-- Two names that look alike must be the same: naru/domain/ids.py knows the other blanks.
ALTER TABLE billing_keys ADD CONSTRAINT billing_keys_seen
    CHECK (customer_uid ~ '^[^ ](.*[^ ])?$');

-- Which member of quick pay a payment is of: written with its claim, true once it is paid.
CREATE TABLE quick_payments (
    imp_uid text COLLATE "C" PRIMARY KEY REFERENCES payments (imp_uid),
    member_id text COLLATE "C" NOT NULL
);
CREATE INDEX payments_of_member ON quick_payments (member_id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON quick_payments
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON quick_payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- While the answer about a member is missing: when the worker asks again, how often it did, and the
-- number of its lease. The merchant's act is in the audit log; the worker's tries are not.
DROP TRIGGER audited ON quick_questions;
ALTER TABLE quick_questions
    ADD COLUMN next_try_at timestamptz,
    ADD COLUMN tries integer NOT NULL DEFAULT 0,
    ADD COLUMN fence integer NOT NULL DEFAULT 0;
UPDATE quick_questions SET next_try_at = asked_at WHERE state = 'asking';
ALTER TABLE quick_questions ADD CONSTRAINT quick_questions_looked_at
    CHECK ((state = 'asking') = (next_try_at IS NOT NULL));
CREATE INDEX quick_questions_due ON quick_questions (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OF state ON quick_questions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('number');

-- As of a doubt: a look is put off by a day at the most, and an hour for clocks.
ALTER TABLE undone_watches ADD COLUMN looked_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT undone_watches_pace CHECK (next_look_at <= looked_at + interval '25 hours');
