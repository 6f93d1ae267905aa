-- As in PostgreSQL: milliseconds, microseconds and nanoseconds are those of the whole second, seconds included.
INSERT INTO parts_rows
SELECT
  id,
  date_part('year', us) AS part_year,
  date_part('quarter', us) AS part_quarter,
  date_part('month', us) AS part_month,
  date_part('week', us) AS part_week,
  date_part('day', us) AS part_day,
  date_part('hour', us) AS part_hour,
  date_part('minute', us) AS part_minute,
  date_part('second', us) AS part_second,
  date_part('millisecond', us) AS part_millisecond,
  date_part('microsecond', us) AS part_microsecond,
  date_part('nanosecond', us) AS part_nanosecond,
  date_part('dow', us) AS part_dow,
  date_part('doy', us) AS part_doy,
  date_part('epoch', us) AS part_epoch,
  datepart('hour', at) AS datepart_hour,
  extract(year FROM at) AS extract_year,
  extract(month FROM at) AS extract_month,
  extract(day FROM at) AS extract_day,
  extract(hour FROM at) AS extract_hour,
  extract(dow FROM at) AS extract_dow,
  extract(epoch FROM at) AS extract_epoch
FROM times
