# kedge: a front for meson. `make help` lists what there is.
BUILD = build
SANITIZE =
TESTS =
PREFIX = /usr/local

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@ln -sf src/cmd/kedge $(BUILD)/kedge

$(BUILD)/build.ninja:
	@meson setup --buildtype=release --prefix="$(PREFIX)" $(BUILD) >/dev/null

run: setup
	@$(MAKE) --no-print-directory all
	@mkdir -p workspace
	@exec $(BUILD)/kedge serve gateway --workspace ./workspace

test: setup
	@SANITIZE="$(SANITIZE)" TESTS="$(TESTS)" scripts/test

setup:
	@scripts/setup

check:
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

install: all
	@meson install -C $(BUILD)

clean:
	@rm -rf $(BUILD) build-test*

help:
	@echo 'make              build the command: build/kedge'
	@echo 'make run          set up, build, serve the gateway in ./workspace'
	@echo 'make test         set up, build, test [SANITIZE=address,undefined] [TESTS=name]'
	@echo 'make check install clean'

.PHONY: all run test setup check install clean help
