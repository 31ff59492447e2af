#!/usr/bin/env bash
# kvmrepro classify: titles, formats, exit statuses, matching, input of every kind.
. "$(dirname "$0")/../tap.sh"
data=tests/data/oops

# field NAME: that member of the JSON object in $T/out.
field() {
	python3 -c 'import json,sys; v=json.load(open(sys.argv[1]))[sys.argv[2]]; print(v)' "$T/out" "$1"
}

# is TEXT WANT NAME
is() {
	[ "$1" = "$2" ]
	result $? "$3"
}

# One row a log: its title, type and flags.
"$KVMREPRO" classify --format json "$data"/*.log | python3 -c '
import json, os, sys
for l in sys.stdin:
    r = json.loads(l)
    flags = ",".join(f for f in ("corrupted", "suppressed", "panicked") if r.get(f))
    print(os.path.basename(r["file"])[:-4], r.get("type") or "-", flags or "-", r["title"] or "-",
          sep="\t")' >"$T/rows"
while IFS= read -r row; do
	case $row in '#'*) continue ;; esac
	row=${row/$'\t'none$'\t'/$'\t'-$'\t'}
	grep -qxF -- "$row" "$T/rows"
	result $? "${row//$'\t'/ }"
done <"$data/expected"

# What it prints, and exit statuses.
run "$KVMREPRO" classify "$data/warning.log" "$data/healthy.log"
status_is 0 "without --exit-code the status is 0"
out_is "$data/warning.log: WARNING in nested_svm_vmexit
$data/healthy.log: no crash" "text: one line a log"
run "$KVMREPRO" classify --exit-code "$data/warning.log"
status_is 1 "--exit-code: 1 for a crash"
run "$KVMREPRO" classify --exit-code "$data/healthy.log"
status_is 0 "--exit-code: 0 for none"
run "$KVMREPRO" classify
status_is 129 "no operand: 129"
run "$KVMREPRO" classify /no/such
status_is 129 "an unreadable log: 129"
out_is "" "an unreadable log: nothing is said of crashes"
err_lines 1 "an unreadable log: one line"
run "$KVMREPRO" classify /no/such "$data/warning.log"
status_is 129 "one unreadable log among others: 129"
out_is "$data/warning.log: WARNING in nested_svm_vmexit" "the others are classified all the same"
run "$KVMREPRO" classify "$T"
status_is 129 "a directory: 129"
out_is "" "a directory: nothing is said of crashes"
for log in /no/such "$T"; do
	run "$KVMREPRO" classify --format json "$log"
	is "$(jq -c '[.file, (.error | length > 0), has("title")]' "$T/out")" "[\"$log\",true,false]" \
		"json: $log has an error, and no title"
done

# A signal ends it at once: the log behind the one that does not end has no line.
mkfifo "$T/fifo"
"$KVMREPRO" classify - "$data/warning.log" <>"$T/fifo" >"$T/out" 2>"$T/err" &
pid=$!
wait_for 10 pgrep -P "$pid"
kill -INT "$pid"
wait "$pid"
status=$?
status_is 130 "SIGINT: exit status 130"
err_lines 1 "SIGINT: one line"
out_is "" "SIGINT: no log that is left is read"

# Input of other kinds.
"$KVMREPRO" classify - <"$data/warning.log" >"$T/out" 2>"$T/err"
out_is "(standard input): WARNING in nested_svm_vmexit" "standard input"
gzip -c "$data/warning.log" >"$T/w.gz"
run "$KVMREPRO" classify "$T/w.gz"
out_is "$T/w.gz: WARNING in nested_svm_vmexit" "gzip"
"$KVMREPRO" classify - <"$T/w.gz" >"$T/out" 2>"$T/err"
out_is "(standard input): WARNING in nested_svm_vmexit" "gzip on standard input"
head -c 60 "$T/w.gz" >"$T/cut.gz"
run "$KVMREPRO" classify "$T/cut.gz"
status_is 129 "cut gzip: 129"
out_is "" "cut gzip: nothing is said of crashes"
{
	cat "$data/warning.log"
	head -c 100000 /dev/urandom | base64
} | gzip >"$T/long.gz"
head -c 50000 "$T/long.gz" >"$T/cut.gz"
run "$KVMREPRO" classify "$T/cut.gz"
status_is 129 "gzip cut behind a crash: 129"
out_is "$T/cut.gz: WARNING in nested_svm_vmexit" "gzip cut behind a crash: it is named"
run "$KVMREPRO" classify --format json "$T/cut.gz"
is "$(jq -r '.title // .error' "$T/out")" "WARNING in nested_svm_vmexit
$T/cut.gz: the compressed data is cut short" "gzip cut behind a crash, json: the crash, then the error"
run "$KVMREPRO" classify --ignore '/./' "$T/cut.gz"
out_is "" "gzip cut behind a crash that is ignored: nothing is said of others"
head -c 100 "$T/w.gz" >"$T/broken.gz"
printf '\377%.0s' {1..200} >>"$T/broken.gz"
run "$KVMREPRO" classify "$T/broken.gz"
status_is 129 "broken gzip: 129"
out_is "" "broken gzip: nothing is said of crashes"
sed 's/$/\r/' "$data/kasan.log" >"$T/crlf"
run "$KVMREPRO" classify "$T/crlf"
out_is "$T/crlf: KASAN: slab-use-after-free Read in kvm_vcpu_block" "carriage returns"
sed 's/^\[[^]]*\]\(\[[^]]*\]\)\? //' "$data/gpf.log" >"$T/bare"
run "$KVMREPRO" classify "$T/bare"
out_is "$T/bare: general protection fault in kvm_coalesced_mmio_init" "no time stamps"
sed 's/^\[/Nov 20 23:59:01 host kernel: [/' "$data/gpf.log" >"$T/syslog"
run "$KVMREPRO" classify "$T/syslog"
out_is "$T/syslog: general protection fault in kvm_coalesced_mmio_init" "syslog's prefix"
sed 's/^\[/<4>[/' "$data/gpf.log" >"$T/level"
run "$KVMREPRO" classify "$T/level"
out_is "$T/level: general protection fault in kvm_coalesced_mmio_init" "log levels"
: >"$T/empty"
run "$KVMREPRO" classify "$T/empty"
out_is "$T/empty: no crash" "an empty log"

# Several reports.
cat "$data/refcount.log" "$data/kasan.log" "$data/page-fault.log" >"$T/three"
run "$KVMREPRO" classify "$T/three"
out_is "$T/three: WARNING: refcount bug in kvm_destroy_vm [panicked]" "the first report names the crash"
run "$KVMREPRO" classify --all --format json "$T/three"
is "$(wc -l <"$T/out")" 3 "--all: three objects"
is "$(python3 -c '
import json,sys
log = open(sys.argv[2], "rb").read()
for l in open(sys.argv[1]):
    r = json.loads(l)
    print(r["title"].split()[0], log[r["start"]:r["end"]].count(b"Call Trace:"))' "$T/out" "$T/three")" \
	"WARNING: 1
KASAN: 1
BUG: 1" "--all: each report's place in the log"
run "$KVMREPRO" classify --report "$data/null.log"
out_like '^RIP: 0010:kvm_get_bus\+0x5/0x20$' "--report: lines without prefixes"

# Matching.
match() {
	run "$KVMREPRO" classify --exit-code --expect "$1" "$data/$2.log"
	status_is "$3" "--expect '$1' on $2: $3"
}
match "WARNING in nested_svm_vmexit" warning 1
match "WARNING in nested_svm_vmexit (3)" warning 1
match "[syzbot] [kvm?] WARNING in nested_svm_vmexit" warning 1
match "WARNING in kvm_wait" warning 0
match "/nested_svm/" warning 1
match "/^nested_svm/" warning 0
match "kernel BUG at arch/x86/kvm/mmu.c:LINE!" kernel-bug 1
match "kernel BUG at arch/x86/kvm/mmu/mmu.c:695!" kernel-bug 1
match "kernel BUG at virt/mmu.c:LINE!" kernel-bug 1
match "KASAN: use-after-free Read in kvm_vcpu_block" kasan 1
match "bad-access in kvm_vcpu_block" kasan 1
run "$KVMREPRO" classify --expect '/(/' "$data/warning.log"
status_is 129 "a bad expression: 129"
run "$KVMREPRO" classify --expect '' "$data/warning.log"
status_is 129 "an empty title: 129"
run "$KVMREPRO" classify --ignore 'WARNING: refcount bug in kvm_destroy_vm' "$T/three"
out_like "^$T/three: KASAN: " "--ignore: the next report counts"
run "$KVMREPRO" classify --exit-code --ignore '/./' "$T/three"
status_is 0 "--ignore of everything: no crash"

# What is in a log never reaches a terminal as it is.
printf '[    1.0] BUG: \033[31mred\n[    1.1] Call Trace:\n' >"$T/red"
run "$KVMREPRO" classify --report "$T/red"
check "control characters are escaped" sh -c "! grep -q \$'\\033' '$T/out'"

# Symbols.
if command -v addr2line >/dev/null; then
	printf '%s\n' 'static inline __attribute__((always_inline)) int deep(volatile int *p)' '{' \
		'	return *p + 1;' '}' '__attribute__((noinline)) int outer(volatile int *p)' '{' \
		'	return deep(p) * 3;' '}' 'int main(int c, char **v)' '{' '	(void)v;' \
		'	return outer(&c);' '}' >"$T/p.c"
	(cd "$T" && cc -g -O2 -o p p.c)
	size=0x$(nm -S "$T/p" | awk '$4 == "outer" { print $2 }')
	printf 'RIP: 0010:outer+0x0/%s\n' "$size" | cat - >"$T/rip"
	printf 'BUG: kernel NULL pointer dereference, address: 0\n' | cat - "$T/rip" >"$T/log"
	run "$KVMREPRO" classify --vmlinux "$T/p" --report "$T/log"
	out_like '^RIP: 0010:deep p.c:3 \[inline\]$' "--vmlinux: the inlined function"
	out_like "^RIP: 0010:outer\\+0x0/$size p.c:7\$" "--vmlinux: the function's own line"
else
	result 0 "--vmlinux # SKIP no addr2line"
fi
run timeout 10 "$KVMREPRO" classify --vmlinux "$T/fifo" "$data/warning.log"
err_like "$T/fifo: not a regular file" "--vmlinux: a FIFO is not waited for"
for command in classify audit; do
	# KILL counts as 137, and would come a second after a signal that does not end it.
	run timeout -s INT -k 1 0.5 "$KVMREPRO" "$command" "$T/fifo"
	err_like '^kvmrepro: interrupted$' "$command: a FIFO without a writer is waited for until SIGINT"
done
cat "$data/warning.log" >"$T/fifo" &
run "$KVMREPRO" classify "$T/fifo"
wait
out_like "^$T/fifo: WARNING in" "a FIFO is read when its writer comes"
run "$KVMREPRO" classify --vmlinux /no/such "$data/warning.log"
status_is 129 "a missing vmlinux: 129"
run "$KVMREPRO" classify --modules "$T" "$data/warning.log"
status_is 129 "--modules without --vmlinux: 129"

# The five seeds: the log names its own crash.
shared=${KVMREPRO_SHARED:-../shared}
if [ -d "$shared/seeds" ]; then
	for seed in "$shared"/seeds/*.txt; do
		title=$(sed -n 's/^crash: //p' "$seed" | tail -n 1)
		sed '1,/^crash: /d' "$seed" >"$T/seed"
		run "$KVMREPRO" classify --format json "$T/seed"
		is "$(field title)" "$title" "seed: $title"
	done
else
	result 0 "the seeds # SKIP no $shared"
fi
if [ -x "$shared/corpus/score" ]; then
	run "$shared/corpus/score" "$KVMREPRO"
	n=$(sed -n 's/^titles \([0-9]*\).*/\1/p' "$T/out")
	[ "${n:-0}" -ge 345 ]
	result $? "corpus: $(cat "$T/out")"
else
	result 0 "the corpus # SKIP no $shared"
fi
done_testing
