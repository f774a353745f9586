-- Chunks of uploads that are still arriving. Each is a sealed object of its own until the whole file is sealed as one.

CREATE TABLE upload_chunks (
    object TEXT PRIMARY KEY,
    upload_id TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    UNIQUE (upload_id, position)
);
