# kedge: a front for meson. `make help` lists what there is.
BUILD = build
SANITIZE =
TESTS =
PREFIX = /usr/local

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@ln -sf src/cmd/kedge $(BUILD)/kedge

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "no meson here: 'make setup' installs what is missing"; exit 1; }
	@meson setup --buildtype=debugoptimized --prefix="$(PREFIX)" $(BUILD) >/dev/null

run: setup
	@$(MAKE) --no-print-directory all
	@mkdir -p workspace
	@exec $(BUILD)/kedge serve gateway --workspace ./workspace

test: setup
	@SANITIZE="$(SANITIZE)" TESTS="$(TESTS)" scripts/test

setup:
	@scripts/setup

demo: setup all
	@bench/run-demo $(BUILD)/kedge $(BUILD)/bench/poll-watchdog

bench: setup all
	@for dir in /dev/shm /tmp; do $(BUILD)/bench/outage $$dir 10000; done
	@ulimit -n $$(ulimit -Hn); $(BUILD)/bench/scale 6000

# Format, both compilers with warnings as errors, and what cppcheck sees.
check: setup
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
	@for cc in gcc clang; do \
		test -d build-check-$$cc || CC=$$cc meson setup --werror build-check-$$cc >/dev/null || exit 1; \
		ninja -C build-check-$$cc --quiet || exit 1; \
	done
	@cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr \
		--suppress=memleak:src/api/guard.c -Iinclude -Isrc -D_GNU_SOURCE src

install: all
	@meson configure -Dprefix="$(PREFIX)" $(BUILD)
	@ninja -C $(BUILD) --quiet
	@meson install --no-rebuild --quiet -C $(BUILD)

clean:
	@rm -rf $(BUILD) build-test*

help:
	@echo 'make              build the command: build/kedge'
	@echo 'make run          set up, build, serve the gateway in ./workspace'
	@echo 'make test         set up, build, test [SANITIZE=address,undefined] [TESTS=name]'
	@echo 'make demo          take a path away in eight ways, and look'
	@echo 'make bench         outages and scale, measured'
	@echo 'make check         format, gcc and clang without warnings, cppcheck'
	@echo 'make install       [PREFIX=...]'
	@echo 'make clean'

.PHONY: all run test setup demo bench check install clean help
