#!/usr/bin/env bash
# --keep-state: the state of one call's boot serves the next call, and no call with another kernel,
# guest, VM or QEMU.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/build-kernel lean 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"
export XDG_CACHE_HOME=$T/cache
R=tests/e2e/repro
n=0

# once WHAT...: a call; the number of its boots' states is $boots.
once() {
	n=$((n + 1))
	run "$KVMREPRO" run --kernel "$T/kernel" --boot once --keep-state --runs "${runs:-2}" \
		--out "$T/out-$n" "$@"
	grep -q 'trials begin from the state that is kept' "$T/err" && boots=0 || boots=1
}

# boots_is N NAME: all trials were clean, of N boots.
boots_is() {
	grep -qx 'all runs: OK' "$T/out" && [ "$boots" -eq "$1" ]
	result $? "$2"
}

cp "$kernel" "$T/kernel"
cp $R/fresh.c "$T/fresh.c"
once --repro "$T/fresh.c"
boots_is 1 "the first call boots"
states=$T/cache/kvmrepro/states
check "its state is kept, and nobody else may read it" test \
	"$(stat -c %a "$states" "$states"/*/ | sort -u)" = 700
check "no page of zeros is" test "$(du -m "$states"/*/memory | cut -f1)" -lt 512
once --repro "$T/fresh.c"
boots_is 0 "the second call begins from it"
check "run.json says so" jq -e \
	'[.trials[] | select(.began == "state" and .boot_console == "boot/console.log.gz")] | length == 2' \
	"$T/out-$n/run.json"
check "the boot's console is in its evidence" cmp "$T/out-1/boot/console.log.gz" \
	"$T/out-$n/boot/console.log.gz"
zcat "$T"/out-[12]/trial-*/output-fresh.log.gz >"$T/fresh"
check "each trial of both has random bytes of its own" test \
	"$(grep ^random "$T/fresh" | sort -u | wc -l)" = 4
check "none sees what another did to its kernel" test "$(grep -c 'host used' "$T/fresh")" = 0

# Byte 0x60 is in the text of the boot sector, which nothing runs any more.
printf x | dd of="$T/kernel" bs=1 seek=$((0x60)) conv=notrunc status=none
once --repro "$T/fresh.c"
boots_is 1 "one byte of the kernel differs: it boots"
sed -i 's/"used"/"usee"/' "$T/fresh.c"
once --repro "$T/fresh.c"
boots_is 1 "one byte of the initramfs differs: it boots"
once --repro "$T/fresh.c" --smp 1
boots_is 1 "the VM's definition differs: it boots"
once --repro "$T/fresh.c"
boots_is 0 "and what was kept before is still good"

for f in "$states"/*/memory; do
	printf x | dd of="$f" bs=1 seek=$((0x1234567)) conv=notrunc status=none
done
once --repro "$T/fresh.c"
boots_is 1 "one byte of the state differs: it boots"
err_like 'is not used, and taken away: its files are not as they were written' "and says why"
for f in "$states"/*/devices; do
	truncate -s -1 "$f"
done
once --repro "$T/fresh.c"
boots_is 1 "a file is cut short: it boots"

# Half of what QEMU sent, with the right sums for it (harness/kept.c): only QEMU can tell.
for f in "$states"/*/devices; do
	truncate -s 100K "$f"
	python3 - "${f%/*}" <<'END'
import hashlib, struct, sys
data = open(sys.argv[1] + "/devices", "rb").read()
h = hashlib.sha256(struct.pack("<q", len(data)))
for at in range(0, len(data), 4096):
    if data[at:at + 4096].strip(b"\0"):
        h.update(struct.pack("<q", at) + data[at:at + 4096])
lines = open(sys.argv[1] + "/sums").read().splitlines(True)
lines[1] = h.hexdigest() + " devices\n"
open(sys.argv[1] + "/sums", "w").writelines(lines)
END
done
runs=6 once --repro "$T/fresh.c" --jobs 1
err_like '^kvmrepro: run #[01]: infra problem: .*; it is made once more$' \
	"a state that QEMU does not take: a trial is an infra problem, made once more"
out_is "all runs: OK" "from a boot"
err_like 'the state that was kept is not used again' "which is said"
once --repro "$T/fresh.c"
boots_is 0 "and the next call begins from that boot"

# libvirt takes the first one in the path; QEMU finds its modules and firmware from where it is.
mkdir -p "$T/usr/bin"
cp "$(command -v qemu-system-x86_64)" "$T/usr/bin"
ln -s /usr/lib /usr/share "$T/usr"
PATH=$T/usr/bin:$PATH once --repro "$T/fresh.c"
boots_is 1 "another QEMU: it boots"
PATH=$T/usr/bin:$PATH once --repro "$T/fresh.c"
boots_is 0 "that one's state is kept too"
printf x >>"$T/usr/bin/qemu-system-x86_64"
PATH=$T/usr/bin:$PATH once --repro "$T/fresh.c"
boots_is 1 "one byte of QEMU differs: it boots"

for i in 1 2; do
	"$KVMREPRO" run --kernel "$kernel" --boot once --keep-state --runs 2 --repro "$T/fresh.c" \
		--out "$T/both-$i" >"$T/both-$i.out" 2>&1 &
done
wait
check "two calls at once: both are clean" test "$(cat "$T"/both-*.out | grep -cx 'all runs: OK')" = 2
check "nothing half written is left" test -z "$(find "$states" -name 'new-*')"

run "$KVMREPRO" run --kernel "$kernel" --keep-state --runs 1
status_is 129 "--boot each has no state to keep: exit status 129"
err_lines 1 "in one line"
done_testing
