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
