-- An address may be longer than what fits into an index, and a payment must never fail because of it.
-- The webhook id is made from payment, version and address: its uniqueness says all that is needed.
ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_imp_uid_version_url_key;
DROP INDEX webhook_deliveries_line;
CREATE INDEX webhook_deliveries_line ON webhook_deliveries (imp_uid, version) WHERE state = 'waiting';
DROP INDEX webhook_deliveries_to;
CREATE INDEX webhook_deliveries_to ON webhook_deliveries (merchant_id, id) WHERE state = 'waiting';
