-- Names in double quotes are taken as they are; others are found whatever their case.
INSERT INTO quoted_names_rows
SELECT ID, "select", "Group" AS "order", "with space", "Ünï" + 1 AS "Ünï plus", camelCase AS "camelCase", "quote""d", t."a.b" AS "dotted.name", t."select" AS "from"
FROM "OddNames" AS t
