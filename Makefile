# Short verbs; CMake presets and scripts/ do the work. `make help` lists them.

# Cargo may be newer than the shell that runs make.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
packages = @scripts/install-packages.sh
configure = @scripts/configure.sh

.DEFAULT_GOAL := release
.PHONY: release test soak demo bench fuzz asan tsan tidy format check-format check-layers docs clean help

release: ## Build proplet and propctl, optimised and hardened, into build/release (the default)
	$(packages) build
	$(configure) release
	@cmake --build --preset release -j $(JOBS)

test: ## Build everything with address and undefined-behaviour sanitizers and run every test
	$(packages) build test
	$(configure) dev
	@cmake --build --preset dev -j $(JOBS)
	@ctest --preset dev -j $(JOBS)

soak: ## Run the long load and fault tests against the release build (about an hour)
	$(packages) build bench soak
	$(configure) bench
	@cmake --build --preset bench -j $(JOBS)
	@ctest --preset soak

asan: test ## The same as test: its build has the address sanitizer on

demo: release ## Run an encrypted task from a laptop-style tool to a published result, on this machine
	$(packages) demo
	@scripts/demo.sh build/release

tsan: ## Build with the thread sanitizer and run the unit and integration tests
	$(packages) build test
	$(configure) tsan
	@cmake --build --preset tsan -j $(JOBS)
	@ctest --preset tsan -j $(JOBS)

bench: ## Build the benchmarks and print their results as JSON lines
	$(packages) build bench
	$(configure) bench
	@cmake --build --preset bench -j $(JOBS)
	@scripts/bench.sh build/bench

fuzz: ## Run every fuzz target for FUZZ_SECONDS (60)
	$(packages) build checks
	@scripts/fuzz.sh $(FUZZ_SECONDS)

tidy: ## Run clang-tidy over what has changed since it was last clean
	$(packages) build checks
	$(configure) tidy
	@scripts/tidy build/tidy

format: ## Format every source file in place
	$(packages) checks
	@scripts/format

check-format: ## Fail if a source file is not formatted
	$(packages) checks
	@scripts/format --check

check-layers: ## Fail if a folder of src/ uses a layer above it, or a library it must not see
	@scripts/check-layers

docs: ## Write the generated pages of docs/ again
	@scripts/generate-docs

clean: ## Remove build/ (the cached Wasmtime build stays)
	rm -rf build

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
