-- A quote whose fee stands on the chain is kept until its order comes. Exchanges are read from the chain, never from here.

ALTER TABLE quotes ADD COLUMN paid BOOLEAN NOT NULL DEFAULT FALSE;

DROP TABLE exchanges;
