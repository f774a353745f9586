# Two commands matter; the others are their steps. Everything builds in one profile with one set of features, so that
# nothing compiles twice.
#
## make demo       everything from publish to reward, told on standard output
## make test       every check and every test, as CI runs them
## make check      format, lints and the repository's own rules, before a commit
## make contracts  install the pinned contracts, devnet and texts
## make reader     install what the tests read the chain with, and the contract wallet that they deploy
## make models     fetch the model that the engine's tests read
## make fmt        format the sources
## make build      build all rooms, tests and benches
## make doc        build the library's pages, warnings denied
## make bench      measure the engine next to its peers; installs several GB of them on the first run
## make clean      remove all that was built or installed

.NOTPARALLEL:
.PHONY: help demo test contracts reader models fmt fmt-check clippy client check build unit doc bench clean
CARGO ?= cargo

help:      ; @sed -n 's/^## //p' Makefile
demo:      contracts ; $(CARGO) run --package posthuman -- demo
test:      contracts reader models fmt-check clippy client build unit doc
check:     fmt-check clippy ; $(CARGO) run --quiet --package xtask -- check
contracts: ; contracts/install
reader:    ; contracts/install tests/reader
models:    ; node tests/models/install.mjs
fmt:       ; $(CARGO) fmt --all
fmt-check: ; $(CARGO) fmt --all --check
clippy:    ; $(CARGO) clippy --workspace --all-targets -- --deny warnings
client:    ; $(CARGO) clippy --workspace --exclude e2e --lib --no-default-features -- --deny warnings
build:     ; $(CARGO) build --workspace --all-targets
unit:      ; $(CARGO) test --workspace
doc:       ; RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps
bench:     ; bench/install && $(CARGO) build --package posthuman && bench/run.py
clean:     ; $(CARGO) clean && rm -rf contracts/node_modules tests/reader/node_modules tests/models/*.gguf bench/.venv
