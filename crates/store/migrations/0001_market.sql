-- What the chain says and what users sent: the index of assets, sessions, uploads and quotes.
-- Ids, digests, addresses and amounts stand in their one text form; times are seconds since 1970 (Unix time).

CREATE TABLE cursors (
    chain_id BIGINT PRIMARY KEY,
    block_number BIGINT NOT NULL,
    block_hash TEXT NOT NULL
);

CREATE TABLE assets (
    did TEXT PRIMARY KEY,
    chain_id BIGINT NOT NULL,
    nft TEXT NOT NULL,
    datatoken TEXT NOT NULL,
    exchange TEXT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    author TEXT NOT NULL,
    tags TEXT NOT NULL,
    state BIGINT NOT NULL,
    parent TEXT,
    commitment_root TEXT,
    trainer TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    block_number BIGINT NOT NULL,
    transaction_hash TEXT NOT NULL,
    ddo TEXT NOT NULL
);
CREATE UNIQUE INDEX assets_by_nft ON assets (chain_id, nft);
CREATE INDEX assets_by_datatoken ON assets (chain_id, datatoken);
CREATE INDEX assets_by_parent ON assets (parent);
CREATE INDEX assets_by_trainer ON assets (trainer);
CREATE INDEX assets_by_age ON assets (created_at, did);

-- The words of an asset. Another database has another kind of full-text index; only src/table/search.rs reads it.
CREATE VIRTUAL TABLE asset_words USING fts5 (did UNINDEXED, name, description, author, tags);

CREATE TABLE collectors (
    chain_id BIGINT NOT NULL,
    datatoken TEXT NOT NULL,
    block_number BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    nft TEXT NOT NULL,
    collector TEXT NOT NULL,
    transaction_hash TEXT NOT NULL,
    flagged BOOLEAN NOT NULL,
    PRIMARY KEY (chain_id, datatoken, block_number, log_index)
);

CREATE TABLE exchanges (
    exchange TEXT NOT NULL,
    contract TEXT NOT NULL,
    chain_id BIGINT NOT NULL,
    datatoken TEXT NOT NULL,
    owner TEXT NOT NULL,
    base_token TEXT NOT NULL,
    price TEXT NOT NULL,
    resale BOOLEAN NOT NULL,
    active BOOLEAN NOT NULL,
    block_number BIGINT NOT NULL,
    PRIMARY KEY (chain_id, contract, exchange)
);
CREATE INDEX exchanges_by_datatoken ON exchanges (chain_id, datatoken);

CREATE TABLE nonces (
    address TEXT PRIMARY KEY,
    nonce BIGINT NOT NULL
);

CREATE TABLE access_tokens (
    digest TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_tokens_by_end ON access_tokens (expires_at);

CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    digest TEXT NOT NULL,
    received BIGINT NOT NULL,
    object TEXT,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX uploads_by_owner ON uploads (owner);
CREATE INDEX uploads_by_end ON uploads (expires_at);

CREATE TABLE quotes (
    id TEXT PRIMARY KEY,
    consumer TEXT NOT NULL,
    did TEXT NOT NULL,
    datatoken TEXT NOT NULL,
    operation TEXT NOT NULL,
    input TEXT NOT NULL,
    parameters TEXT NOT NULL,
    tokens BIGINT NOT NULL,
    allowance BIGINT NOT NULL,
    fee_token TEXT NOT NULL,
    fee_amount TEXT NOT NULL,
    valid_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
