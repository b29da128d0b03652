-- A tier (하위 상점) is a merchant that an agency's token may act for, by its three characters. All else
-- about it (channels, payments, webhooks, settings) is a merchant's, so nothing else knows of tiers.
CREATE TABLE tiers (
    merchant_id bigint PRIMARY KEY REFERENCES merchants (id),
    agency_id bigint NOT NULL REFERENCES merchants (id),
    tier_code text NOT NULL COLLATE "C" CHECK (tier_code ~ '^[A-Z0-9]{3}$'),
    added_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (agency_id, tier_code),
    CHECK (merchant_id <> agency_id)
);
-- Whose a merchant's payments are does not change behind its back.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tiers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON tiers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT ON tiers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('tier_code');

-- Quick pay (KCP 퀵페이): what a merchant announced of an order (거래 사전등록). Who the customer is at
-- the network, and the word by which the shop will be known again, are sealed.
CREATE TABLE quick_prepared (
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    merchant_uid text COLLATE "C" NOT NULL CHECK (merchant_uid ~ '^[^[:cntrl:]]{1,40}$'),
    btid text NOT NULL,
    sealed bytea NOT NULL,
    data_key integer NOT NULL GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, merchant_uid)
);
CREATE INDEX quick_prepared_of_key ON quick_prepared (data_key);
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON quick_prepared
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON quick_prepared
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('merchant_uid');

-- What the PG is asked about a member, by our own number: no money moves. One that was not answered
-- stays `asking`, and the next call asks it again by the same number.
CREATE TABLE quick_questions (
    number text COLLATE "C" PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    channel_id bigint NOT NULL REFERENCES channels (id),
    kind text NOT NULL CHECK (kind IN ('delete_member', 'release_fido')),
    member_id text COLLATE "C" NOT NULL,
    partner_type text NOT NULL DEFAULT '',
    partner_subtype text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'asking' CHECK (state IN ('asking', 'done', 'refused')),
    fail_code text,
    fail_reason text,
    inserted_at timestamptz,
    updated_at timestamptz,
    asked_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT quick_questions_ended CHECK ((state = 'asking') = (ended_at IS NULL)
                                            AND (state = 'refused') = (fail_code IS NOT NULL)
                                            AND (state = 'done') = (inserted_at IS NOT NULL))
);
CREATE UNIQUE INDEX one_quick_question ON quick_questions (channel_id, kind, member_id) WHERE state = 'asking';

CREATE FUNCTION keep_quick_questions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'asking'
       OR (NEW.number, NEW.merchant_id, NEW.channel_id, NEW.kind, NEW.member_id, NEW.asked_at)
          IS DISTINCT FROM (OLD.number, OLD.merchant_id, OLD.channel_id, OLD.kind, OLD.member_id, OLD.asked_at) THEN
        RAISE EXCEPTION 'question % is ended once, and never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quick_question_rules BEFORE UPDATE OR DELETE ON quick_questions
    FOR EACH ROW EXECUTE FUNCTION keep_quick_questions();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON quick_questions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE ON quick_questions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('number');
