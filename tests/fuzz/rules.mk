# Fuzzing what reads untrusted text: make fuzz SECONDS=60, or one target alone: make fuzz-oops
# (the classifier), make fuzz-bisect-log. Needs clang with libFuzzer. The corpora begin with the tests'
# data; what is found lands in $(BUILD)/fuzz.
FUZZ_CC ?= clang
SECONDS ?= 60
FUZZ_SRC := tests/fuzz/fuzz_oops.c $(wildcard harness/oops/*.c) harness/base/buf.c harness/base/err.c
FUZZ_FLAGS := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(BUILD)/fuzz/fuzz_oops: $(FUZZ_SRC) $(wildcard harness/oops/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE -std=gnu11 -Iharness $(FUZZ_FLAGS) -o $@ $(FUZZ_SRC) \
		$(shell pkg-config --libs libpcre2-8)

fuzz: fuzz-oops fuzz-bisect-log ## fuzz the readers of untrusted text, each for SECONDS=60

fuzz-oops: $(BUILD)/fuzz/fuzz_oops
	@mkdir -p $(BUILD)/fuzz/corpus $(BUILD)/fuzz/seeds
	@for f in tests/data/oops/*.log; do { printf '\003'; cat $$f; } \
		>$(BUILD)/fuzz/seeds/$$(basename $$f); done
	$(BUILD)/fuzz/fuzz_oops -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-max_len=16384 -dict=tests/fuzz/oops.dict -artifact_prefix=$(BUILD)/fuzz/ \
		-print_final_stats=1 $(BUILD)/fuzz/corpus $(BUILD)/fuzz/seeds $(wildcard tests/fuzz/corpus)

FUZZ_LOG_SRC := tests/fuzz/fuzz_bisect_log.c harness/bisect_log.c harness/outcome.c harness/base/buf.c \
	harness/base/err.c

$(BUILD)/fuzz/fuzz_bisect_log: $(FUZZ_LOG_SRC) harness/bisect_log.h
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE -std=gnu11 -Iharness $(FUZZ_FLAGS) -o $@ $(FUZZ_LOG_SRC)

fuzz-bisect-log: $(BUILD)/fuzz/fuzz_bisect_log
	@mkdir -p $(BUILD)/fuzz/log-corpus
	$(BUILD)/fuzz/fuzz_bisect_log -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-max_len=8192 -dict=tests/fuzz/bisect_log.dict -artifact_prefix=$(BUILD)/fuzz/ \
		-print_final_stats=1 $(BUILD)/fuzz/log-corpus tests/data/bisect

.PHONY: fuzz fuzz-oops fuzz-bisect-log
