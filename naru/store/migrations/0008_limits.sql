-- How often something was done in a window of time, over all processes. Nothing is lost when a
-- crash empties it, so it is kept out of the log that every commit waits for.
CREATE UNLOGGED TABLE limits (
    name text COLLATE "C" PRIMARY KEY,
    spent integer NOT NULL,
    ends_at timestamptz NOT NULL
);

CREATE INDEX limits_ended ON limits (ends_at);
