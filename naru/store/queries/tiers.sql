-- add --
-- A merchant becomes the tier of an agency.
INSERT INTO tiers (merchant_id, agency_id, tier_code) VALUES ($1, $2, $3);

-- find --
-- The tier with this code of this agency, or this merchant itself when it is that tier.
SELECT t.merchant_id, t.tier_code, m.name FROM tiers t JOIN merchants m ON m.id = t.merchant_id
 WHERE (t.agency_id = $1 OR t.merchant_id = $1) AND t.tier_code = $2
 ORDER BY t.agency_id = $1 DESC LIMIT 1;

-- of_agency --
-- Every tier of an agency.
SELECT t.merchant_id, t.tier_code, m.name FROM tiers t JOIN merchants m ON m.id = t.merchant_id
 WHERE t.agency_id = $1 ORDER BY t.tier_code;
