-- What a person must look at, and every try to end a doubt without one.

CREATE TABLE operator_tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- One of naru/domain/task.py.
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    imp_uid text COLLATE "C" REFERENCES payments (imp_uid),
    sentence text NOT NULL,
    opened_at timestamptz NOT NULL,
    -- Telling: at NARU_ALERT_URL or in the log, again and again until it is heard.
    alert_tries integer NOT NULL DEFAULT 0,
    next_alert_at timestamptz NOT NULL,
    alerted_at timestamptz,
    closed_at timestamptz,
    closed_by text,
    note text,
    CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (note IS NULL)),
    CHECK (closed_by !~ '^\s*$' AND note !~ '^\s*$')
);
-- The same thing is laid before people once, until they have closed it.
CREATE UNIQUE INDEX one_open_task ON operator_tasks (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX tasks_to_tell ON operator_tasks (next_alert_at) WHERE alerted_at IS NULL AND closed_at IS NULL;
CREATE INDEX tasks_of_payment ON operator_tasks (imp_uid) WHERE imp_uid IS NOT NULL;

CREATE FUNCTION keep_task_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'tasks are closed, never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.kind, NEW.subject, NEW.imp_uid, NEW.sentence, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.id, OLD.kind, OLD.subject, OLD.imp_uid, OLD.sentence, OLD.opened_at) THEN
        RAISE EXCEPTION 'what task % says never changes', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.closed_at IS NOT NULL
       AND (NEW.closed_at, NEW.closed_by, NEW.note) IS DISTINCT FROM (OLD.closed_at, OLD.closed_by, OLD.note) THEN
        RAISE EXCEPTION 'task % is closed', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER task_rules BEFORE UPDATE OR DELETE ON operator_tasks
    FOR EACH ROW EXECUTE FUNCTION keep_task_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON operator_tasks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A lease hands out a number. Whoever slept past its lease finds another one, and its doubt is not
-- written over what was found out since.
ALTER TABLE intents ADD COLUMN fence integer NOT NULL DEFAULT 0, ADD COLUMN tried_at timestamptz;

-- Every try to end a doubt: what was asked is written before it is asked, what came back after.
CREATE TABLE intent_tries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intent_id bigint NOT NULL REFERENCES intents (id),
    -- The fence of the lease under which it was done; 0 is who asked first.
    number integer NOT NULL CHECK (number >= 0),
    at timestamptz NOT NULL,
    what text NOT NULL CHECK (what IN ('asked', 'answered')),
    sentence text NOT NULL,
    next_try_at timestamptz
);
CREATE INDEX tries_of_intent ON intent_tries (intent_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON intent_tries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON intent_tries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What proves the buyer to a PG that is asked the same question again: sealed, and gone with the doubt.
CREATE TABLE kept_tickets (
    intent_id bigint PRIMARY KEY REFERENCES intents (id),
    sealed bytea NOT NULL,
    dies_at timestamptz NOT NULL
);
CREATE INDEX kept_tickets_dead ON kept_tickets (dies_at);

-- Approvals that were undone, or never found: for two days somebody looks whether one came after all.
CREATE TABLE undone_watches (
    imp_uid text COLLATE "C" PRIMARY KEY REFERENCES payments (imp_uid),
    looks integer NOT NULL DEFAULT 0,
    -- Null: nobody looks any more.
    next_look_at timestamptz,
    -- The approval that was told late, if one was.
    late_pg_tid text,
    late_approved_at timestamptz,
    CHECK ((late_pg_tid IS NULL) = (late_approved_at IS NULL))
);
CREATE INDEX watches_due ON undone_watches (next_look_at) WHERE next_look_at IS NOT NULL;
