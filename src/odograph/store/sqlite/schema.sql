-- odograph.db: the unsealed end of the log, the catalogue, and where what is sealed lies.

-- One row per org and commit. Seqs are dense over all orgs: the row holds seq to seq + n - 1. Rows up to
-- sealed_through are leftovers that nobody may read; the writer deletes them a few at a time.
CREATE TABLE block (
    seq INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    n INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL,       -- of all columns above and the data
    data BLOB NOT NULL          -- n rows of FIX_DTYPE
) STRICT;
CREATE INDEX block_by_org ON block (org, seq);

-- The catalogue. A deleted record stays with a NULL body: followers that were away must hear of it, and no
-- id or rev is ever given twice.
CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    kind TEXT NOT NULL,
    rev INTEGER NOT NULL,
    body BLOB,
    crc INTEGER NOT NULL        -- of all columns above
) STRICT;
CREATE UNIQUE INDEX record_by_rev ON record (rev);
CREATE TABLE record_key (
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (org, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_key_by_id ON record_key (id);

-- What the day files hold. The spans of the newest run may be here before it is official: wider than what
-- can be read, never narrower.
CREATE TABLE span (
    asset INTEGER NOT NULL,
    day TEXT NOT NULL,
    org INTEGER NOT NULL,
    t0 INTEGER NOT NULL, t1 INTEGER NOT NULL,   -- first and last time_ms
    PRIMARY KEY (asset, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX span_by_day ON span (day);
CREATE TABLE org_day (
    org INTEGER NOT NULL,
    day TEXT NOT NULL,
    s0 INTEGER NOT NULL, s1 INTEGER NOT NULL,   -- least and greatest seq
    PRIMARY KEY (org, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE day (
    day TEXT PRIMARY KEY,
    received_ms INTEGER NOT NULL                -- the last arrival
) STRICT, WITHOUT ROWID;

-- The newest fix by time of each asset among what is sealed; kept when retention drops the fix itself.
CREATE TABLE last (
    asset INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,               -- of the asset's last arrival
    row BLOB NOT NULL
) STRICT;

-- Up to which seq retention has dropped each org's fixes.
CREATE TABLE dropped (
    org INTEGER PRIMARY KEY,
    through INTEGER NOT NULL
) STRICT;

CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sealed_through INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    crc INTEGER NOT NULL        -- of both columns above: every read rests on them
) STRICT;
