# Fuzzing the classifier: make fuzz SECONDS=60. Needs clang with libFuzzer. The corpus it starts
# from is made of tests/data/oops and tests/fuzz/corpus; what it finds lands in $(BUILD)/fuzz.
FUZZ_CC ?= clang
SECONDS ?= 60
FUZZ_SRC := tests/fuzz/fuzz_oops.c $(wildcard harness/oops/*.c) harness/base/buf.c harness/base/err.c
FUZZ_FLAGS := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(BUILD)/fuzz/fuzz_oops: $(FUZZ_SRC) $(wildcard harness/oops/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE -std=gnu11 -Iharness $(FUZZ_FLAGS) -o $@ $(FUZZ_SRC) \
		$(shell pkg-config --libs libpcre2-8)

fuzz: $(BUILD)/fuzz/fuzz_oops ## fuzz the classifier for SECONDS=60
	@mkdir -p $(BUILD)/fuzz/corpus $(BUILD)/fuzz/seeds
	@for f in tests/data/oops/*.log; do { printf '\003'; cat $$f; } \
		>$(BUILD)/fuzz/seeds/$$(basename $$f); done
	$(BUILD)/fuzz/fuzz_oops -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-max_len=16384 -dict=tests/fuzz/oops.dict -artifact_prefix=$(BUILD)/fuzz/ \
		-print_final_stats=1 $(BUILD)/fuzz/corpus $(BUILD)/fuzz/seeds $(wildcard tests/fuzz/corpus)

.PHONY: fuzz
