# `make demo` and `make test` each set up all they need. CONTRIBUTING.md says the rest.
PYTHON ?= python3
BIN = .venv/bin
export HF_HUB_OFFLINE = 1

.PHONY: install demo test check bench docs clean
install: .venv/.installed

# pip, not uv: the constraints pin torch to a version whose CPU build is small.
.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[maps,index,onnx,offline,bench,dev]"
	touch $@

demo: install
	$(BIN)/separatrix demo --out runs/demo

# Two processes of one thread each: many small matrices gain nothing from threads and lose much where they meet.
test: export OMP_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: install
	$(BIN)/ruff format --check src tests benchmarks studies examples
	$(BIN)/ruff check src tests benchmarks studies examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

bench: install
	$(BIN)/python benchmarks/prompt_vs_peft.py
	$(BIN)/python benchmarks/memory_disk_cache.py

docs: install
	$(BIN)/python -m pytest tests/test_docs.py

clean:
	rm -rf .venv runs build dist
