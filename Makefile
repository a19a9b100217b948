# Two commands do everything on a fresh machine: `make demo` and `make test`. Both make .venv and install what is missing.

# The first interpreter that runs and is new enough: a name on the PATH may be a shim for one that is not there.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do \
	if $$python -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
PROGRAMS := tests/conformance
NODE := PATH="$(CURDIR)/$(CLIENTS)/node/bin:$$PATH"
export PYTHONUTF8 = 1
# Where the environment forbids it, every process of every test would compile all that it imports.
export PYTHONDONTWRITEBYTECODE =

.PHONY: desktop desktop-test-deps help demo test test-all conformance survival cluster simulate fuzz audit soak web e2e browser check docs costs bench bench-full install-peers install install-dev install-clients lock clean

help:
	@echo "make demo         hear a conversation: no key, no microphone, no network"
	@echo "make test         lint, types and tests (up to 3 minutes)"
	@echo "make conformance  the clients that people use, unchanged, against our server (up to 6 minutes)"
	@echo "make e2e          the page in a real browser, with a recorded microphone (up to 6 minutes)"
	@echo "make desktop      talk and dictate on a virtual sound card and screen (up to 3 minutes)"
	@echo "make survival     people talk while what serves them is killed or replaced: no word is lost (half a minute)"
	@echo "make simulate     N whole conversations in which things go wrong, CORE more with the core alone"
	@echo "make fuzz         broken input for every decoder that a stranger can reach, for MINUTES"
	@echo "make soak         full density for MINUTES: memory stays, and every rule is kept"
	@echo "make audit        known holes in what we depend on; needs the network"
	@echo "make web          build the page that the package contains, after a change in web/"
	@echo "make bench        how many conversations a core holds, for us, Pipecat and LiveKit (under 15 minutes)"
	@echo "make bench-full   all points, and how well requests and ends of turns are recognised (an hour)"
	@echo "make cluster      two machines under Ray Serve, both on this one, and one dies (a quarter of a GB to install)"
	@echo "make costs        write down anew what a frame, a turn and a session cost, counted"
	@echo "make docs         docs/coverage.md: what of the protocol is done, from the code"
	@echo "make lock         choose newer versions of what we depend on"

demo: install
	$(BIN)/antiphon demo

# --- installing -------------------------------------------------------------------------------------------------------

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Debian: apt-get install python3 python3-venv"; exit 2; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is older than 3.11. Try: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "== making a virtual environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "The venv module is missing: apt-get install python3-venv"; exit 2; }

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "== installing what Antiphon needs (about 250 MB, no PyTorch)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "== installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Needs uv in the environment; writes no index address into the files.
lock: $(VENV)/bin/python $(CLIENTS)/node/.installed
	@$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra mcp -q --upgrade --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--universal --python-version 3.11 -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra mcp --extra redis --extra s3 -q --upgrade --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --universal --python-version 3.11 -o deploy/image.lock
	$(BIN)/uv pip compile pyproject.toml --extra mcp --extra amplifier --extra otel \
		--extra whisper --extra sherpa --extra parakeet --extra moonshine --extra wyoming --extra desktop --extra tokens --extra redis --extra s3 --group dev -q --upgrade --generate-hashes --no-emit-index-url --no-annotate \
		--no-header --universal --python-version 3.11 -o requirements-dev.lock
	$(BIN)/uv pip compile pyproject.toml --extra mcp --extra ray --group dev -q --upgrade --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --universal --python-version 3.11 -o tests/cluster/cluster.lock
	@for wish in $(PROGRAMS)/locks/*.in bench/locks/*.in; do \
		$(BIN)/uv pip compile $$wish -q --upgrade --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--universal --python-version 3.11 -o $${wish%.in}.lock || exit 1; done
	@cd $(PROGRAMS)/node && PATH="$(CURDIR)/$(CLIENTS)/node/bin:$$PATH" npm update --save --silent

# --- testing ----------------------------------------------------------------------------------------------------------

# A test against real time may fail because the machine stood still for a while: it has two more goes. Each failure is
# shown at the end also then, for a fault that comes and goes looks the same; as Python shows it, for pytest's own way
# parses the source, which in Python 3.11 breaks the whole run where another thread of the process does so as well.
AGAIN := --reruns 2 --tb=native
# What has commands of its own.
TIERS := $(foreach tier,conformance e2e desktop/machine cluster survival,--ignore=tests/$(tier))

test: install-dev check
	$(BIN)/python -m pytest -q -n 2 -m "not real" $(TIERS)
	@echo "== what has a real process, socket or model, and mostly waits for real times: four files at a time"
	$(BIN)/python -m pytest -q -n 4 --dist loadfile $(AGAIN) -m real $(TIERS)

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Ten thousand took eight minutes on two cores that others used as well. What breaks a law is written to build/simulate, to be replayed.
N ?= 10000
CORE ?= 0
FIRST ?= 0
simulate: install-dev
	PYTHONPATH=tests/session:bench $(BIN)/python tests/simulation/simulate.py $(N) --core $(CORE) --first $(FIRST)

# Mutilated input for every decoder that a stranger can reach, a part of the time each; stops at the first that breaks.
MINUTES ?= 10
DECODERS := PYTHONPATH=tests/decoders:tests/protocol:tests/media:tests/transport
fuzz: install-dev
	timeout $$(( $(MINUTES) * 30 )) $(BIN)/python tests/protocol/fuzz.py $$(date +%s) || test $$? = 124
	$(DECODERS) timeout $$(( $(MINUTES) * 30 )) $(BIN)/python tests/decoders/decoders.py $$(date +%s) || test $$? = 124

# Conversations that come and go at full density; whether memory stays is told with its confidence interval.
soak: install-dev
	$(BIN)/python bench/soak.py --minutes $(MINUTES)

# Asks the package indexes, or their advisory services, for known holes in all that is locked: it needs the network, and
# says for which file nobody could be asked.
audit: $(VENV)/bin/python
	@test -e .venv-audit/.installed || { $(BIN)/python -m venv .venv-audit && \
		.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit && \
		touch .venv-audit/.installed; } || true
	@$(NODE) $(BIN)/python .ci/audit.py $(CURDIR)/.venv-audit/bin/pip-audit npm

conformance: install-dev install-clients
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(AGAIN) tests/conformance

# Every client in an environment of its own: they do not agree on what they need. Node comes as a Python package.
install-clients: $(foreach name,agents livekit node pipecat,$(CLIENTS)/$(name)/.installed)
install-clients: $(PROGRAMS)/node/node_modules/.installed

# Pipecat and LiveKit Agents as servers, for the bench.
install-peers: .venv-peers/pipecat/.installed .venv-peers/livekit/.installed

.venv-peers/%/.installed: bench/locks/%.lock $(VENV)/bin/python
	@echo "== installing $*, to be measured beside us"
	@rm -rf .venv-peers/$*
	@$(BIN)/python -m venv .venv-peers/$*
	@.venv-peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(CLIENTS)/%/.installed: $(PROGRAMS)/locks/%.lock $(VENV)/bin/python
	@echo "== installing the client $*"
	@rm -rf $(CLIENTS)/$*
	@$(BIN)/python -m venv $(CLIENTS)/$*
	@$(CLIENTS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(PROGRAMS)/node/node_modules/.installed: $(PROGRAMS)/node/package-lock.json $(CLIENTS)/node/.installed
	@echo "== installing the Node clients"
	@cd $(PROGRAMS)/node && PATH="$(CURDIR)/$(CLIENTS)/node/bin:$$PATH" npm ci --silent
	@touch $@

# What of the protocol is done, from the code.
docs: install
	$(BIN)/python -m antiphon.protocol.coverage > docs/coverage.md

# The page is built ahead and lies in src/antiphon/web, so that nobody who uses Antiphon needs Node. It is committed.
web: install-dev web/node_modules/.installed
	$(BIN)/python web/message_types.py
	cd web && $(NODE) npm run --silent test && $(NODE) npm run --silent build
	$(BIN)/python web/stamp.py

web/node_modules/.installed: web/package-lock.json $(CLIENTS)/node/.installed
	@echo "== installing what the page is built with"
	@cd web && $(NODE) npm ci --silent
	@touch $@

# A real browser with a recorded microphone, two at a time but where a short time is measured. Screenshots stay in build/e2e.
e2e: install-dev browser web/node_modules/.installed $(PROGRAMS)/node/node_modules/.installed
	cd web && $(NODE) npm run --silent test
	$(BIN)/python -m pytest -q -n 2 $(AGAIN) tests/e2e

# A sound card and a screen in memory: both programs of the desktop end to end.
desktop: install-dev desktop-test-deps
	$(BIN)/python -m pytest -q -n 3 --dist loadfile $(AGAIN) tests/desktop/machine

# Installs what is missing, by Debian's package tool: as root, or by sudo where it asks nothing.
desktop-test-deps: install-dev
	@PYTHONPATH=tests $(BIN)/python tests/desktop/machine/parts.py --install

# An upstream, a worker, Redis: killed in turn. A new version beside the old one. Needs redis-server, and skips without.
survival: install-dev
	$(BIN)/python -m pytest -q $(AGAIN) tests/survival

# Two machines of Ray's, both on this one. In an environment of their own: Ray is large.
cluster: .venv-cluster/.installed
	.venv-cluster/bin/python -m pytest -q -p no:cacheprovider $(AGAIN) --disable-warnings -W default tests/cluster

.venv-cluster/.installed: tests/cluster/cluster.lock $(VENV)/bin/python
	@echo "== installing Ray Serve and us beside it"
	@rm -rf .venv-cluster
	@$(BIN)/python -m venv .venv-cluster
	@.venv-cluster/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@.venv-cluster/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

browser: install-dev
	@PYTHONPATH=tests $(BIN)/python tests/e2e/browser.py --install

# Three points for us and for the others, and what a core holds, in under 15 minutes on two cores. docs/load.md and docs/experiments.md are made of it.
bench: install-dev install-peers
	$(BIN)/python bench/density.py --sessions 200 --seconds 14 --ungated
	$(BIN)/python bench/gate.py
	$(BIN)/python bench/peers.py --json build/bench/peers.json
	$(BIN)/python bench/results.py build/bench/peers.json
	$(BIN)/python bench/codec.py
	$(BIN)/python bench/experiments.py --write

# All points, and how well requests and ends of turns are recognised: an hour.
bench-full: install-dev install-peers
	$(BIN)/python bench/density.py --sessions 25 50 100 150 200 250 --ungated --baseline
	$(BIN)/python bench/gate.py
	$(BIN)/python bench/peers.py --full --json build/bench/peers.json
	$(BIN)/python bench/results.py build/bench/peers.json
	$(BIN)/python bench/latency.py
	$(BIN)/python bench/relay.py
	$(BIN)/python bench/resume.py
	$(BIN)/python bench/codec.py
	$(BIN)/python bench/experiments.py --write
	$(BIN)/python bench/hearing.py
	$(BIN)/python bench/rejection.py
	$(BIN)/python bench/transcription.py
	$(BIN)/python bench/endpointing.py
	$(BIN)/python bench/webrtc.py

# What the guard holds changes against, for the Python that is here: see tests/runtime/test_costs.py.
costs: install-dev
	ANTIPHON_WRITE_COSTS=1 $(BIN)/python -m pytest -q tests/runtime/test_costs.py

clean:
	rm -rf $(VENV) $(CLIENTS) .venv-peers .venv-audit .venv-cluster $(PROGRAMS)/node/node_modules web/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
