#!/usr/bin/env bash
# How fast and how large is "kvmrepro classify"? Medians of five runs, in MB/s of CPU and wall
# time; grep -F with forty markers on the same file for comparison. BENCH_MB sets the quiet
# console's size, BENCH_BIG_MB the size of the log on which memory is measured.
set -eu
cd "$(dirname "$0")/../.."
KVMREPRO=${KVMREPRO:-$PWD/kvmrepro}
shared=${KVMREPRO_SHARED:-../shared}
T=$(mktemp -d "${TMPDIR:-/tmp}/kvmrepro-bench-XXXXXX")
trap 'rm -rf "$T"' EXIT

# The forty commonest marks, as one would grep for them.
cat >"$T/marks" <<'END'
BUG: KASAN:
BUG: KMSAN:
BUG: KCSAN:
BUG: KFENCE:
BUG: unable to handle
BUG: kernel NULL pointer
BUG: soft lockup
BUG: workqueue lockup
BUG: sleeping function
BUG: scheduling while atomic
BUG: using
BUG: Bad page
BUG: Bad rss-counter
BUG: spinlock
BUG: bad unlock balance
BUG: held lock freed
BUG: memory leak
WARNING: CPU:
WARNING: possible circular
WARNING: possible recursive
WARNING: suspicious RCU
WARNING: inconsistent lock
WARNING: bad unlock
WARNING: held lock
INFO: task
INFO: rcu
INFO: trying to register
kernel BUG at
general protection fault
divide error:
invalid opcode:
stack segment:
double fault
Unable to handle kernel
Internal error:
Unhandled fault:
Kernel panic - not syncing
UBSAN:
unregister_netdevice: waiting
Booting the kernel
END

# A console without a crash: a boot's lines, with other time stamps, over and over.
python3 - "$T/quiet" "${BENCH_MB:-100}" <<'END'
import random, sys
random.seed(3)
lines = open("tests/data/oops/healthy.log", errors="replace").read().split("\n")[1:-4]
lines = [l.split("] ", 1)[-1] for l in lines if "BUG" not in l and "WARNING" not in l and "INFO" not in l]
lines += ["pci 0000:00:%02x.0: reg 0x%x: [mem 0x%08x-0x%08x]" % (i, 16 + i, i << 24, (i << 24) + 4095) for i in range(32)]
lines += ["usb %d-1: new high-speed USB device number %d using xhci_hcd" % (i, i) for i in range(16)]
lines += ["audit: type=1400 audit(1.%d:%d): avc: denied { read } for pid=%d comm=\"a.out\"" % (i, i, i) for i in range(32)]
size, t, out = 0, 0.0, open(sys.argv[1], "w")
while size < int(sys.argv[2]) * 1000000:
    t += 0.0007
    size += out.write("[%12.6f][T%5d] %s\n" % (t, random.randrange(9999), random.choice(lines)))
END
cat tests/data/oops/*.log >"$T/once"
if [ -d "$shared/corpus/report" ]; then
	python3 - "$shared/corpus" "$T/once" <<'END'
import importlib.machinery, importlib.util, os, sys
loader = importlib.machinery.SourceFileLoader("score", sys.argv[1] + "/score")
score = importlib.util.module_from_spec(importlib.util.spec_from_loader("score", loader))
loader.exec_module(score)
folder = sys.argv[1] + "/report"
with open(sys.argv[2], "wb") as out:
    for name in sorted(os.listdir(folder), key=int):
        out.write(score.parse(open(folder + "/" + name, "rb").read())[1] + b"\n")
END
fi
while [ "$(stat -c %s "$T/once")" -lt 50000000 ]; do
	cat "$T/once" "$T/once" >"$T/twice"
	mv "$T/twice" "$T/once"
done
mv "$T/once" "$T/reports"

# measure NAME FILE COMMAND...
measure() {
	local name=$1 bytes
	bytes=$(stat -c %s "$2")
	shift 2
	# shellcheck disable=SC2016 # the inner shell expands it
	for _ in 1 2 3 4 5; do
		/usr/bin/env bash -c 'TIMEFORMAT="%R %U %S"; time "$@" >"$0" 2>&1 || :' "$T/out" "$@" 2>&1
	done | python3 -c '
import statistics, sys
rows = [list(map(float, l.split())) for l in sys.stdin]
size = int(sys.argv[2]) / 1e6
wall = statistics.median(r[0] for r in rows)
cpu = statistics.median(r[1] + r[2] for r in rows)
print("%-44s %7.0f MB/s wall %7.0f MB/s CPU" % (sys.argv[1], size / max(wall, 1e-3), size / max(cpu, 1e-3)))' \
		"$name" "$bytes"
}

measure "classify, console without a crash" "$T/quiet" "$KVMREPRO" classify "$T/quiet"
measure "grep -c -F -f 40 marks, same file" "$T/quiet" grep -c -F -f "$T/marks" "$T/quiet"
measure "LC_ALL=C grep -c -F -f 40 marks, same file" "$T/quiet" env LC_ALL=C grep -c -F -f "$T/marks" "$T/quiet"
measure "classify, joined reports" "$T/reports" "$KVMREPRO" classify "$T/reports"
measure "classify --all, joined reports" "$T/reports" "$KVMREPRO" classify --all "$T/reports"

# Memory: the quiet console again and again, with reports in between, through standard input.
{
	n=0
	while [ "$n" -lt "${BENCH_BIG_MB:-1000}" ]; do
		cat "$T/quiet" tests/data/oops/*.log
		n=$((n + ${BENCH_MB:-100}))
	done
} | /usr/bin/python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print("%-44s %7.1f MiB" % ("classify --all, memory on a large log",
      resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))' "$KVMREPRO" classify --all -
