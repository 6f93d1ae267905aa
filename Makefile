# run: a server with demo data; test: everything that must hold; bench: how fast; check: what needs no build of the product;
# torture: faults from a seeded plan, about ten minutes; torture-bugs: that the torture finds bugs planted on purpose.

CARGO_TARGET_DIR ?= $(HOME)/.cache/lakehead/target
export CARGO_TARGET_DIR
export PATH := $(HOME)/.cargo/bin:$(PATH)
# The tests leave nothing in the tree.
export PYTHONDONTWRITEBYTECODE := 1

RELEASE := $(CARGO_TARGET_DIR)/release
NEXTEST_VERSION := 0.9.143
DATA_DIR ?= $(HOME)/.local/share/lakehead-dev
LISTEN ?= 127.0.0.1:7070
# Arguments for the programs: make e2e ARGS="-k kill9 -s", make bench ARGS="--cases ack-w1".
ARGS ?=

.PHONY: run test bench torture torture-bugs check build unit e2e format lint tidy nextest

run: build
	$(RELEASE)/lakehead dev --data-dir $(DATA_DIR) --listen $(LISTEN)

test: check unit e2e

check: format tidy lint

# The whole workspace, always: choosing packages would choose other features, and build everything again.
build:
	cargo build --release --locked --workspace --bins

unit: nextest
	cargo nextest run --release --locked --workspace $(NEXTEST_ARGS)

e2e: build
	folder=$$(e2e/install.sh) && \
	LAKEHEAD_BIN=$(RELEASE)/lakehead $$folder/venv/bin/python -m pytest -c e2e/pytest.ini e2e torture $(ARGS)

# make torture ARGS="--seed 7 --minutes 60 --kills 300", make torture ARGS="--power"
torture: build
	folder=$$(e2e/install.sh) && LAKEHEAD_BIN=$(RELEASE)/lakehead $$folder/venv/bin/python -m torture $(ARGS)

torture-bugs:
	folder=$$(e2e/install.sh) && $$folder/venv/bin/python -m torture.bugs $(ARGS)

bench: build
	@for crate in lakehead-decode lakehead-log; do \
		if [ -d crates/$$crate/benches ]; then cargo bench --locked -p $$crate || exit 1; fi; \
	done
	cargo bench --locked --workspace --bench pipeline
	$(RELEASE)/lakehead-bench --bin $(RELEASE)/lakehead $(ARGS)

format:
	cargo fmt --all --check

# With the release profile, so that it shares build scripts and macros with the other targets.
lint:
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

tidy:
	cd tools && python3 test_tidy.py --quiet
	python3 tools/tidy.py

nextest:
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest --version $(NEXTEST_VERSION)
