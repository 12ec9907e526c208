-- The example's rows. Nothing is random: a hash of sensor and step stands for chance, so that two builds
-- with the same present moment are equal. temp.present.now is in seconds since 1970, a multiple of 60.

INSERT INTO sensors(id, name, room, quantity, unit, low, high) VALUES
  (1, 'Wohnzimmer – Süd', 'Wohnzimmer', 'temperature', '°C',  16,   26),
  (2, '冷蔵庫',            '台所',        'temperature', '°C',  1,    8),
  (3, 'Dachböden',        'Dach',       'temperature', '°C',  NULL, 35),
  (4, 'Cave à vin',       'Cave',       'humidity',    '%',   55,   80),
  (5, 'Kitchen CO₂',      'Kitchen',    'co2',         'ppm', NULL, 1400),
  (6, 'Garden soil',      'Garden',     'moisture',    '%',   20,   NULL),
  (7, 'Balcony',          'Balcony',    'temperature', '°C',  NULL, NULL),
  (8, 'Power meter',      'Hall',       'power',       'W',   NULL, 7000);

-- A reading of each sensor every six minutes for seven days, in the order in which they would have come in.
-- The order is that of the CROSS JOIN: sorting would take more heap than all the rest.
-- Products stay below 2^63: SQLite would go on with floating point otherwise.
INSERT INTO readings(sensor, at, value)
WITH RECURSIVE
  step(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step WHERE n < 7 * 24 * 10),
  mixed AS (
    SELECT s.id AS sensor, n, now - 7 * 86400 + n * 360 AS moment,
           ((n * 8 + s.id) * 2654435761 + 20240229) & 0xffffffff AS h
    FROM temp.present CROSS JOIN step CROSS JOIN sensors AS s NOT INDEXED
  ),
  -- x ^ (x >> 15), for which SQLite has no operator, and one more multiplication.
  hashed AS (
    SELECT sensor, n, moment, (((h | (h >> 15)) - (h & (h >> 15))) * 73244475) & 0xffffffff AS h FROM mixed
  ),
  -- chance: 0 to 1. sun: a parabola from 0 at 06:00 UTC to 1 at 13:00 and back to 0 at 20:00.
  shaped AS (
    SELECT sensor, n, moment, (h >> 8) / 16777216.0 AS chance, h % 1000 AS draw,
           max(0.0, 1.0 - (moment % 86400 - 46800) * (moment % 86400 - 46800) / 635040000.0) AS sun,
           moment % 86400 / 3600 AS hour
    FROM hashed
  )
SELECT sensor, strftime('%Y-%m-%dT%H:%M:%SZ', moment, 'unixepoch'),
  CASE
    WHEN sensor = 7 AND draw < 12 THEN NULL
    WHEN sensor = 2 AND n % 20 = 3 AND draw < 300 THEN round(7.5 + 3 * chance, 1)   -- the door stood open
    WHEN sensor = 5 AND n = 1111 THEN 65535                                        -- the outlier
    ELSE CASE sensor
      WHEN 1 THEN round(20.5 + 2.5 * sun + 0.4 * chance, 1)
      WHEN 2 THEN round(4.0 + 1.2 * chance, 1)
      WHEN 3 THEN round(12 + 17 * sun + chance, 1)
      WHEN 4 THEN round(68 + 4 * chance - 2 * sun, 1)
      WHEN 5 THEN round(430 + 60 * chance + CASE WHEN hour IN (6, 11, 17, 18) THEN 500 + 200 * chance ELSE 0 END)
      WHEN 6 THEN round(44 - n % 480 / 40.0 + chance, 1)
      WHEN 7 THEN round(8 + 11 * sun + 1.5 * chance, 1)
      ELSE round(180 + 80 * chance
        + CASE WHEN draw > 960 THEN 1900 ELSE 0 END                                -- a kettle
        + CASE WHEN hour BETWEEN 17 AND 21 THEN 350 ELSE 0 END)
    END
  END
FROM shaped
WHERE NOT (sensor = 3 AND n BETWEEN 900 AND 990)      -- the gap: nine hours
  AND NOT (sensor = 6 AND n > 5 * 240)                -- stale: nothing for two days
  -- and here and there a lost packet
  AND draw <> 999;

INSERT INTO events(calendar, title, location, starts_at, ends_at, all_day, rrule, note)
WITH
  midnight(m) AS (SELECT now - now % 86400 FROM temp.present),
  -- from and until in minutes from today's midnight
  planned(calendar, title, location, begins, ends, all_day, rrule, note) AS (VALUES
    ('family',  'Müll: Papier',          NULL,                -10080, -8640,  1, 'FREQ=WEEKLY;BYDAY=TU', 'die blaue Tonne'),
    ('family',  'Großmutters Geburtstag', 'Zürich',           -525600, -524160, 1, 'FREQ=YEARLY', NULL),
    ('family',  'Holiday – la mer',       'Île de Ré',         4320,   14400, 1, NULL, 'tickets are in the drawer'),
    ('family',  'School break',           NULL,               -1440,    8640, 1, NULL, NULL),
    ('family',  '晩ごはん',               '台所',              1080,    1140, 0, 'FREQ=DAILY', NULL),
    ('family',  'Piano lesson',           'Music school',      -9120,  -9075, 0, 'FREQ=WEEKLY;BYDAY=MO,TH', NULL),
    ('work',    'Stand-up',               'https://meet.example/stand-up', -19605, -19590, 0, 'FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR', NULL),
    ('work',    'Planning',               'Room 3',             540,     660, 0, NULL, 'overlaps the dentist'),
    ('work',    'Review, "final" one',    'Room 3; 2nd floor',  630,     690, 0, NULL, 'commas, quotes, and a line' || char(10) || 'break'),
    ('health',  'Dentist',                'Praxis Dr. Łukasz',  600,     645, 0, NULL, NULL),
    ('health',  'Run',                    NULL,                 390,     435, 0, 'FREQ=WEEKLY;BYDAY=SA,SU', NULL),
    ('house',   'Boiler service',         'Cellar',            2040,    2160, 0, NULL, NULL),
    ('house',   'Rent',                   NULL,              -43200,  -41760, 1, 'FREQ=MONTHLY', NULL),
    ('house',   'Night shift of the washing machine', NULL,    1380,    1500, 0, NULL, 'crosses midnight'),
    ('house',   'Window cleaner',         NULL,               -2880,   -2790, 0, NULL, 'was there'),
    ('friends', 'Café with Zoë',          'Café Ångström',     3780,    3870, 0, NULL, NULL),
    ('friends', 'Board games 🎲',         'ours',              1140,    1380, 0, NULL, NULL)
  )
SELECT calendar, title, location,
       strftime('%Y-%m-%dT%H:%M:%SZ', m + begins * 60, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%SZ', m + ends * 60, 'unixepoch'),
       all_day, rrule, note
FROM planned, midnight;
