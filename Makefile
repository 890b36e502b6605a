# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0

OTELCOL  := _build/otelcol-auditkill
AUDITKILL := _build/auditkill
FLEET    := _build/fleet/otelcol-fleet
LOKI     := _build/loki
TOOL     := go tool -modfile=$(CURDIR)/tools/go.mod
LINT     := go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
# A failed test runs once more, and the output says so: on a busy machine a test that plays a story on a real kernel may come too late.
GOTEST   := $(TOOL) gotestsum --format standard-quiet --rerun-fails=1 --rerun-fails-max-failures=5 --rerun-fails-run-root-test
MODULES  := $(dir $(shell find . -name go.mod -not -path './_build/*'))
SOURCES  := $(shell find . -name '*.go' -not -name '*_test.go' -not -path './_build/*' -not -path './tools/*' -not -path './e2e/*' -not -path './bench/*')
GENERATED = ':(glob)**/generated_*.go' ':(glob)**/*_bpfel.*' ':(glob)**/documentation.md' README.md exporter/consoleexporter/README.md
VERSION  := $(shell sed -n 's/^  version: //p' builder-config.yaml)
VERSIONED := github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/command.version
FUZZTIME ?= 100000x
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.7.0
# The folders of end-to-end tests are those that have a TestMain.
DIR      ?= $(notdir $(patsubst %/main_test.go,%,$(wildcard e2e/*/main_test.go)))

# Go turns cgo off by itself where there is no C compiler, and the race detector needs cgo.
RACE     := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# A newcomer's machine has no audit log that this user may read: the classic example stands in for it.
AUDIT_LOG ?= $(or $(shell test -r /var/log/audit/audit.log && echo /var/log/audit/audit.log),testdata/seed.log)
export AUDIT_LOG

# The version comes from builder-config.yaml, and asking git fails in a checkout that belongs to somebody else (sudo).
export GOFLAGS += -buildvcs=false

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help otelcol auditkill loki run demo unit test e2e lint generate check-generated bump tidy check-tidy fuzz bench counts bench-file bench-netlink bench-ebpf bench-gateway bench-growth curves clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

otelcol: $(OTELCOL) ## build the collector with the receiver: _build/otelcol-auditkill

# The checksum database does not know every module of the elasticsearch exporter, so their sums lie in the repository.
$(OTELCOL): builder-config.yaml builder-config.sum go.mod $(SOURCES)
	mkdir -p _build
	cp builder-config.sum _build/go.sum
	$(TOOL) builder --config builder-config.yaml

# It stands in for the stock otelcol-contrib, which is five times as large.
$(FLEET): e2e/programs/fleet/builder-config.yaml e2e/programs/fleet/builder-config.sum
	mkdir -p $(dir $(FLEET))
	cp e2e/programs/fleet/builder-config.sum $(dir $(FLEET))go.sum
	$(TOOL) builder --config e2e/programs/fleet/builder-config.yaml

auditkill: $(AUDITKILL) ## build the command-line companion: _build/auditkill

$(AUDITKILL): builder-config.yaml go.mod $(SOURCES)
	mkdir -p _build
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X $(VERSIONED)=$(VERSION)' -o $@ ./cmd/auditkill

loki: ## build a Loki, and promtool, for the end-to-end tests, which ask for it in LOKI_BIN
	cd e2e/programs/loki && go build -o $(CURDIR)/$(LOKI) github.com/grafana/loki/v3/cmd/loki && go tool -n promtool >/dev/null
	@echo 'export LOKI_BIN=$(CURDIR)/$(LOKI)'

run: $(OTELCOL) ## build and run it with configs/quickstart.yaml on AUDIT_LOG
	@$(OTELCOL) --config configs/quickstart.yaml

# PICTURE is a file for a picture of the page, instead of a fleet that stays. With CI=true it fails and says so if a package is missing.
PICTURE ?=

demo: $(OTELCOL) ## run a fleet of five hosts on this machine, with kills to look at in VictoriaLogs; takes root
	cd e2e/demo && umask 022 && CI=true go test -count=1 -timeout 0 -v -run '^TestDemo$$' . $(if $(PICTURE),-picture '$(abspath $(PICTURE))',-stay)

# The tests say themselves that they are skipped, but go test ./... shows that only of packages that fail. Those that need
# no kernel have no excuse to fail once.
unit: ## run the tests that need no root and no kernel; takes less than a minute once everything is compiled
	@echo 'Tests that need root and the kernel are SKIPPED here; "sudo make test" runs them.'
	umask 022 && KERNEL_TESTS=skip go test -timeout 5m ./...
	go test -C tools ./...
	go test -C tools/sigma ./...

test: ## run all tests, the end-to-end tests of the built collector last
	@$(if $(RACE),,echo 'No C compiler found: testing without the race detector.')
	umask 022 && $(GOTEST) --packages ./... -- $(RACE) -timeout 10m
	go vet ./...
	go test -C tools ./...
	go test -C tools/sigma ./...
	umask 022 && $(MAKE) e2e

# One folder after the other, as a kernel has one audit system. Other users run what is built, where root's umask may be
# one that forbids it.
e2e: $(OTELCOL) $(AUDITKILL) $(FLEET) ## run the end-to-end tests, of DIR only (such as sources), and there RUN only (a pattern)
	@failed=; for dir in $(DIR); do \
		(cd e2e/$$dir && umask 022 && $(if $(RUN),go test,$(GOTEST) --packages . --) -count=1 -timeout 30m $(if $(RUN),-v -run '$(value RUN)')) || failed="$$failed $$dir"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# What they choose: amd64, arm64 or both; folders of packages; names of tests.
KERNELS  ?= amd64 arm64
PACKAGE  ?=
RUN      ?=

.PHONY: test-kernels emulator
test-kernels: emulator ## run what touches the kernel on Debian 12's; KERNELS=arm64 PACKAGE=internal/outcome RUN=TestZombie
	for arch in $(KERNELS); do $(MAKE) binary ARCH=$$arch || exit 1; done
	cd e2e && go test ./kernels && go run ./kernels -kernels '$(KERNELS)' -packages '$(PACKAGE)' -run '$(value RUN)'

emulator:
	@for program in qemu-system-x86_64 qemu-system-aarch64 mkfs.ext4; do \
		PATH=$$PATH:/sbin:/usr/sbin command -v $$program >/dev/null && continue; \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends e2fsprogs qemu-system-arm qemu-system-x86; exit; \
	done

# tools/goreleaser needs a newer Go than all else, so its test is here, where what publishes is checked, rather than in make test.
# Without -count=1 Go would keep the result of a file that is outside of the module.
lint: ## go vet and golangci-lint over every module with code of ours, actionlint over the workflows, and GoReleaser's own check
	$(TOOL) actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
	go test -C tools/goreleaser -count=1 ./...
	for dir in . $(wildcard e2e e2e/programs/kubernetes e2e/programs/charts) bench/gateway tools tools/sigma; do (cd $$dir && go vet ./... && $(LINT) run ./...) || exit 1; done

# The programs for the kernel are compiled by clang 14 with the headers of libbpf 1.1 (Debian 12: clang llvm libbpf-dev).
# They lie in the repository, so that only who changes them needs these.
generate: ## regenerate code and documentation from metadata.yaml, and the eBPF programs
	go generate ./...
	find . -name 'generated_*.go' -not -path './_build/*' -exec \
		$(TOOL) goimports -w -local github.com/auditkill/auditkillreceiver {} +
	chmod -R go+rX documentation.md generated_*.go internal/metadata* connector/killincident exporter/consoleexporter

check-generated: generate ## fail if a generated file is not up to date
	git diff --exit-code -- $(GENERATED)
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); test -z "$$new" || { echo "not committed: $$new"; exit 1; }

# VERSION also is a variable of this file, which says the version of our own: only the one that was typed counts.
bump: ## move all files to another version of the collector: VERSION=v0.N.0 STABLE=v1.N.0, perhaps ELASTIC=v0.N.0
	tools/bump.sh '$(if $(filter command,$(origin VERSION)),$(VERSION))' '$(STABLE)' '$(ELASTIC)'

# A collector module that go.mod does not pin is silently taken at its newest version: look at the diff.
tidy: ## go mod tidy in every module, and the checksums of the distribution
	for dir in $(MODULES); do (cd $$dir && go mod tidy) || exit 1; done
	$(MAKE) $(OTELCOL) $(FLEET)
	cmp -s _build/go.sum builder-config.sum || cp _build/go.sum builder-config.sum
	cmp -s $(dir $(FLEET))go.sum e2e/programs/fleet/builder-config.sum || cp $(dir $(FLEET))go.sum e2e/programs/fleet/builder-config.sum

check-tidy: $(OTELCOL) $(FLEET) ## fail if `make tidy` would change something
	for dir in $(MODULES); do (cd $$dir && go mod tidy -diff) || exit 1; done
	diff builder-config.sum _build/go.sum
	diff e2e/programs/fleet/builder-config.sum $(dir $(FLEET))go.sum

# Not for a time: at its end the fuzzer sometimes takes the end itself for a failure (go.dev/issue/75804). Left to itself,
# it spends a minute on making each interesting input smaller.
fuzz: ## run each fuzz target for FUZZTIME, a number of inputs such as 20000x
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n 1 dirname | sort -u); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$dir/*_test.go); do \
			echo "$$dir $$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x $$dir; \
		done; \
	done

bench: ## run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

counts: ## fail if a hot path needs more memory than is on record in bench/counts.txt; UPDATE=-update puts it on record
	go build -C tools -o $(CURDIR)/_build/counts ./counts
	_build/counts $(UPDATE)

bench-file: $(OTELCOL) $(AUDITKILL) ## measure the collector and auditkill on a large audit log
	bench/file/run.sh

bench-netlink: $(OTELCOL) ## measure the live source beside auditd; as root
	go run ./bench/live

bench-gateway: $(OTELCOL) $(FLEET) ## measure gateways with 10, 100 and 1,000 hosts, and an incident tier
	go build -C bench/gateway -o $(CURDIR)/_build/bench-gateway
	_build/bench-gateway

bench-ebpf: $(OTELCOL) ## measure the ebpf source beside auditd and bpftrace; as root
	go run ./bench/live -parts "tracing throughput burst idle outcomes behind"

bench-growth: $(OTELCOL) ## measure how CPU time and memory grow with the host; as root, some nine minutes
	go run ./bench/live -parts growth

curves: ## draw the picture of the table in docs/performance.md that bench-growth has printed
	go build -C tools -o $(CURDIR)/_build/curves ./curves
	_build/curves

# The packages' collector is built from what `make otelcol` has generated, for any processor that the kernel programs are for.
ARCH     := $(shell go env GOARCH)
PACKAGED := _build/linux_$(ARCH)
PACKAGES := _build
PAGES    := _build/man

.PHONY: packages binary $(PACKAGED)/auditkill $(PAGES)
binary: $(PACKAGED)/otelcol-auditkill $(PACKAGED)/auditkill ## build both static binaries for ARCH (amd64, arm64) in _build/linux_$(ARCH)

$(PACKAGED)/otelcol-auditkill: $(OTELCOL)
	cd _build && CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -tags grpcnotrace -ldflags '-s -w' -o $(CURDIR)/$@ .

# These two tell VERSION, which may be another than that of the last time; go itself knows whether anything is to be done.
$(PACKAGED)/auditkill:
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -ldflags '-s -w -X $(VERSIONED)=$(VERSION)' -o $@ ./cmd/auditkill

$(PAGES):
	rm -rf $@
	go run -ldflags '-X $(VERSIONED)=$(VERSION)' ./cmd/auditkill/man $@
	sed 's/@VERSION@/$(VERSION)/' deploy/packaging/otelcol-auditkill.1 > $@/otelcol-auditkill.1
	cp CHANGELOG.md $@/changelog
	printf 'otelcol-auditkill (%s-1) stable; urgency=medium\n\n  * changelog.gz says what is new.\n\n -- %s  %s\n' '$(VERSION)' \
		'The auditkill Authors <auditkill@users.noreply.github.com>' \
		"$$(LC_ALL=C date -u -R -d @$${SOURCE_DATE_EPOCH:-$$(stat -c %Y CHANGELOG.md)})" > $@/changelog.Debian
	gzip -9n $@/*.1 $@/changelog $@/changelog.Debian

packages: binary $(PAGES) ## build the .deb and the .rpm for ARCH in PACKAGES (_build)
	for kind in deb rpm; do ARCH=$(ARCH) VERSION=$(VERSION) go tool -modfile=tools/nfpm/go.mod nfpm package \
		--config deploy/packaging/nfpm.yaml --packager $$kind --target $(PACKAGES) || exit 1; done

# Not a part of .ci/run: it takes https://vuln.go.dev, whose database changes without any change here. VULNDB is a folder of a
# snapshot of it, for a machine that cannot reach it.
VULNDB   ?=

.PHONY: vulnerabilities
vulnerabilities: $(OTELCOL) ## look up in Go's vulnerability database, or in a snapshot of it in VULNDB, what both programs call
	go run $(GOVULNCHECK) $(if $(VULNDB),-db 'file://$(abspath $(VULNDB))') ./...
	cd _build && go run $(GOVULNCHECK) $(if $(VULNDB),-db 'file://$(abspath $(VULNDB))') -tags grpcnotrace .

.PHONY: manifests
manifests: ## put the configurations into the ConfigMaps of deploy/kubernetes, at whose end they are, and a checksum beside them
	for pair in agent=agent gateway=gateway quickstart=kubernetes; do name=$${pair#*=}; file=deploy/kubernetes/$${pair%=*}.yaml; \
		sed -i "/^  $$name.yaml: |$$/q" $$file && sed 's/^./    &/' configs/$$name.yaml >> $$file || exit 1; done
	sum=$$(sha256sum < configs/kubernetes.yaml) && sed -i "s|{checksum/config: .*}|{checksum/config: \"$${sum%% *}\"}|" deploy/kubernetes/quickstart.yaml
	cp configs/kubernetes.yaml deploy/helm/auditkill/files/

clean: ## remove what was built
	rm -rf _build
