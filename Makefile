# SPDX-License-Identifier: GPL-2.0
#
# Two commands do all: `make demo` and `make test`. The rest is for developers; `make` lists it.
# The kernel's build of the module reads Kbuild, not this file.

# Which kernel the VM boots: stock (Debian's own) or debug (with the kernel's checkers).
KERNEL ?= stock

CARGO ?= cargo
RUSTC ?= rustc
PREFIX ?= /usr/local

XTASK = $(CARGO) xtask

.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo 'make demo                  show the main job, in a VM'
	@echo 'make test [KERNEL=debug]   run every test; sets up what is missing first'
	@echo
	@echo 'make setup [KERNEL=debug]  only set up'
	@echo 'make bench [QUICK=1]       count what dispatchers cost, this and others, in instructions'
	@echo 'make soak [MINUTES=20]     processes come, go, die and drain under load, in the VM'
	@echo 'make profile               where the instructions of a round trip go, in the VM'
	@echo 'make lines                 which cache lines of a round trip CPUs share, in the VM'
	@echo 'make kselftests [ALL=1]    the kernel'\''s own selftests of TCP, without and with the module'
	@echo 'make vm [KERNEL=debug]     a shell in the VM, the module loaded'
	@echo 'make modules               build tcp_dispatch.ko for the VM'
	@echo 'make modules KDIR=DIR      build it for another prepared kernel tree'
	@echo 'make tools                 build dispatchctl'
	@echo 'make install               install dispatchctl in PREFIX=$(PREFIX)'
	@echo 'make lint                  check formatting, lints and generated files'
	@echo 'make generate              write again what the netlink specification generates'
	@echo 'make clean                 remove what builds made here'
	@echo 'make distclean             remove what set-up keeps in the cache, too'

# One clear sentence instead of "cargo: not found".
.PHONY: cargo
cargo:
	@command -v $(CARGO) >/dev/null || { \
		echo 'error: there is no cargo here: install Rust 1.85 or newer, from https://rustup.rs' \
			'or (Debian 13) with apt-get install cargo' >&2; exit 1; }
	@[ -x target/debug/xtask ] || echo 'Compiling what builds and tests the rest (cargo xtask)' >&2

# How long `make soak` takes, without the boot.
MINUTES ?= 20

# What `make profile` looks at: `cargo xtask profile --help` has the choices.
OPERATION ?= round-trip
CLIENT ?= remote
DISPATCHER ?= tcp_dispatch
AGAINST ?= direct

.PHONY: demo test kselftests bench soak profile lines setup vm lint generate
demo: cargo
	@$(XTASK) demo

test: cargo
	@$(XTASK) test --kernel $(KERNEL)

# With ALL=1 those that take minutes, too.
kselftests: cargo
	@$(XTASK) kselftests --kernel $(KERNEL) $(if $(ALL),--all)

# With QUICK=1 only what the layer itself costs, compared with the figures in the repository.
bench: cargo
	@$(XTASK) bench $(if $(QUICK),--quick)

soak: cargo
	@$(XTASK) vm --kernel $(KERNEL) --timeout $$(($(MINUTES) * 60 + 3600)) -- \
		/opt/tcp_dispatch/selftests/soak --minutes $(MINUTES)

profile: cargo
	@$(XTASK) profile --operation $(OPERATION) --client $(CLIENT) '$(DISPATCHER)' '$(AGAINST)'

lines: cargo
	@$(XTASK) lines

setup: cargo
	@$(XTASK) setup --kernel $(KERNEL)

vm: cargo
	@$(XTASK) vm --kernel $(KERNEL)

lint: cargo
	@$(XTASK) lint

generate: cargo
	@$(XTASK) generate

.PHONY: tools install
tools: cargo
	$(CARGO) build --release --package dispatchctl

install: tools
	install -D target/release/dispatchctl $(DESTDIR)$(PREFIX)/sbin/dispatchctl

.PHONY: modules
ifdef KDIR
# Another kernel: with this machine's compilers, as any module outside the kernel is built.
modules: kdir
	@mkdir -p build/modules/kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(CURDIR)/build/modules/kdir RUSTC=$(RUSTC) modules
else
modules: cargo
	@$(XTASK) modules --kernel $(KERNEL)
endif

# What the module needs of a kernel tree, checked before hundreds of messages say it worse.
NEEDED = CONFIG_MODULES CONFIG_RUST CONFIG_INET CONFIG_NET_L3_MASTER_DEV CONFIG_IP_MULTIPLE_TABLES

.PHONY: kdir
kdir:
	@fail() { echo "error: $(KDIR) $$*" >&2; exit 1; }; \
	config=$(KDIR)/include/config/auto.conf; \
	[ -d $(KDIR) ] || fail 'is not there'; \
	[ -f $$config ] || fail 'is not a prepared kernel tree: run make modules_prepare there'; \
	for option in $(NEEDED); do \
		grep -q "^$$option=y" $$config || fail "is a kernel without $$option, which the module needs"; \
	done; \
	for file in libkernel.rmeta libcore.rmeta bindings/bindings_generated.rs; do \
		[ -f $(KDIR)/rust/$$file ] || fail "has no Rust metadata (rust/$$file), as headers packages don't:" \
			'run make modules_prepare in the full source with the same configuration'; \
	done; \
	wanted=$$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="*\([^"]*\)"*$$/\1/p' $$config); \
	found=$$($(RUSTC) --version 2>/dev/null) || fail "needs \"$$wanted\", and there is no $(RUSTC): set RUSTC"; \
	[ "$$wanted" = "$$found" ] || fail "was prepared with \"$$wanted\", and $(RUSTC) is \"$$found\":" \
		'metadata is read only by the compiler that wrote it; set RUSTC to that one'

.PHONY: clean distclean
clean:
	rm -rf build
	@! command -v $(CARGO) >/dev/null || $(CARGO) clean --quiet

CACHE = $(or $(TCP_DISPATCH_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tcp_dispatch)

distclean: clean
	rm -rf --one-file-system -- '$(CACHE)'
