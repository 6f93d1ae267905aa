-- Where something is added, a NULL list counts as an empty one; NULL may be an element.
INSERT INTO lists_by_other_names_rows
SELECT
  id,
  array_push_back(xs, n) AS appended,
  array_push_front(n, xs) AS prepended,
  array_cat(xs, ys) AS joined,
  array_cat(xs, ys, [n]) AS joined_three,
  array_contains(xs, 2) AS has_2,
  array_extract(xs, n) AS nth,
  array_extract(words, 1) AS first_word,
  array_indexof(xs, 8) AS position_of,
  array_join(words, '-') AS as_text,
  CAST(empty(xs) AS INT) AS is_empty,
  list_push_back(xs, n) AS appended_2,
  list_push_front(n, xs) AS prepended_2,
  list_cat(xs, ys) AS joined_2,
  list_cat(xs, ys, [n]) AS joined_three_2,
  list_contains(xs, 2) AS has_2_2,
  list_extract(xs, n) AS nth_2,
  list_extract(words, 1) AS first_word_2,
  list_indexof(xs, 8) AS position_of_2,
  list_join(words, '-') AS as_text_2
FROM lists
