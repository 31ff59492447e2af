# Fuzzing what reads bytes from outside: make fuzz, or one target alone: make fuzz-oops (the
# classifier), fuzz-bisect_log, fuzz-kernel (a payload), fuzz-state, fuzz-journal, fuzz-agent,
# fuzz-catalogue, fuzz-wire (a caged reader's answers), fuzz-files (a kernel image's header, a
# module, a program). FUZZ_SECONDS each; -j2 for two at a time. The objects are the unit tests'. The
# corpora begin with the tests' data; what is found lands in $(BUILD)/fuzz.
FUZZ_SECONDS ?= 60
# For one input, by the wall clock as FUZZ_SECONDS are.
FUZZ_TIMEOUT ?= 20
FUZZ_TARGETS := oops bisect_log kernel state journal agent catalogue wire files
FUZZ_BIN := $(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%)

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/san/libkvmrepro.a
	@mkdir -p $(@D)
	$(call say,CC)$(SAN_CC) $(CPPFLAGS) $(SAN_CFLAGS) $(SAN_LDFLAGS) -fsanitize=fuzzer $(PKG_CFLAGS) -MMD -MP -o $@ $< \
		$(BUILD)/san/libkvmrepro.a $(LDLIBS)

# Seeds, one directory a target; those that are files of the tests are named below.
FUZZ_SEEDS_oops := tests/fuzz/corpus
FUZZ_SEEDS_bisect_log := tests/data/bisect
FUZZ_SEEDS_state := tests/fuzz/state-corpus
FUZZ_SEEDS_journal := tests/fuzz/journal-corpus
FUZZ_SEEDS_files := tests/fuzz/files-corpus
FUZZ_ARGS_oops := -dict=tests/fuzz/oops.dict -max_len=16384
FUZZ_ARGS_bisect_log := -dict=tests/fuzz/bisect_log.dict -max_len=8192
FUZZ_ARGS_state := -dict=tests/fuzz/state.dict -max_len=8192
FUZZ_ARGS_journal := -max_len=8192
FUZZ_ARGS_agent := -dict=tests/fuzz/agent.dict -max_len=8192
FUZZ_ARGS_catalogue := -max_len=8192
FUZZ_ARGS_wire := -max_len=8192
# The limit on one allocation is off: an xz or zstd header may name a dictionary of 4 GiB, of which
# only what is used is touched.
FUZZ_ARGS_kernel := -max_len=16384 -rss_limit_mb=2048 -malloc_limit_mb=65536
FUZZ_ARGS_files := -max_len=16384 -rss_limit_mb=2048 -malloc_limit_mb=65536

fuzz: $(FUZZ_TARGETS:%=fuzz-%) ## fuzz what reads bytes from outside, each for FUZZ_SECONDS=60

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: $(BUILD)/fuzz/fuzz_%
	@mkdir -p $(BUILD)/fuzz/corpus-$* $(BUILD)/fuzz/seeds-$*
	tests/fuzz/seeds $* $(BUILD)/fuzz/seeds-$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=$(FUZZ_TIMEOUT) -rss_limit_mb=1024 $(FUZZ_ARGS_$*) \
		-artifact_prefix=$(BUILD)/fuzz/ -print_final_stats=1 -verbosity=0 \
		$(BUILD)/fuzz/corpus-$* $(BUILD)/fuzz/seeds-$* $(FUZZ_SEEDS_$*)

# As one job beside others.
fuzz-turns: $(FUZZ_BIN)
	@env -u MAKEFLAGS -u MAKELEVEL BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_TIMEOUT=600 \
		tests/fuzz/turns $(FUZZ_TARGETS)

.PHONY: fuzz fuzz-turns $(FUZZ_TARGETS:%=fuzz-%)
