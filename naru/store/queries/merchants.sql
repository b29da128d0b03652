-- by_user_code --
-- The merchant that answers to this 가맹점식별코드.
SELECT m.*, c.user_code FROM user_codes c JOIN merchants m ON m.id = c.merchant_id WHERE c.user_code = $1;

-- get --
-- One merchant with its first user code.
SELECT m.*, c.user_code FROM merchants m
  LEFT JOIN LATERAL (SELECT user_code FROM user_codes WHERE merchant_id = m.id ORDER BY position, user_code LIMIT 1) c ON true
 WHERE m.id = $1;

-- all --
-- Every merchant with its first user code.
SELECT m.*, c.user_code FROM merchants m
  LEFT JOIN LATERAL (SELECT user_code FROM user_codes WHERE merchant_id = m.id ORDER BY position, user_code LIMIT 1) c ON true
 ORDER BY m.id;

-- add --
-- A new merchant.
INSERT INTO merchants (name, live, allow_test_channels) VALUES ($1, $2, $3) RETURNING id;

-- set_webhook_secret --
-- What signs a merchant's webhooks, sealed.
UPDATE merchants SET webhook_secret = $2 WHERE id = $1;

-- add_user_code --
-- One more code that a merchant answers to.
INSERT INTO user_codes (user_code, merchant_id, position)
VALUES ($1, $2, (SELECT count(*) FROM user_codes WHERE merchant_id = $2));

-- user_codes --
-- The codes a merchant answers to.
SELECT user_code FROM user_codes WHERE merchant_id = $1 ORDER BY position, user_code;

-- change --
-- Settings that the merchant's own staff may change.
UPDATE merchants SET name = $2, live = $3, allow_test_channels = $4, allowed_origins = $5,
       allowed_return_origins = $6, allowed_webhook_origins = $7, allowed_app_schemes = $8,
       webhook_url = $9, webhook_format = $10, webhook_mode = $11, confirm_url = $12
 WHERE id = $1;

-- add_key --
-- A new API key; only the hash of its secret is kept.
INSERT INTO api_keys (imp_key, merchant_id, secret_hash) VALUES ($1, $2, $3);

-- revoke_key --
-- A key and its token die at once.
UPDATE api_keys SET revoked_at = $2, token_hash = NULL, token_nonce = NULL, token_expires_at = NULL
 WHERE imp_key = $1 AND revoked_at IS NULL RETURNING merchant_id;

-- keys --
-- The API keys of a merchant, without secrets.
SELECT imp_key, created_at, revoked_at FROM api_keys WHERE merchant_id = $1 ORDER BY created_at;

-- key --
-- A live key, to compare its secret with and to say its token again.
SELECT imp_key, merchant_id, secret_hash, token_nonce, token_hash, token_expires_at FROM api_keys
 WHERE imp_key = $1 AND revoked_at IS NULL;

-- renew_token --
-- A new token, unless somebody else renewed it meanwhile ($5 is the expiry we saw, or null).
UPDATE api_keys SET token_nonce = $2, token_hash = $3, token_expires_at = $4
 WHERE imp_key = $1 AND revoked_at IS NULL AND token_expires_at IS NOT DISTINCT FROM $5
RETURNING token_nonce, token_expires_at;
