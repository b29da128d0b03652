-- Refuse what hand-written SQL could still do: a payment born paid, a forged or erased history, a
-- journal that is rewritten, and cancellations that do not add up to what the payment says.

CREATE FUNCTION keep_payment_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.step <> 'opened' OR NEW.event <> 'opened' OR NEW.version <> 1 OR NEW.flagged
       OR NEW.pg_tid IS NOT NULL OR NEW.paid_at IS NOT NULL THEN
        RAISE EXCEPTION 'payment % must begin as opened', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_birth BEFORE INSERT ON payments
    FOR EACH ROW EXECUTE FUNCTION keep_payment_birth();

CREATE OR REPLACE FUNCTION keep_payment_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'payments are never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'version of % must be %', OLD.imp_uid, OLD.version + 1
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- The same table as naru/domain/payment.py, NEXT.
    IF (OLD.step, NEW.step, NEW.event) NOT IN (
        ('opened', 'approving', 'authenticated'),
        ('opened', 'failed', 'abandoned'),
        ('approving', 'paid', 'approved'),
        ('approving', 'failed', 'declined'),
        ('approving', 'failed', 'undone'),
        ('approving', 'waiting_deposit', 'account_issued'),
        ('waiting_deposit', 'paid', 'deposited'),
        ('waiting_deposit', 'failed', 'account_closed'),
        ('failed', 'paid', 'approved_late'),
        ('paid', 'paid', 'partly_cancelled'),
        ('paid', 'cancelled', 'fully_cancelled')
    ) THEN
        RAISE EXCEPTION '% cannot happen to payment % that is % (to %)', NEW.event, OLD.imp_uid, OLD.step, NEW.step
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Only giving money back raises what was given back.
    IF (NEW.event IN ('partly_cancelled', 'fully_cancelled')) <> (NEW.cancelled > OLD.cancelled)
       OR NEW.cancelled < OLD.cancelled THEN
        RAISE EXCEPTION 'cancelled of % rises with a cancellation and never shrinks', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- A flag lifts the rule of one approval per order: only facts of the PG may set it, nothing clears it.
    IF NEW.flagged <> OLD.flagged AND (OLD.flagged OR NEW.event NOT IN ('deposited', 'approved_late')) THEN
        RAISE EXCEPTION 'only a fact of the PG flags payment %', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.imp_uid, NEW.merchant_id, NEW.merchant_uid, NEW.channel_id, NEW.pg_code, NEW.mid, NEW.sandbox,
        NEW.amount, NEW.currency, NEW.tax_free, NEW.vat, NEW.confirm_url, NEW.pg_order_no, NEW.started_at)
       IS DISTINCT FROM
       (OLD.imp_uid, OLD.merchant_id, OLD.merchant_uid, OLD.channel_id, OLD.pg_code, OLD.mid, OLD.sandbox,
        OLD.amount, OLD.currency, OLD.tax_free, OLD.vat, OLD.confirm_url, OLD.pg_order_no, OLD.started_at) THEN
        RAISE EXCEPTION 'what payment % is about never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Who took the money, and when, is written once.
    IF OLD.paid_at IS NOT NULL
       AND (NEW.paid_at, NEW.pg_tid) IS DISTINCT FROM (OLD.paid_at, OLD.pg_tid) THEN
        RAISE EXCEPTION 'how payment % was paid never changes', OLD.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

-- History is written by the payments' own trigger, and by nobody's hand.
CREATE FUNCTION refuse_hand_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'rows of % are written by trigger only', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER by_trigger_only BEFORE INSERT ON payment_events
    FOR EACH ROW EXECUTE FUNCTION refuse_hand_written();

-- A question fits the payment as it stands, its content never changes, and an ended one stays ended.
CREATE FUNCTION keep_intent_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    payment record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'the journal is never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT step, amount, amount - cancelled AS balance INTO payment FROM payments WHERE imp_uid = NEW.imp_uid;
        IF NEW.state <> 'open' OR (NEW.kind, payment.step) NOT IN (
            ('approve', 'opened'),
            ('approve', 'approving'),
            ('issue_account', 'approving'),
            ('cancel', 'paid'),
            ('close_account', 'waiting_deposit')
        ) THEN
            RAISE EXCEPTION 'a PG is not asked to % payment % that is %', NEW.kind, NEW.imp_uid, payment.step
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF (NEW.kind = 'cancel' AND NEW.balance_before <> payment.balance)
           OR (NEW.kind <> 'cancel' AND NEW.amount <> payment.amount) THEN
            RAISE EXCEPTION 'the question about % is not about its amount', NEW.imp_uid
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.imp_uid, NEW.kind, NEW.number, NEW.amount, NEW.balance_before, NEW.request, NEW.opened_at)
       IS DISTINCT FROM
       (OLD.id, OLD.imp_uid, OLD.kind, OLD.number, OLD.amount, OLD.balance_before, OLD.request, OLD.opened_at) THEN
        RAISE EXCEPTION 'what question % asks never changes', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- The decision to undo is final: a late approval of what is being undone is not money.
    IF OLD.state IN ('done', 'refused', 'undone')
       OR (OLD.state = 'undoing' AND NEW.state NOT IN ('undoing', 'undone'))
       OR (OLD.state <> 'open' AND NEW.state = 'open') THEN
        RAISE EXCEPTION 'question % is % and does not become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER intent_rules BEFORE INSERT OR UPDATE OR DELETE ON intents
    FOR EACH ROW EXECUTE FUNCTION keep_intent_rules();

-- What the payment says was given back is the sum of its cancellations, at every commit (P1).
CREATE FUNCTION compare_cancellations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT cancelled FROM payments WHERE imp_uid = NEW.imp_uid)
       <> (SELECT COALESCE(sum(amount), 0) FROM cancellations WHERE imp_uid = NEW.imp_uid) THEN
        RAISE EXCEPTION 'the cancellations of % do not add up', NEW.imp_uid
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER cancellations_add_up AFTER UPDATE ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.cancelled IS DISTINCT FROM OLD.cancelled) EXECUTE FUNCTION compare_cancellations();
CREATE CONSTRAINT TRIGGER cancellations_add_up AFTER INSERT ON cancellations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION compare_cancellations();

-- Row triggers do not see TRUNCATE.
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON payment_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON intents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cancellations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON deposits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON webhook_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
