# Fuzzing what reads untrusted text: make fuzz SECONDS=60, or one target alone: make fuzz-oops
# (the classifier), make fuzz-bisect-log, make fuzz-kernel,
# make fuzz-state. Needs clang with libFuzzer. The corpora begin with the tests'
# data; what is found lands in $(BUILD)/fuzz.
FUZZ_CC ?= clang
SECONDS ?= 60
FUZZ_SRC := tests/fuzz/fuzz_oops.c $(wildcard harness/oops/*.c) harness/base/buf.c harness/base/err.c \
	harness/family.c harness/outcome.c
FUZZ_FLAGS := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(BUILD)/fuzz/fuzz_oops: $(FUZZ_SRC) $(wildcard harness/oops/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE -std=gnu11 -Iharness $(FUZZ_FLAGS) -o $@ $(FUZZ_SRC) \
		$(shell pkg-config --libs libpcre2-8)

fuzz: fuzz-oops fuzz-bisect-log fuzz-kernel fuzz-state ## fuzz the readers of untrusted text, each for SECONDS=60

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

FUZZ_KERNEL_SRC := tests/fuzz/fuzz_kernel.c harness/kernel/payload.c harness/kernel/signature.c \
	harness/base/buf.c harness/base/err.c

$(BUILD)/fuzz/fuzz_kernel: $(FUZZ_KERNEL_SRC) harness/kernel/payload.h harness/kernel/signature.h
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE -std=gnu11 -Iharness $(FUZZ_FLAGS) -o $@ $(FUZZ_KERNEL_SRC) \
		$(shell pkg-config --libs libarchive nettle)

# Seeds: a made kernel's payload, packed in each way. The limit on one allocation is off: an xz or
# zstd header may name a dictionary of 4 GiB, of which only what is used is touched.
fuzz-kernel: $(BUILD)/fuzz/fuzz_kernel
	@mkdir -p $(BUILD)/fuzz/kernel-corpus $(BUILD)/fuzz/kernel-seeds
	@for p in gzip bzip2 xz lzma none; do \
		tests/mkimage.py $(BUILD)/fuzz/image pack=$$p && \
		{ printf '\002'; tail -c +2049 $(BUILD)/fuzz/image; } >$(BUILD)/fuzz/kernel-seeds/$$p && \
		{ printf '\001'; tail -c +2049 $(BUILD)/fuzz/image; } >$(BUILD)/fuzz/kernel-seeds/$$p-elf; \
	done
	$(BUILD)/fuzz/fuzz_kernel -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=2048 \
		-malloc_limit_mb=65536 -max_len=16384 -artifact_prefix=$(BUILD)/fuzz/ \
		-print_final_stats=1 $(BUILD)/fuzz/kernel-corpus $(BUILD)/fuzz/kernel-seeds

FUZZ_STATE_SRC := tests/fuzz/fuzz_state.c harness/state.c harness/family.c harness/outcome.c \
	harness/verdict.c $(wildcard harness/oops/*.c) harness/base/buf.c harness/base/err.c \
	harness/base/fs.c harness/report/json.c

$(BUILD)/fuzz/fuzz_state: $(FUZZ_STATE_SRC) harness/state.h
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE -std=gnu11 -Iharness $(FUZZ_FLAGS) -o $@ $(FUZZ_STATE_SRC) \
		$(shell pkg-config --libs jansson libpcre2-8 zlib)

fuzz-state: $(BUILD)/fuzz/fuzz_state
	@mkdir -p $(BUILD)/fuzz/state-corpus
	$(BUILD)/fuzz/fuzz_state -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-max_len=8192 -dict=tests/fuzz/state.dict -artifact_prefix=$(BUILD)/fuzz/ \
		-print_final_stats=1 $(BUILD)/fuzz/state-corpus tests/fuzz/state-corpus

.PHONY: fuzz fuzz-oops fuzz-bisect-log fuzz-kernel fuzz-state
