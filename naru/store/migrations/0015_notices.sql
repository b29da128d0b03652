-- Notices of PGs that were signed and could not be read or booked, as they arrived: the PG stops
-- repeating them some day. One that was booked leaves a deposit and never a row here.
CREATE TABLE notices (
    channel_id bigint NOT NULL REFERENCES channels (id),
    -- SHA-256 of the body: what the PG sends again is the same notice.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- Headers and body.
    sealed bytea NOT NULL,
    data_key integer NOT NULL GENERATED ALWAYS AS (data_key_of(sealed)) STORED REFERENCES data_keys,
    received_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL,
    PRIMARY KEY (channel_id, digest)
);
CREATE INDEX notices_due ON notices (next_try_at);
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON notices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
