-- A cash receipt knows its order, also one of a payment: the cash of an order is told to the tax office
-- once, whether it was paid here or elsewhere.
ALTER TABLE cash_receipts DROP CONSTRAINT cash_receipts_of_one;

-- Until today an order could have two: one of its payment and one of its number. The office was told twice then,
-- and which of them is right only the merchant knows: nothing is changed until all but one are taken back.
DO $$
DECLARE
    twice text;
BEGIN
    SELECT string_agg(format('order %s of merchant %s has %s', merchant_uid, merchant_id, numbers), '; ')
      INTO twice
      FROM (SELECT merchant_id, merchant_uid, string_agg(
                       number || COALESCE(' (DELETE /receipts/' || imp_uid || ')',
                                          ' (DELETE /receipts/external/' || merchant_uid || ')'),
                       ' and ' ORDER BY id) AS numbers
              FROM (SELECT r.id, r.merchant_id, r.number, r.imp_uid,
                           COALESCE(r.merchant_uid, p.merchant_uid) AS merchant_uid
                      FROM cash_receipts r LEFT JOIN payments p ON p.imp_uid = r.imp_uid
                     WHERE r.state IN ('asking', 'issued', 'cancelling')) living
             GROUP BY merchant_id, merchant_uid HAVING count(*) > 1
             ORDER BY merchant_id, merchant_uid LIMIT 20) orders;
    IF twice IS NOT NULL THEN
        RAISE EXCEPTION 'the tax office was told twice of one order''s cash: %. Take all but one back'
            ' by the version that runs now, and migrate again', twice USING ERRCODE = 'unique_violation';
    END IF;
END $$;

ALTER TABLE cash_receipts DISABLE TRIGGER receipt_rules;
UPDATE cash_receipts r SET merchant_uid = p.merchant_uid FROM payments p WHERE p.imp_uid = r.imp_uid;
ALTER TABLE cash_receipts ENABLE TRIGGER receipt_rules;
ALTER TABLE cash_receipts ALTER merchant_uid SET NOT NULL;
DROP INDEX one_receipt;
DROP INDEX one_external_receipt;
CREATE UNIQUE INDEX one_receipt ON cash_receipts (merchant_id, merchant_uid)
    WHERE state IN ('asking', 'issued', 'cancelling');

CREATE OR REPLACE FUNCTION keep_receipt_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'cash receipts end, rows stay' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'asking' OR NEW.cancels <> 0 THEN
            RAISE EXCEPTION 'cash receipt % begins as a question', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF EXISTS (SELECT 1 FROM channels WHERE id = NEW.channel_id AND merchant_id <> NEW.merchant_id) THEN
            RAISE EXCEPTION 'the channel of cash receipt % belongs to another merchant', NEW.number
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        -- A receipt is of money that was taken and is still there: of all of it, and in won.
        IF NEW.imp_uid IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM payments WHERE imp_uid = NEW.imp_uid AND merchant_id = NEW.merchant_id
               AND merchant_uid = NEW.merchant_uid AND channel_id = NEW.channel_id AND step = 'paid' AND currency = 'KRW'
               AND NOT cash_receipt_issued AND amount - cancelled = NEW.amount) THEN
            RAISE EXCEPTION 'cash receipt % is not of what is left of payment %', NEW.number, NEW.imp_uid
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('asking', 'issued'), ('asking', 'refused'), ('asking', 'cancelling'), ('issued', 'cancelling'),
        ('cancelling', 'cancelled'), ('cancelling', 'issued')) THEN
        RAISE EXCEPTION 'cash receipt % is %, and will not be %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.cancels <> OLD.cancels) <> (NEW.state = 'cancelling' AND OLD.state <> 'cancelling')
       OR NEW.cancels NOT IN (OLD.cancels, OLD.cancels + 1) THEN
        RAISE EXCEPTION 'cash receipt % is taken back under a number for each time', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.channel_id, NEW.imp_uid, NEW.merchant_uid, NEW.number, NEW.type,
        NEW.amount, NEW.tax_free, NEW.vat, NEW.asked_at)
       IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.channel_id, OLD.imp_uid, OLD.merchant_uid, OLD.number, OLD.type,
        OLD.amount, OLD.tax_free, OLD.vat, OLD.asked_at)
       OR (OLD.receipt_tid IS NOT NULL AND (NEW.receipt_tid, NEW.apply_num, NEW.receipt_url, NEW.applied_at)
           IS DISTINCT FROM (OLD.receipt_tid, OLD.apply_num, OLD.receipt_url, OLD.applied_at)) THEN
        RAISE EXCEPTION 'what cash receipt % is about never changes', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
