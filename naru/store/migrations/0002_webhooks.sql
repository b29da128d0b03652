-- Webhooks: what merchants are told, and every attempt to tell it. Rows are the truth; jobs only wake us.

CREATE TABLE webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The id that the merchant sees; the same on every attempt.
    webhook_id text COLLATE "C" NOT NULL UNIQUE,
    merchant_id bigint NOT NULL REFERENCES merchants (id),
    imp_uid text COLLATE "C" NOT NULL REFERENCES payments (imp_uid),
    -- The payment's version that this webhook tells of: the order in which it is first sent.
    version integer NOT NULL,
    status text NOT NULL,
    cancellation_id text,
    url text NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL,
    mode text NOT NULL CHECK (mode IN ('ladder', 'v1', 'once')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'parked')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    -- Who sends holds a lease and a number; a sender that slept past its lease finds another number.
    leased_until timestamptz,
    fence integer NOT NULL DEFAULT 0,
    announced_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    UNIQUE (imp_uid, version, url),
    CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_line ON webhook_deliveries (imp_uid, url, version) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_to ON webhook_deliveries (merchant_id, url) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_of_merchant ON webhook_deliveries (merchant_id, id);

-- Append-only. The request's body is the delivery's: the same bytes each time.
CREATE TABLE webhook_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES webhook_deliveries (id),
    began_at timestamptz NOT NULL,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    request_headers jsonb NOT NULL,
    answer_status integer,
    answer_body text,
    error text,
    CHECK ((answer_status IS NULL) <> (error IS NULL))
);
CREATE INDEX webhook_attempts_of_delivery ON webhook_attempts (delivery_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON webhook_attempts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
