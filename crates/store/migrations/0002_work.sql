-- Paid work: orders, jobs, receipts, models, and the transactions that tell the chain.

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    chain_id BIGINT NOT NULL,
    block_number BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    block_timestamp BIGINT NOT NULL,
    did TEXT NOT NULL,
    datatoken TEXT NOT NULL,
    operation TEXT NOT NULL,
    consumer TEXT NOT NULL,
    payer TEXT NOT NULL,
    fee_token TEXT NOT NULL,
    fee_amount TEXT NOT NULL,
    quote_id TEXT NOT NULL UNIQUE REFERENCES quotes (id),
    state TEXT NOT NULL,
    allowance BIGINT NOT NULL,
    used_tokens BIGINT NOT NULL,
    next_turn BIGINT NOT NULL,
    last_receipt TEXT NOT NULL,
    closed_at BIGINT,
    settled_transaction TEXT
);
CREATE INDEX orders_by_consumer ON orders (consumer, block_number, log_index);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    turn BIGINT NOT NULL,
    operation TEXT NOT NULL,
    did TEXT NOT NULL,
    consumer TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    crashes BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    worker TEXT,
    lease_expires_at BIGINT,
    not_before BIGINT NOT NULL,
    spec TEXT NOT NULL,
    inputs TEXT NOT NULL,
    request BYTEA NOT NULL,
    request_signature BYTEA NOT NULL,
    model TEXT,
    result TEXT,
    checkpoint TEXT,
    checkpoint_step BIGINT,
    statement TEXT,
    failure_code TEXT,
    failure_reason TEXT,
    receipt TEXT,
    published TEXT,
    settled_transaction TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    updated_at BIGINT NOT NULL
);
-- One order pays one job (per turn of a session). Only what gave no result makes room for another try.
CREATE UNIQUE INDEX jobs_one_per_turn ON jobs (order_id, turn) WHERE state NOT IN ('failed', 'refused', 'cancelled');
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_consumer ON jobs (consumer, created_at);

CREATE TABLE job_events (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    sequence BIGINT NOT NULL,
    at_milliseconds BIGINT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (job_id, sequence)
);

CREATE TABLE receipts (
    digest TEXT PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE REFERENCES jobs (id),
    order_id TEXT NOT NULL REFERENCES orders (id),
    turn BIGINT NOT NULL,
    signed TEXT NOT NULL,
    settled_transaction TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX receipts_one_per_turn ON receipts (order_id, turn);

-- An order that is refused may be on no chain at all, so refusals stand alone.
CREATE TABLE refusals (
    request TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    signed TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE publications (
    digest TEXT PRIMARY KEY,
    did TEXT NOT NULL,
    statement TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX publications_by_did ON publications (did);

CREATE TABLE models (
    root TEXT PRIMARY KEY,
    scheme TEXT NOT NULL,
    object TEXT NOT NULL UNIQUE,
    did TEXT UNIQUE,
    job_id TEXT UNIQUE REFERENCES jobs (id),
    created_at BIGINT NOT NULL
);

CREATE TABLE transactions (
    key TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    chain_id BIGINT NOT NULL,
    sender TEXT NOT NULL,
    nonce BIGINT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    raw BYTEA NOT NULL,
    state TEXT NOT NULL,
    block_number BIGINT,
    error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX transactions_one_per_nonce ON transactions (chain_id, sender, nonce) WHERE state <> 'failed';
