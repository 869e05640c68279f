# oomwatch: make run, make test, make demo; the rest is for those who work on it.
GO      ?= go
BIN     := bin/oomwatch
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
BUILD   := github.com/oomwatch/oomwatch/internal/build
LDFLAGS := -s -w -X $(BUILD).version=$(VERSION) -X $(BUILD).commit=$(COMMIT)
# How long each fuzz target runs.
FUZZTIME ?= 30s
# How long soak-hour soaks.
CHURN ?= 1h
# Which machines lab-vm boots; see test/vm/README.md.
VM_SUITES ?= trixie bookworm
export CGO_ENABLED = 0

# How long the readers of make fault read.
CROWD ?= 1m

SEED ?= $(shell date +%s)
.PHONY: build run test e2e demo bench leaks leaks-sim restarts soak soak-hour fault fault-table race lab-vm lab-pods lab-crio lab-kubelet containerd model fuzz lint lab browser clean

build: ## one static binary
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(BIN) ./cmd/oomwatch

run: build ## follow this machine, with the embedded store, asking for nothing
	./$(BIN) run

lab: ## what the private test engine and the tests of receivers need, from Debian's or Ubuntu's packages
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then sh test/lab/ensure.sh; fi

browser: ## what the tests of the page need: Chromium from Debian's or Ubuntu's packages, axe-core from npm
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && ! command -v chromium >/dev/null 2>&1; then \
		apt-get -o DPkg::Lock::Timeout=300 update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; fi
	@sh test/browser/ensure.sh

# What each real death was told as, as a table; see test/lab/matrix.go.
MATRIX  := bin/matrix.txt
print_matrix = $(GO) run ./test/lab/cmd/lab matrix $(MATRIX)

# All packages but the end-to-end tests, each with what its tests import, and what
# tells those that need a real engine, kernel log or cgroup.
packages   = $(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | grep -v '^[^ ]*/test/e2e '
needs_real = oomwatch/test/(lab|real)[] ]

test: lab browser ## everything, on a private Docker engine, the real kernel log and real cgroups
	$(GO) vet ./...
	@mkdir -p bin && : >$(MATRIX)
	# One package at a time: the kernel prints the cgroup of only ten kills in
	# five seconds for the whole machine, so tests that kill must not overlap.
	@status=0; \
	test/again OOMWATCH_MATRIX=$(CURDIR)/$(MATRIX) $(GO) test -p 1 -count 1 -timeout 25m ./test/e2e || status=1; \
	$(print_matrix) || status=1; \
	test/again $(GO) test -p 1 -count 1 -timeout 25m $$($(packages) | grep -E '$(needs_real)' | cut -d' ' -f1) || status=1; \
	$(GO) test -count 1 -timeout 25m $$($(packages) | grep -vE '$(needs_real)' | cut -d' ' -f1) || status=1; \
	exit $$status

e2e: lab ## only the tests that run the binary against a real engine
	@mkdir -p bin && : >$(MATRIX)
	@status=0; \
	OOMWATCH_MATRIX=$(CURDIR)/$(MATRIX) $(GO) test -count 1 -timeout 25m -v ./test/e2e || status=1; \
	$(print_matrix) || status=1; \
	exit $$status

demo: build lab ## cause one real OOM on a private engine and show the alert
	$(GO) run ./test/lab/cmd/lab demo -oomwatch ./$(BIN)

bench: lab build ## latency, cost and speed, printed
	$(GO) run ./kmsg/internal/vsgrep -oomwatch ./$(BIN)
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./test/e2e
	$(GO) test -run '^$$' -bench . -benchmem ./kmsg ./cgroup ./correlate ./redact ./store ./trace ./trend ./triage/... ./verdict
	$(GO) test -run '^$$' -bench IncidentToPost -benchtime 1x ./daemon

leaks-sim: ## a thousand made-up months of healthy and leaking services, judged daily (SEED=N, ROUNDS=N)
	$(GO) test -tags leaks ./triage/internal/months -run '^TestLong$$' -rounds $(or $(ROUNDS),10) -seed $(or $(SEED),1) -count 1 -v -timeout 60m

leaks: lab ## an hour of real programs that leak, and of some that only look so (LEAKS=4m for less)
	OOMWATCH_LEAKS=$(LEAKS) $(GO) test -tags leaks -run '^TestRealLeaks$$' -count 1 -v -timeout 90m ./test/e2e

restarts: lab ## end the daemon around deaths and start it again, 20 times a row: no death told twice, none made up
	$(GO) test -run '^TestRestarts$$' -restarts 20 -count 1 -v -timeout 60m ./test/e2e

soak: lab ## a thousand random real deaths, and what each was told as
	$(GO) test -tags soak -run '^TestSoak$$' -count 1 -v -timeout 60m ./test/e2e

soak-hour: lab ## an hour of containers that come and go: the daemon's own memory and descriptors stay flat (CHURN=5m for less)
	OOMWATCH_CHURN=$(CHURN) $(GO) test -tags soak -run '^TestSoakChurn$$' -count 1 -v -timeout 90m ./test/e2e

fault: ## kill the daemon 400 times, break its disk, attack it by its inputs and readers (CROWD=5m: for longer)
	$(GO) test -tags fault -count 1 -v -parallel 4 -timeout 20m ./test/fault -crowd $(CROWD)

fault-table: ## make fault with five minutes of readers, and its results written into SECURITY.md
	OOMWATCH_FAULT_TABLE=$(CURDIR)/SECURITY.md $(MAKE) fault CROWD=5m

# What the race detector watches: all packages but the tests of other processes, of whole
# machines and of text. Those of RACE_REAL have a real engine and kill, so they run one
# after the other; of the commands only what runs the daemon is run. Skipped is what takes
# minutes there and goes no way that others do not: 30 MB through the store's SQLite, each
# prefix of each log, 20 MB labels.
RACE_SKIP := ^(TestMemoryIsBounded|TestMoreIsOwedThanMemoryHolds|TestHostileSizes|TestAnyPrefix|TestForeignPrefix|TestHugeLabels)$$
RACE_REAL := ./audit/gather ./watcher/docker ./watcher/cri
RACE_CMD  := ^(TestReload|TestTellsTheSupervisor|TestDeliversWhatIsOwedAndEndsInOrder|TestEndsInTimeWithAHungReceiver|TestSecondInstanceIsRefused|TestHistoryFollow)$$
RACE_NOT  := /test/|/cmd/|/audit/gather$$|/watcher/docker$$|/watcher/cri$$|/kmsg/internal/|/internal/months$$
with_race = CGO_ENABLED=1 $(GO) test -race -count 1 -timeout 10m

race: lab ## the race detector over all packages; needs gcc
	$(with_race) -skip '$(RACE_SKIP)' $$($(GO) list ./... | grep -vE '$(RACE_NOT)')
	$(with_race) -p 1 -skip '$(RACE_SKIP)' $(RACE_REAL)
	$(with_race) -run '$(RACE_CMD)' ./cmd/oomwatch

lab-vm: ## the same deaths in virtual machines: cgroup v2, other kernels and engines; needs no root engine here
	test/vm/lab $(VM_SUITES)

# The containerd that lab-pods builds beside the system's.
CONTAINERD_VERSION ?= v2.4.2
CONTAINERD_DIR     := $(CURDIR)/bin/containerd-$(CONTAINERD_VERSION)
pod_tests = OOMWATCH_PODS_LARGE=1 OOMWATCH_MATRIX=$(CURDIR)/$(MATRIX) $(GO) test -p 1 -count 1 -timeout 20m -v -run 'TestPod|TestRuntime|TestUnread' ./test/e2e ./watcher/cri

containerd:
	@mkdir -p $(CONTAINERD_DIR)
	for p in containerd ctr containerd-shim-runc-v2; do \
		test -x $(CONTAINERD_DIR)/$$p || GOBIN=$(CONTAINERD_DIR) GOFLAGS= $(GO) install github.com/containerd/containerd/v2/cmd/$$p@$(CONTAINERD_VERSION) || exit 1; \
	done

lab-pods: lab containerd ## pods in every way: on two containerds, on CRI-O, on a node of Kubernetes, on cgroup v2 in machines; an hour, the first time more
	@mkdir -p bin && : >$(MATRIX)
	@status=0; \
	$(pod_tests) || status=1; \
	OOMWATCH_CONTAINERD=$(CONTAINERD_DIR) $(pod_tests) || status=1; \
	$(print_matrix) || status=1; \
	make lab-crio || status=1; \
	make lab-kubelet || status=1; \
	test/vm/lab -p 'pods pods-systemd' trixie || status=1; \
	exit $$status

# The CRI-O that lab-crio builds.
CRIO_VERSION ?= v1.34.0
CRIO_DIR     := $(CURDIR)/bin/crio-$(CRIO_VERSION)

lab-crio: lab ## pods in every way on CRI-O, which it builds once in ten minutes: every cause, printed
	test/lab/pods/build-crio.sh $(CRIO_DIR) $(CRIO_VERSION)
	@: >$(MATRIX)
	@status=0; \
	OOMWATCH_CRIO=$(CRIO_DIR) $(pod_tests) ./audit/gather -tags crio -skip '^TestUnread$$' || status=1; \
	$(print_matrix) || status=1; \
	exit $$status

# The Kubernetes that lab-kubelet builds.
KUBERNETES_VERSION ?= v1.37.2
KUBERNETES_DIR     := $(CURDIR)/bin/kubernetes-$(KUBERNETES_VERSION)

lab-kubelet: lab containerd ## pods on a real node of Kubernetes, which it builds once in ten minutes: every cause, printed
	test/lab/kubelet/build.sh $(KUBERNETES_DIR) $(KUBERNETES_VERSION)
	@: >$(MATRIX)
	@status=0; \
	OOMWATCH_CONTAINERD=$(CONTAINERD_DIR) OOMWATCH_KUBERNETES=$(KUBERNETES_DIR) OOMWATCH_MATRIX=$(CURDIR)/$(MATRIX) \
		$(GO) test -tags kubelet -count 1 -timeout 20m -v -run '^TestKubelet' ./test/e2e || status=1; \
	$(print_matrix) || status=1; \
	exit $$status

model: ## 20,000 random histories of the join, of SEED
	$(GO) test ./correlate -run '^TestModel$$' -count 1 -timeout 30m -rapid.checks=20000 -rapid.seed=$(SEED)

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg; \
		done; done

lint: ## gofmt, vet and, where it is installed, golangci-lint
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	@if command -v golangci-lint >/dev/null 2>&1; then golangci-lint run; else echo "golangci-lint is not installed: gofmt and vet only"; fi

clean:
	rm -rf bin dist
