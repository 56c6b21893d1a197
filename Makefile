# The project's commands; plain `make` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PORT ?= 8080
MODEL ?= demo
TORCH_INDEX_URL ?=
TOOL ?= docker
CHECKOV_VERSION := 3.3.30
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gguf-lambda

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
LLAMA_CPP_VERSION := $(shell sed -n 's/.*"llama-cpp-python==\([0-9.]*\)".*/\1/p' pyproject.toml)
LOCKS := runtime gateway wheel build dev bench
# As in the image.
HUGE_PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
export PYTHONPATH := lambda

# The wheel is built once per machine for each version, recipe and Python.
WHEEL_KEY := $(shell { cat requirements/llama-cpp.txt requirements/llama-cpp.cmake; uname -sm; } | cksum | cut -d' ' -f1)
WHEELS := $(CACHE)/wheels/$(WHEEL_KEY)

# ninja's "[n/m]" lines, one for each tenth of the way.
define SHOW_PROGRESS
match($$0, /\[[0-9]+\/[0-9]+\]/) {
  split(substr($$0, RSTART + 1, RLENGTH - 2), count, "/")
  tenth = int(count[1] * 10 / count[2])
  if (tenth > told) { printf "   compiled %d of %d files\n", count[1], count[2]; fflush(); told = tenth }
}
endef
export SHOW_PROGRESS

say = @printf '== %s\n' "$(1)"

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# 10,240 MB, the most a function can have: the laptop's CPUs are the limit.
.PHONY: run
run: $(VENV)/.run ## serve http://127.0.0.1:8080 (PORT=, MODEL= a name under models/ or a .gguf)
	@exec $(BIN)/python -m local_gateway --port $(PORT) --memory-mb 10240 --health-path /health -- \
	    env $(HUGE_PAGES) MODEL_PATH="$$(if [ -e '$(MODEL)' ]; then echo '$(MODEL)'; else echo 'models/$(MODEL)'; fi)" \
	    $(abspath $(BIN))/python -m gguf_lambda

.PHONY: test
test: $(VENV)/.test ## install what the tests need and run them all
	@$(BIN)/pytest $(ARGS)

.PHONY: check
check: $(VENV)/.test ## format, lint, types, terraform fmt and validate; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy lambda tests bench
	@$(BIN)/pytest --quiet tests/infra/test_terraform_test.py -k formatted_and_valid

.PHONY: format
format: $(VENV)/.test ## format and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: model
model: $(VENV)/.build ## build models/NAME from Hugging Face (MODEL=NAME)
	@$(BIN)/python -m model_build build $(MODEL)

.PHONY: openapi
openapi: $(VENV)/.test ## write infra/openapi.json anew from the code
	@$(BIN)/python -m gguf_lambda.openapi | $(BIN)/python infra/simplify_openapi.py >infra/openapi.json.new
	@mv infra/openapi.json.new infra/openapi.json

.PHONY: image
image: ## build the container image (MODEL= a folder under models/, TOOL= docker, podman, buildah)
	@$(TOOL) build --build-arg MODEL=$(MODEL) --build-arg MODEL_FROM=folder -t gguf-lambda:$(MODEL) .

.PHONY: image-test
image-test: $(VENV)/.test ## build the image with buildah and run it as Lambda does (as root)
	@IMAGE_TEST=1 $(BIN)/pytest tests/image $(ARGS)

.PHONY: deploy
deploy: ## terraform apply
	@terraform -chdir=infra init -input=false
	@terraform -chdir=infra apply

.PHONY: destroy
destroy: ## terraform destroy
	@terraform -chdir=infra destroy

.PHONY: audit
audit: $(CACHE)/checkov/.installed ## checkov on infra/ and the Dockerfile
	@$(CACHE)/checkov/bin/checkov -d infra --framework terraform --compact --quiet --skip-download
	@$(CACHE)/checkov/bin/checkov -f Dockerfile --framework dockerfile --compact --quiet --skip-download

.PHONY: soak
soak: $(VENV)/.test ## ten thousand requests in a row: same memory, same answers, same process
	@PYTHONPATH=lambda:tests $(BIN)/python -m soak

.PHONY: bench
bench: $(VENV)/.bench ## measure it beside what one would use instead; rewrites README's figures
	@PYTHONPATH=lambda:. $(BIN)/python -m bench --cache $(CACHE)/bench --readme README.md $(ARGS)

.PHONY: bench-quantizations
bench-quantizations: $(VENV)/.bench ## measure the 4-bit types; rewrites README's table
	@$(HUGE_PAGES) PYTHONPATH=lambda:. $(BIN)/python -m bench.quantizations --cache $(CACHE)/bench --readme README.md $(ARGS)

.PHONY: lock
lock: $(UV) ## resolve requirements/*.txt anew from pyproject.toml
	@constraints=; for group in $(LOCKS); do \
	    $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	        --no-emit-index-url --no-emit-find-links --no-emit-package llama-cpp-python \
	        --custom-compile-command 'make lock' \
	        $$constraints --group $$group -o requirements/$$group.txt; \
	    constraints="$$constraints -c requirements/$$group.txt"; \
	done
	@echo 'llama-cpp-python==$(LLAMA_CPP_VERSION)' | $(UV) pip compile --quiet --no-deps --generate-hashes \
	    --no-annotate --custom-compile-command 'make lock' - -o requirements/llama-cpp.txt
	@echo 'uv==$(UV_VERSION)' | $(UV) pip compile --quiet --generate-hashes \
	    --no-annotate --custom-compile-command 'make lock' - -o requirements/uv.txt

.PHONY: clean
clean: ## remove what make installed here (the cache of built wheels stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(UV): requirements/uv.txt
	$(call say,creating $(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.11." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "Python's venv module is missing; install it (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $@

$(WHEELS)/.built: | $(UV)
	@command -v c++ >/dev/null || \
	    { echo "A C++ compiler is missing; install one (Debian: apt-get install g++, macOS: xcode-select --install)." >&2; exit 1; }
	$(call say,building llama.cpp from source; 5 to 10 minutes and once per machine)
	@mkdir -p $(WHEELS)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/wheel.txt
	@PATH="$(abspath $(BIN)):$$PATH" CMAKE_ARGS='-DCMAKE_PROJECT_llama_cpp_INCLUDE=$(abspath requirements/llama-cpp.cmake)' \
	    $(BIN)/pip wheel --verbose --no-deps --no-build-isolation --no-cache-dir \
	    --no-binary llama-cpp-python --require-hashes -r requirements/llama-cpp.txt \
	    -w $(WHEELS) 2>&1 | tee $(WHEELS)/build.log | awk "$$SHOW_PROGRESS" || \
	    { tail -n 15 $(WHEELS)/build.log; \
	    echo "llama.cpp could not be built; $(WHEELS)/build.log has the whole story." >&2; exit 1; }
	@touch $@

$(CACHE)/checkov/.installed:
	$(call say,installing checkov in an environment of its own)
	@$(PYTHON) -m venv $(CACHE)/checkov
	@$(CACHE)/checkov/bin/pip install --quiet checkov==$(CHECKOV_VERSION)
	@touch $@

$(VENV)/.run: requirements/runtime.txt requirements/gateway.txt $(WHEELS)/.built | $(UV)
	$(call say,installing what the endpoint needs)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes \
	    -r requirements/runtime.txt -r requirements/gateway.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-index $(WHEELS)/*.whl
	@touch $@

$(VENV)/.build: requirements/build.txt requirements/torch.txt $(VENV)/.run
	$(call say,installing what building models needs (PyTorch for CPUs and transformers))
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/build.txt
	@$(BIN)/pip install --quiet --no-deps --require-hashes \
	    $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) -r requirements/torch.txt || \
	    { echo "PyTorch's CPU build was not found; set TORCH_INDEX_URL to PyTorch's index of CPU wheels (pytorch.org, Get Started)." >&2; exit 1; }
	@touch $@

$(VENV)/.test: requirements/dev.txt $(VENV)/.build
	$(call say,installing what the tests need)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.build
	$(call say,installing what the endpoint is measured beside)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@touch $@
