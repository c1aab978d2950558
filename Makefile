# kedge: a front for meson. `make help` lists what there is.
BUILD = build
SANITIZE =
TESTS =
SEEDS = 1000000
MUTANT =
FIRST = 1
WHAT = guard rpc
PREFIX = /usr/local
# Where Debian's linker and pkg-config look. Meson asks dpkg-dev for it, and guesses lib64 without.
LIBDIR = $(if $(wildcard /etc/debian_version),-Dlibdir=lib)
SECONDS = 60
TARGET =
ENGINE = libfuzzer
MINUTES = 10
SEED =
COMMIT = HEAD
TARBALL = build-dist/kedge-$(shell sed -n "s/^  version: '\(.*\)',$$/\1/p" meson.build).tar.xz

# What is installed, and no more: the tests' programs, linked as a whole, take longer than all of it.
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet installed
	@ln -sf src/cmd/kedge $(BUILD)/kedge

# The benches, the simulator and the examples as well.
everything: all
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "no meson here: 'make setup' installs what is missing"; exit 1; }
	@meson setup --buildtype=release -Doptimization=2 -Ddebug=true -Db_lto=true --prefix="$(PREFIX)" $(LIBDIR) $(BUILD) >/dev/null

run:
	@scripts/setup
	@$(MAKE) --no-print-directory all
	@mkdir -p workspace
	@exec $(BUILD)/kedge serve gateway --workspace ./workspace

test:
	@scripts/setup test
	@SANITIZE="$(SANITIZE)" TESTS="$(TESTS)" scripts/test

# SEEDS histories of the guard and as many of RPC in the simulator, on all cores.
sim:
	@scripts/setup
	@$(MAKE) --no-print-directory everything
	@scripts/sim $(SEEDS) $(FIRST) $(BUILD) $(WHAT)

# Servers, a guard, redis and nginx under load, and an adversary, for MINUTES.
soak:
	@scripts/setup soak || scripts/setup test
	@$(MAKE) --no-print-directory all
	@node tests/soak/soak.mjs $(BUILD)/kedge --minutes "$(MINUTES)" --seed "$(SEED)"

# Does anything grow? Days on a simulated clock, and MINUTES (60) of servers: idle, and loaded.
longrun:
	@scripts/setup test
	@$(MAKE) --no-print-directory everything
	@$(BUILD)/tests/sim/sim-day --seeds 200 --raw
	@node tests/soak/soak.mjs $(BUILD)/kedge --calm --out $(BUILD) --seed "$(SEED)" \
		--minutes "$(if $(filter command line environment,$(origin MINUTES)),$(MINUTES),60)"

# Every history of the protocol, within bounds, by spin.
model:
	@scripts/setup model
	@tests/model/check.py --large

# Bugs, planted one at a time in a copy of the tree: the tests must notice each.
mutants:
	@scripts/setup test
	@scripts/mutants $(MUTANT)

# Lines and branches that the tests reach; writes docs/coverage.md.
coverage:
	@scripts/setup coverage
	@scripts/coverage

# The pages of docs/reference, from the comments in include/kedge.
reference:
	@scripts/reference

setup:
	@scripts/setup

# As on a machine that has git and make alone. Takes a quarter of an hour, and root.
test-fresh:
	@scripts/test-fresh

# A release's tarball, out of git: the same commit, the same bytes.
dist:
	@scripts/dist $(COMMIT)

# Built and tested from the tarball alone; FRESH=1: on a minimal Debian, as test-fresh.
dist-check: dist
	@$(if $(FRESH),TARBALL=$(CURDIR)/$(TARBALL) scripts/test-fresh,\
		TESTS="$(TESTS)" scripts/dist-check $(TARBALL))

# What a program built against the last release would trip over; RECORD=1 writes this one's record.
abi:
	@scripts/setup
	@tests/abi/abi.py . $(if $(RECORD),--record)

# Debian's packages, built out of the tarball, and looked at by lintian.
deb: dist
	@scripts/setup deb
	@scripts/deb $(TARBALL)

# Built, installed, used and purged on a minimal Debian; needs root.
test-deb: dist
	@scripts/test-deb $(TARBALL)

# An image for containers, of what was built here; and a look at it, run by root.
image:
	@scripts/setup image
	@$(MAKE) --no-print-directory all
	@scripts/image $(BUILD)

test-image: image
	@tests/image/image.py build-image/kedge-*.oci.tar

demo:
	@scripts/setup demo || scripts/setup
	@$(MAKE) --no-print-directory everything
	@bench/run-demo $(BUILD)/kedge $(BUILD)/bench/poll-watchdog

bench:
	@scripts/setup
	@$(MAKE) --no-print-directory everything
	@for dir in /dev/shm /tmp; do \
		$(BUILD)/bench/outage $$dir 10000 pinned && $(BUILD)/bench/outage $$dir 10000; done
	@$(BUILD)/bench/scale 10000
	@$(BUILD)/bench/scale 100000

bench-recovery:
	@scripts/setup bench-recovery || scripts/setup
	@$(MAKE) --no-print-directory all
	@ninja -C $(BUILD) --quiet $(addprefix bench/,recovery-probe churn scale poll-watchdog)
	@bench/recovery $(BUILD)

bench-conn:
	@scripts/setup
	@$(MAKE) --no-print-directory everything
	@$(BUILD)/bench/conn

bench-attacks:
	@scripts/setup
	@$(MAKE) --no-print-directory everything
	@node bench/run-attacks.mjs $(BUILD)/kedge $(BUILD)/bench/attack

bench-rpc:
	@scripts/setup bench-rpc || scripts/setup
	@$(MAKE) --no-print-directory everything
	@SECONDS="$(if $(filter command line environment,$(origin SECONDS)),$(SECONDS))" \
		ONLY="$(ONLY)" ALL="$(ALL)" RUNS="$(RUNS)" ROWS="$(ROWS)" bench/rpc/run $(BUILD)

check:
	@scripts/setup check
	@scripts/check

fuzz:
	@scripts/setup $(if $(filter afl,$(ENGINE)),fuzz-afl,fuzz)
	@scripts/fuzz "$(SECONDS)" "$(TARGET)" "$(ENGINE)"

# Each error of each call, at each place, in turn.
faults:
	@scripts/setup test
	@scripts/faults

install: all
	@meson configure -Dprefix="$(PREFIX)" $(BUILD)
	@ninja -C $(BUILD) --quiet installed
	@meson install --no-rebuild --quiet -C $(BUILD)
	@[ -n "$$DESTDIR" ] || [ "$$(id -u)" != 0 ] || PATH="$$PATH:/sbin:/usr/sbin" ldconfig

clean:
	@rm -rf $(BUILD) build-test* build-check* build-fuzz* build-coverage build-dist build-deb build-image

help:
	@echo 'make              build the command: build/kedge'
	@echo 'make everything   benches, simulator, examples as well'
	@echo 'make run          set up, build, serve the gateway in ./workspace'
	@echo 'make test         set up, build, test [SANITIZE=address,undefined] [TESTS=name]'
	@echo 'make test-fresh    make test and make run on a minimal Debian, in a chroot; needs root'
	@echo 'make sim           guard and RPC through SEEDS simulated histories [SEEDS=N] [FIRST=S] [WHAT=rpc]'
	@echo 'make soak          servers under load, and an adversary [MINUTES=10] [SEED=n]'
	@echo 'make longrun       does anything grow: simulated days, and an hour idle and loaded [MINUTES=60]'
	@echo 'make model         the protocol of start, repair and stop, in every history, by spin'
	@echo 'make mutants       planted bugs, and which test notices each [MUTANT=word]'
	@echo 'make coverage      lines and branches that the tests reach, into docs/coverage.md'
	@echo 'make reference     docs/reference, from the public headers'
	@echo 'make demo          take a path away in eight ways, and look'
	@echo 'make bench         outages and scale, measured'
	@echo 'make bench-recovery outages, many paths, a busy directory, into docs/bench/recovery.md [RUNS=5]'
	@echo 'make bench-conn    requests through a connection, without a socket'
	@echo 'make bench-attacks hostile clients: what they cost the others, and the server'
	@echo 'make bench-rpc     servers over a Unix socket, ours and others [SECONDS=2] [ONLY=name] [ALL=1]'
	@echo '                   [ROWS=16x64x64,...: connections x depth x bytes, x1: on one core]'
	@echo 'make dist          the release as a tarball, in build-dist [COMMIT=HEAD]'
	@echo 'make dist-check    the same, built and tested from it alone [TESTS=name] [FRESH=1]'
	@echo 'make abi           would programs of the last release run with these libraries? [RECORD=1]'
	@echo 'make deb           packages for Debian, in build-deb'
	@echo 'make test-deb      the same, built, used and purged on a minimal Debian; needs root'
	@echo 'make image         an image for containers, in build-image'
	@echo 'make test-image    the same, looked at and run; needs root'
	@echo 'make check         format, gcc and clang without warnings, clang-tidy, cppcheck'
	@echo 'make fuzz          each fuzz target for a minute [SECONDS=60] [TARGET=name] [ENGINE=afl]'
	@echo 'make faults        every error of every system call of the guard, one at a time'
	@echo 'make install       [PREFIX=...]'
	@echo 'make clean'

.PHONY: all everything run test soak longrun reference test-fresh coverage setup dist dist-check abi deb test-deb image test-image demo bench bench-recovery bench-conn bench-attacks check fuzz faults install clean help sim mutants model bench-rpc
