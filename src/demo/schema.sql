-- The example's tables, indexes and views: a home with sensors, and its calendar.
-- Times are UTC, as YYYY-MM-DDTHH:MM:SSZ: they sort as text.

CREATE TABLE sensors(
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  room     TEXT NOT NULL,
  quantity TEXT NOT NULL,
  unit     TEXT NOT NULL,
  low      REAL,           -- below this something is wrong; NULL: no bound
  high     REAL
);

CREATE TABLE readings(
  id     INTEGER PRIMARY KEY,
  sensor INTEGER NOT NULL REFERENCES sensors(id),
  at     TEXT NOT NULL,
  value  REAL              -- NULL: the sensor answered, but without a value
);

-- With `value` in it the hourly averages and the newest reading are answered from the index alone.
CREATE INDEX readings_by_sensor ON readings(sensor, at, value);

CREATE TABLE events(
  id        INTEGER PRIMARY KEY,
  calendar  TEXT NOT NULL,
  title     TEXT NOT NULL,
  location  TEXT,
  starts_at TEXT NOT NULL,
  ends_at   TEXT NOT NULL,                  -- exclusive, as in iCalendar (RFC 5545 §3.6.1)
  all_day   INTEGER NOT NULL DEFAULT 0,
  rrule     TEXT,                           -- RFC 5545 §3.3.10; NULL: happens once
  note      TEXT,
  CHECK (ends_at > starts_at),
  CHECK (all_day IN (0, 1))
);

CREATE INDEX events_by_start ON events(starts_at, ends_at);

-- The newest reading of each sensor: one step in the index for each, however many readings there are.
CREATE VIEW latest AS
SELECT s.id, s.name, s.room, s.quantity, r.at, r.value, s.unit,
       coalesce(r.value < s.low, 0) OR coalesce(r.value > s.high, 0) AS alarm
FROM sensors AS s
LEFT JOIN readings AS r ON r.id = (
  SELECT id FROM readings WHERE sensor = s.id ORDER BY at DESC LIMIT 1
);

CREATE VIEW hourly AS
SELECT s.id AS sensor, s.name, substr(r.at, 1, 13) || ':00:00Z' AS hour,
       round(avg(r.value), 2) AS average, min(r.value) AS lowest, max(r.value) AS highest,
       count(r.value) AS readings
FROM readings AS r JOIN sensors AS s ON s.id = r.sensor
GROUP BY r.sensor, substr(r.at, 1, 13);

-- What happens on the present day (UTC): what happens once and overlaps it, and what recurs on it.
-- BYDAY stands last in our rules, so that "FREQ=WEEKLY" is not searched for days.
CREATE VIEW today AS
WITH day(begins, ends, weekday) AS (
  SELECT strftime('%Y-%m-%dT00:00:00Z', 'now'),
         strftime('%Y-%m-%dT00:00:00Z', 'now', '+1 day'),
         substr('SUMOTUWETHFRSA', 1 + 2 * CAST(strftime('%w', 'now') AS INTEGER), 2)
)
SELECT e.id, e.calendar, e.title, e.location, e.starts_at, e.ends_at, e.all_day, e.rrule
FROM events AS e, day
WHERE e.rrule IS NULL AND e.starts_at < day.ends AND e.ends_at > day.begins
UNION ALL
SELECT e.id, e.calendar, e.title, e.location,
       substr(day.begins, 1, 11) || substr(e.starts_at, 12),
       CASE e.all_day WHEN 1 THEN day.ends ELSE substr(day.begins, 1, 11) || substr(e.ends_at, 12) END,
       e.all_day, e.rrule
FROM events AS e, day
WHERE e.rrule IS NOT NULL AND e.starts_at < day.ends AND (
     e.rrule LIKE 'FREQ=DAILY%'
  OR e.rrule LIKE 'FREQ=WEEKLY;%BYDAY=%'
     AND instr(substr(e.rrule, instr(e.rrule, 'BYDAY=') + 6), day.weekday) > 0
  OR e.rrule LIKE 'FREQ=MONTHLY%' AND substr(e.starts_at, 9, 2) = substr(day.begins, 9, 2)
  OR e.rrule LIKE 'FREQ=YEARLY%' AND substr(e.starts_at, 6, 5) = substr(day.begins, 6, 5)
)
ORDER BY 5, 1;
