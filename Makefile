# Two commands on a machine with Rust, and a Docker engine for the real products: `make demo` and `make test`.
# Underneath are plain ones: `cargo run --release -- run quick`, `steadfast images build`, `cargo test`.

.PHONY: demo test installed engines examples profiles results bench deny browser compose prepare clean

# Compiled with fewer optimisations, which takes less time than `--release`; measure with the latter.
demo:
	cargo build --profile demo
	@$(MAKE) --no-print-directory prepare STEADFAST="cargo run --quiet --profile demo --"
	cargo run --quiet --profile demo -- run quick

# The program that the tests are built with: `cargo build` would build half of what it depends on once more, with other
# features.
BUILT = $${CARGO_TARGET_DIR:-target}/$$(rustc --print host-tuple)/debug/steadfast

# Images are built while the rest compiles. Tests and profiles mostly wait, so two are run at a time; more would keep two cores so
# busy that the generator is late.
test:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	@if command -v cargo-deny > /dev/null; then $(MAKE) --no-print-directory deny; \
	else echo "no cargo-deny: licences and sources of dependencies are not checked; \`make deny\` installs it"; fi
	cargo test --no-run --test cli
	@{ $(MAKE) --no-print-directory prepare browser compose STEADFAST="$(BUILT)" && \
	  if $(BUILT) images check > /dev/null 2>&1; then $(BUILT) images build > /dev/null || true; fi; } & prepared=$$!; \
	cargo test --no-run; compiled=$$?; wait $$prepared && exit $$compiled
	tests/in-two-lanes
	STEADFAST="$(BUILT)" tests/every-profile 0.5 2

# What docs/ci.md says: installs from a git address and runs a reference target with that binary; the time of a build.
installed:
	STEADFAST_INSTALL="--debug" tests/installed

# The tests on Docker, on engines that are not this machine's: about ten minutes each.
engines:
	tests/other-engines

# Every example with a Compose file is probed: some minutes, because their images are built.
examples:
	tests/examples

# Every bundled profile in full, which takes about an hour; says which fell short. SCALE=0.5 takes half of its time.
profiles:
	cargo build --release
	@$(MAKE) --no-print-directory prepare STEADFAST="cargo run --quiet --release --"
	STEADFAST="cargo run --quiet --release --" tests/every-profile $(SCALE)

# What docs/results.md tells of, with five trials each, about thirteen hours in all; goes on where it was interrupted. PART="balancers outage"
# makes these parts alone.
results:
	cargo build --release
	@$(MAKE) --no-print-directory prepare STEADFAST="cargo run --quiet --release --"
	STEADFAST="cargo run --quiet --release --" tests/results $(PART)

# The page of a report is opened in one.
browser:
	@command -v chromium > /dev/null || command -v google-chrome > /dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium > /dev/null; \
	else echo "no Chromium: the page of the example report is not opened in a browser"; fi

# Compose, version 2, for the tests of targets that it starts. Debian 12 has only the first one, so it comes from the next release.
compose:
	@docker compose version > /dev/null 2>&1 || docker-compose version --short 2> /dev/null | grep -q '^v*[2-9]' || \
	if [ "$$(id -u)" = 0 ] && command -v mmdebstrap > /dev/null; then \
	  folder=$$(mktemp -d) && mmdebstrap --quiet --variant=extract --include=docker-compose trixie "$$folder/root" && \
	  install "$$folder/root/usr/libexec/docker/cli-plugins/docker-compose" /usr/local/bin/docker-compose; rm -rf "$$folder"; \
	else echo "no Compose, version 2: the tests of targets of Compose files will fail where there is an engine"; fi

# What the load generator and the reference stack cost, as ratios measured side by side.
bench:
	cargo bench --bench traffic
	cargo bench --bench reference
	cargo bench --bench check
	cargo bench --bench report
	cargo build --release
	STEADFAST="cargo run --quiet --release --" benches/hosts

# What the program is made of: licences, sources, crates that come in two versions. Advisories take a database of the network:
# `cargo deny check advisories`.
deny:
	@command -v cargo-deny > /dev/null || cargo install --locked cargo-deny
	cargo deny --log-level error check licenses bans sources

# Where no image can be pulled, the root of all images is bootstrapped, which takes one Debian package.
prepare:
	@found=$$($(STEADFAST) images check 2>&1); \
	case "$$found" in *"there is no sign of one"*) \
	  echo "no Docker engine: reference nodes run as processes"; exit 0 ;; esac; echo "$$found"; \
	case "$$found" in *"mmdebstrap is not installed"*) \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && apt-get install -y -qq mmdebstrap debian-archive-keyring; \
	  else exit 1; fi ;; \
	esac

clean:
	cargo run --quiet --release -- clean --images
