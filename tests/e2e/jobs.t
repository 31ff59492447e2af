#!/usr/bin/env bash
# --jobs auto: more VMs than CPUs where they wait, no more than memory holds, and no trial ended by
# its neighbours.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/build-kernel lean 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"
cpus=$(nproc)
runs=$((5 * cpus))

# idle: hundredths of seconds that CPUs of the host have been idle.
idle() {
	awk '$1 == "cpu" { print $5 + $6 }' /proc/stat
}

was=$(idle) SECONDS=0
run "$KVMREPRO" run --kernel "$kernel" --boot once --runs "$runs" --repro tests/e2e/repro/nap.c \
	--out "$T/nap"
out_is "all runs: OK" "trials that wait are clean"
if [ $(($(idle) - was)) -gt $((60 * SECONDS)) ]; then
	check "more of them run at once than there are CPUs" jq -e ".jobs > $cpus" "$T/nap/run.json"
else
	result 0 "more of them run at once than there are CPUs # SKIP the host has other work"
fi

run "$KVMREPRO" run --kernel "$kernel" --boot once --runs "$runs" --repro tests/e2e/repro/nap.c \
	--jobs "$cpus" --out "$T/fixed"
out_is "all runs: OK" "--jobs N: clean too"
check "and N it is" jq -e ".jobs == $cpus" "$T/fixed/run.json"

# Two do not fit. The guest does not touch what it does not use.
mib=$(awk '/^MemAvailable:/ { print int($2 / 1024 * 0.6) }' /proc/meminfo)
run "$KVMREPRO" run --kernel "$kernel" --runs 2 --repro create-vm --memory "$mib" \
	--out "$T/big"
out_is "all runs: OK" "VMs with more than half of the free memory: clean"
check "one at a time" jq -e '.jobs == 1' "$T/big/run.json"

# What libvirt knows of QEMU takes it seconds to find out, and is kept, wherever the scheduler puts us.
known() {
	taskset -c "$1" "$KVMREPRO" run --kernel "$kernel" --runs 1 --alpha 0.5 --repro create-vm \
		>/dev/null 2>"$T/err" &&
		stat -c '%n %y' "$XDG_CACHE_HOME"/kvmrepro/libvirt/capabilities/*.xml
}
mapfile -t ids < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
if [ "${#ids[@]}" -gt 1 ]; then
	first=$(known "${ids[0]}") && last=$(known "${ids[-1]}") && [ "$first" = "$last" ]
	result $? "libvirt's cache is one for all CPUs"
else
	result 0 "libvirt's cache is one for all CPUs # SKIP one CPU"
fi

run "$KVMREPRO" run --kernel "$kernel" --jobs some
status_is 129 "--jobs takes a number or auto"
err_like "^kvmrepro: run: --jobs takes a whole number from 1 to 1024 or auto, not 'some'" "and says so"
done_testing
