-- What the house keeps beside the money (who watched it, what it still looks for, notices, when books
-- were compared) is changed as its own code changes it, and in no other way by any hand.

-- A kept notice belongs to the one open task of its channel, and goes with it.
ALTER TABLE notices ADD COLUMN task_id bigint REFERENCES operator_tasks (id), ADD COLUMN done_at timestamptz;
UPDATE notices n SET task_id = t.id FROM operator_tasks t
 WHERE t.kind = 'notice_unreadable' AND t.closed_at IS NULL
   AND t.subject = n.channel_id || '/' || left(encode(n.digest, 'hex'), 16);
CREATE INDEX notices_of_task ON notices (task_id);

CREATE FUNCTION keep_notice_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What was sealed is sealed anew when keys change, and else stays as it came.
    IF (NEW.channel_id, NEW.digest, NEW.received_at, NEW.task_id)
       IS DISTINCT FROM (OLD.channel_id, OLD.digest, OLD.received_at, OLD.task_id)
       OR NEW.tries < OLD.tries
       OR (OLD.done_at IS NOT NULL AND NEW.done_at IS DISTINCT FROM OLD.done_at)
       OR (NEW.sealed <> OLD.sealed AND data_key_of(NEW.sealed) = data_key_of(OLD.sealed)) THEN
        RAISE EXCEPTION 'what a kept notice says never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER notice_rules BEFORE UPDATE ON notices FOR EACH ROW EXECUTE FUNCTION keep_notice_rules();

-- Looked at by the commit: whoever books the last one closes the task in the same transaction.
CREATE FUNCTION keep_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM operator_tasks WHERE id = OLD.task_id AND closed_at IS NULL) THEN
        RAISE EXCEPTION 'a notice is kept as long as task % is open', OLD.task_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER kept_with_its_task AFTER DELETE ON notices
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keep_notice();
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER UPDATE OR DELETE ON notices
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('channel_id');

-- A witness raises its number; one that goes back or goes away is a copy that looks like the house.
CREATE FUNCTION keep_witness_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.name <> OLD.name OR NEW.beat < OLD.beat THEN
        RAISE EXCEPTION 'a witness never goes back' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER witness_rules BEFORE UPDATE OR DELETE ON witnesses
    FOR EACH ROW EXECUTE FUNCTION keep_witness_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON witnesses
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An undone approval is looked for look by look: four, unless it turns out to be money before.
CREATE FUNCTION keep_watch_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'watches are ended, never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.imp_uid <> OLD.imp_uid OR NEW.looks NOT IN (OLD.looks, OLD.looks + 1)
       OR (NEW.looks = OLD.looks AND OLD.late_pg_tid IS NOT NULL AND NEW.late_pg_tid IS NULL) THEN
        RAISE EXCEPTION 'the watch of % goes on look by look', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.next_look_at IS NULL AND OLD.next_look_at IS NOT NULL AND NEW.looks < 4
       AND EXISTS (SELECT 1 FROM payments WHERE imp_uid = OLD.imp_uid AND step = 'failed') THEN
        RAISE EXCEPTION 'the watch of % ends too soon', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER watch_rules BEFORE UPDATE OR DELETE ON undone_watches
    FOR EACH ROW EXECUTE FUNCTION keep_watch_rules();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON undone_watches
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER audited_by_hand AFTER UPDATE ON undone_watches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (current_setting('application_name') <> 'naru') EXECUTE FUNCTION write_audit_log('imp_uid');

-- A doubt is put off by a day at the most: the last rung of its ladder, and an hour for clocks.
CREATE FUNCTION keep_intent_pace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.next_try_at > greatest(clock_timestamp(), NEW.tried_at, NEW.opened_at) + interval '25 hours'
       AND (TG_OP = 'INSERT' OR NEW.next_try_at IS DISTINCT FROM OLD.next_try_at) THEN
        RAISE EXCEPTION 'the question about % is put off for more than a day', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER intent_pace BEFORE INSERT OR UPDATE OF next_try_at ON intents
    FOR EACH ROW EXECUTE FUNCTION keep_intent_pace();

-- When books were compared is written once, when they were.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON book_comparisons
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON book_comparisons
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- When a cancel was booked, whatever time it names: the daily comparison goes by it.
ALTER TABLE cancellations ADD COLUMN booked_at timestamptz;
CREATE FUNCTION date_cancellation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.booked_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER booking_dated BEFORE INSERT ON cancellations
    FOR EACH ROW EXECUTE FUNCTION date_cancellation();

-- Since when a webhook waits for its time, by the database's clock: a database that moved to a machine
-- whose clock is behind finds waits that have not begun.
ALTER TABLE webhook_deliveries ADD COLUMN waits_since timestamptz NOT NULL DEFAULT now();
