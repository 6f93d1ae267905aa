INSERT INTO hashes_rows
SELECT
  id,
  md5(s) AS md5_s,
  encode(sha224(s), 'hex') AS sha224_s,
  encode(sha256(s), 'hex') AS sha256_s,
  encode(sha384(s), 'hex') AS sha384_s,
  encode(sha512(s), 'hex') AS sha512_s,
  encode(digest(s, 'md5'), 'hex') AS digest_md5,
  encode(digest(s, 'sha224'), 'hex') AS digest_sha224,
  encode(digest(s, 'sha256'), 'hex') AS digest_sha256,
  encode(digest(s, 'sha384'), 'hex') AS digest_sha384,
  encode(digest(s, 'sha512'), 'hex') AS digest_sha512,
  encode(digest(s, 'blake2s'), 'hex') AS digest_blake2s,
  encode(digest(s, 'blake2b'), 'hex') AS digest_blake2b,
  encode(digest(CASE WHEN s = '' THEN s ELSE 'abc' END, 'blake3'), 'hex') AS digest_blake3,
  encode(sha256(bin), 'hex') AS sha256_of_bytes
FROM texts
