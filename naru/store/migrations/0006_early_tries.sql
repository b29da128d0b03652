-- A try that is brought forward (the address answers again, or is probed) keeps its place on the
-- ladder: when it fails, the delivery waits for the time it had before.
ALTER TABLE webhook_deliveries ADD COLUMN rung_at timestamptz;
