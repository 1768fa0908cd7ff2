# Everything here also works without make; each target is a line or two of go.
GO          ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     ?= $(GO) run mvdan.cc/gofumpt@v0.12.0
FUZZTIME    ?= 30s
VERSION     ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo dev)

PLATFORMS   ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.DEFAULT_GOAL := help
.PHONY: help up build release test race lint format vet cross imports staticcheck tidy fuzz bench soak screenshots compose-scene image

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## start three nodes in this terminal
	$(GO) run ./cmd/caucus up

build: ## build bin/caucus, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/caucus ./cmd/caucus

# The same commit and Go give the same bytes, wherever and whenever: what could make a
# difference is set here: paths (-trimpath), how Git was called (-buildvcs; VERSION has the
# commit), the processor's level, flags of one's own.
release: export CGO_ENABLED := 0
release: export GOFLAGS :=
release: export GOAMD64 := v1
release: export GOARM64 := v8.0
release: ## build dist/caucus-SYSTEM-PROCESSOR for Linux, macOS and Windows, with SHA256SUMS
	@rm -rf dist && mkdir dist
	@set -e; for p in $(PLATFORMS); do \
	  os=$${p%/*}; arch=$${p#*/}; name=caucus-$$os-$$arch; \
	  case $$os in darwin) name=caucus-macos-$$arch;; windows) name=$$name.exe;; esac; \
	  GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o dist/$$name ./cmd/caucus; \
	  echo "dist/$$name $$(( ($$(wc -c <dist/$$name) + 524288) / 1048576 )) MiB"; \
	done
	@cd dist && { command -v sha256sum >/dev/null && sha256sum caucus-* || shasum -a 256 caucus-*; } >SHA256SUMS
	@cat dist/SHA256SUMS

test: ## run the tests
	$(GO) test ./...

race: ## run the tests under the race detector
	GOFLAGS=-race $(GO) test ./...

lint: format vet cross staticcheck imports tidy ## check format, vet, other systems, staticcheck, import direction, go.mod

format: ## list files that gofumpt would change
	@out=$$($(GOFUMPT) -l .); if [ -n "$$out" ]; then echo "not formatted (run gofumpt -w on them):"; echo "$$out"; exit 1; fi

vet: ## run go vet
	$(GO) vet ./...
	$(GO) vet -tags compose,bench,screenshots . ./bench ./cluster ./node/web

# Compiling for another system needs nothing of it. Vet also looks at the tests. Nothing is
# run, so nothing is optimised: that takes a third off the time with an empty cache.
cross: export CGO_ENABLED := 0
cross: UNOPTIMISED := -gcflags='all=-N -l'
cross: ## check that what teammates run compiles: Windows, macOS, 32 bits
	GOOS=windows $(GO) vet $(UNOPTIMISED) ./...
	GOOS=darwin $(GO) build $(UNOPTIMISED) ./...
	GOOS=linux GOARCH=386 $(GO) build $(UNOPTIMISED) ./...

staticcheck: ## run staticcheck
	$(STATICCHECK) ./...

imports: ## check that imports point one way (docs/architecture.md)
	$(GO) test -count=1 -run 'TestImports' .

tidy: ## check that go.mod and go.sum are what go mod tidy makes
	$(GO) mod tidy -diff

# Making one interesting input small takes up to a minute unless bounded, and so a target's whole time.
fuzz: ## run every fuzz target for FUZZTIME (30s)
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x $$p || exit 1; \
	  done; done

bench: ## print the speed figures, as ratios against baselines taken in the same run
	$(GO) test -tags bench -count=1 -timeout 30m -run "^TestSpeed$$" -v ./bench | grep -v "^ *\(---\|===\|PASS\)"

soak: ## measure what takes long: an hour, as root for the scenes (SOAK=overload for one part)
	$(GO) test -tags bench -count=1 -timeout 3h -run "^TestSoak$$/$(SOAK)" -v ./bench | grep -v "^ *\(---\|===\|PASS\)"

screenshots: ## take the pictures in docs/images anew (needs Chromium)
	$(GO) test -tags screenshots -count=1 -timeout 10m -run '^TestScreenshots' -v ./node/web | grep -E '\.png|FAIL|^ok'

image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) -t caucus:local .

compose-scene: ## play the Compose scene on docker-compose.yml (needs Docker with Compose v2)
	$(GO) test -tags compose -count=1 -timeout 15m -run '^TestCompose' -v .
