INSERT INTO unnested_in_cte_rows
WITH x AS (SELECT id, UNNEST(items) AS item FROM structs)
SELECT id, item.sku AS sku, item.qty AS qty FROM x WHERE item.qty > 1
