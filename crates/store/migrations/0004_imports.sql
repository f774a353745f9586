-- Imports of existing models: sealed and recorded, then published. What a crash interrupts goes on from here.

CREATE TABLE imports (
    key TEXT PRIMARY KEY,
    root TEXT NOT NULL UNIQUE REFERENCES models (root),
    record TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
