insert into ctes_rows
with paid as (select order_id, upper(status) s, amount from orders_stream where status = 'paid'),
     small AS (SELECT p.order_id AS id, p.s, amount * 2 AS twice FROM paid AS p WHERE p.amount < 100),
     final AS (SELECT small.*, id || '-' || s AS both_names FROM small)
select final.id, twice::DOUBLE as twice, both_names from final where twice > 0;
