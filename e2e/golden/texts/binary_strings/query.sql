INSERT INTO binary_strings_rows
SELECT
  id,
  bin AS bin,
  encode(bin, 'hex') AS hex_of_bytes,
  encode(s, 'hex') AS hex_of_text,
  CAST(decode(encode(s, 'hex'), 'hex') AS TEXT) AS text_from_hex,
  CAST(decode(encode(s, 'base64'), 'base64') AS TEXT) AS text_from_base64,
  encode(concat('abc', 'xyz'), 'base64') AS base64_of_6,
  encode(CASE WHEN t = 'World' THEN 'World!' END, 'base64') AS base64_of_word,
  decode('AAEC/w==', 'base64') AS bytes_from_base64,
  decode('AAEC/w', 'base64') AS bytes_from_unpadded,
  decode('00ff', 'hex') AS bytes_from_hex,
  X'A123' AS bytes_literal,
  bin = decode('616263', 'hex') AS same_bytes,
  octet_length(encode(bin, 'hex')) / 2 AS octets
FROM texts
