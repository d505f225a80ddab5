# Bare `make` lists the targets. Only demo, test, build and cross are needed by
# users; they want Go, make and git and nothing else.
SHELL      := /bin/bash
GO         ?= go
FUZZTIME   ?= 20s
BENCHTIME  ?= 300ms
N          ?= 10000000
RACE       ?= -short
export CGO_ENABLED ?= 0

# -buildvcs stamps the commit where git is there; elsewhere the build goes on.
VCS     := $(shell git rev-parse --is-inside-work-tree >/dev/null 2>&1 && echo true || echo false)
# Pages on the loopback need no HTTP/2; without it the box's program is 0.5 MiB smaller.
TAGS    := nethttpomithttp2
# What is off the way of a scan is compiled without inlining: 0.35 MiB less.
COLD    := net net/http crypto/tls crypto/x509 encoding/json text/template regexp/... github.com/go-jose/... \
           github.com/pelletier/... github.com/spf13/... gateagent/agent/config gateagent/agent/statuspage gateagent/cmd/gateagent
FLAGS   := -tags $(TAGS) -trimpath -buildvcs=$(VCS) $(foreach p,$(COLD),-gcflags=$(p)=-l)
RELEASE := $(FLAGS) -ldflags "-s -w"
TOOL    := $(GO) tool -modfile=scripts/tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help demo build test check race fmt lint layers cross bench bench-qr bench-start bench-store kills fuzz hil soak page generate clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## one command to see it work: broker, central, 100,000 fictional people, a gate
	bin/gatectl demo $(DEMO)

build: ## both programs into bin/
	@mkdir -p bin
	$(GO) build $(RELEASE) -o bin/ ./cmd/gateagent ./cmd/gatectl

test: ## all tests (parts that need more than Go skip with the reason)
	$(GO) test ./...

race: ## tests with the race detector, the long ones left out (RACE= takes all; needs a C compiler)
	@if $(GO) env CC >/dev/null && command -v "$$($(GO) env CC)" >/dev/null; then \
	   CGO_ENABLED=1 $(GO) test -race $(RACE) ./...; \
	 else \
	   echo "race detector skipped: no C compiler ($$($(GO) env CC)); install gcc to run it"; \
	   $(GO) test ./...; \
	 fi

fmt: ## format the code
	$(TOOL) gofumpt -modpath gateagent -w $$(git ls-files '*.go' | grep -v _templ.go)

lint: ## format check, vet, staticcheck, golangci-lint
	@out=$$($(TOOL) gofumpt -modpath gateagent -l $$(git ls-files '*.go' | grep -v _templ.go)); \
	 if [ -n "$$out" ]; then echo "not formatted (make fmt):"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) golangci-lint run

layers: ## who may import whom, and what may ship
	$(GO) test -count=1 -run 'TestLayers|TestShippedDeps|TestPackageComments|TestModules' ./cmd/gateagent

check: lint layers race ## what a change must pass: format, vet, linters, layers, tests with the race detector

cross: ## static binaries for five kinds of box, their sizes, what each module costs
	$(GO) run ./scripts/cross -flags "$(FLAGS)"

bench: ## benchmarks, baselines in the same run
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

bench-start: ## from the start of the process to the first answer, camera and broker absent
	$(GO) test -count=1 -v -run TestStartToFirstAnswer ./cmd/gateagent

bench-qr: ## the reader beside gozxing, zxing-cpp and zbar (BENCHQR="--dir DIR --json …")
	$(GO) run ./scripts/benchqr $(BENCHQR)

bench-store: ## the data store on N people, every figure beside its bar (N=98000000 is a nation)
	$(GO) run ./scripts/benchstore -n $(N) $(BENCHSTORE)

kills: ## 100 SIGKILLs each while data sets are built, changed, folded, rebased, switched and sorted (3 minutes)
	GATEAGENT_KILLS=100 $(GO) test -count=1 -run 'Kill' ./cache ./cmd/gatectl/dataset

fuzz: ## every fuzz target for FUZZTIME (20s) each (FUZZ="-run /agent/" for some)
	$(GO) run ./scripts/fuzz -time $(FUZZTIME) $(FUZZ)

soak: ## over a real Mosquitto: 1,000 scans, broker killed, central restored; 1 million people to a box, cut and killed; 50 boxes at once
	GATEAGENT_SOAK=1000 $(GO) test -count=1 -v -run 'TestSoak' ./cmd/gatectl
	GATEAGENT_SOAK=1000 $(GO) test -count=1 -v -run 'TestInterrupted|TestFleet' ./cmd/gatectl/serve

hil: ## the release binary on a real arm64 kernel with a USB camera and a relay line (qemu)
	$(GO) run ./scripts/hil $(HIL)

generate: ## pages from templ sources; the time zones of this Go
	cd agent/zones && $(GO) generate .
	cd agent/statuspage && $(GO) tool -modfile=../../scripts/tools/go.mod templ generate

clean: ## remove what was built
	rm -rf bin .cache
