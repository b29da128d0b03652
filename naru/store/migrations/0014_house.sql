-- Which database this is, and whether it may act. A restored copy says what was true when it was
-- made; until a person has compared it with the PGs' books it is fenced (decision 0016).

CREATE TABLE house (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL,
    -- Where the house stands: PostgreSQL's cluster and its timeline, the database, this table.
    cluster text NOT NULL,
    timeline bigint NOT NULL,
    database bigint NOT NULL,
    place bigint NOT NULL,
    fenced_at timestamptz,
    fenced_because text,
    -- Who took the last fence away.
    unfenced_at timestamptz,
    unfenced_by text,
    note text,
    CHECK ((fenced_at IS NULL) = (fenced_because IS NULL)),
    CHECK (unfenced_by !~ '^\s*$' AND note !~ '^\s*$')
);
CREATE TRIGGER append_only BEFORE DELETE ON house
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON house
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON house
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit_log('id');

-- What processes remember of this database outside of it: each raises a number of its own, and one
-- that finds less than it has raised stands before a database that went back.
CREATE TABLE witnesses (
    name uuid PRIMARY KEY,
    beat bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- A question that was open in a copy: its answer may have come after the copy was made, so it is
-- asked about and never undone blindly.
ALTER TABLE intents ADD COLUMN restored boolean NOT NULL DEFAULT false;
