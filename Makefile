# make train   trains PPO on the embedded threat data and says which criteria it meets
# make test    the project's tests
# make gates   every suite whose data is there, training what is missing
.PHONY: train test gates verify bench lint clean

PYTHON ?= python3
# Where the public datasets lie, each in a folder of its own (nsl-kdd/, …).
DATA ?= ../shared/data
SUITES ?= suites/
BIN := .venv/bin

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

train: .venv/installed
	$(BIN)/python train.py agent=ppo env=threat

test: .venv/installed
	$(BIN)/python -m pytest tests -n 2 --dist worksteal -m "not verify"

gates: .venv/installed
	$(BIN)/python -m pytest $(SUITES) --rl-train-missing --rl-data $(DATA)

verify: .venv/installed
	$(BIN)/python -m pytest tests -m verify

bench: .venv/installed
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.gae
	$(BIN)/python -m benchmarks.replay
	$(BIN)/python -m benchmarks.stepping
	$(BIN)/python -m benchmarks.evaluate
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.same_work
	$(BIN)/python -m benchmarks.threat --data $(DATA)
	$(BIN)/python -m benchmarks.qase_stepping
	$(BIN)/python -m benchmarks.qase_import
	$(BIN)/python -m benchmarks.seeds
	$(BIN)/python -m benchmarks.lunarlander
	$(BIN)/python -m benchmarks.lunarlander --agent dqn --seeds 5 --peer-seeds 1

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
