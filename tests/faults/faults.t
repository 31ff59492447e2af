#!/usr/bin/env bash
# Faults, each made for real: one line says what was done to a run, what came of it, that 2 s after
# its end no process, no temporary directory and no lock of it is left, and that what was finished of
# the evidence is whole.
# shellcheck disable=SC2016 # what is in single quotes is for jq and other shells
. "$(dirname "$0")/../tap.sh"

test_kernels lean
lean=$(tail -n 1 "$T/paths")
# A run's own directory for temporary files: by its name all that is a run's is found. It is short,
# for a socket's name must be.
declare -A tmps=()
tmp_of() {
	printf '%s/%s' "$T" "${tmps[$1]}"
}
new_tmp() {
	tmps[$1]=${#tmps[@]}
	mkdir "$(tmp_of "$1")"
	printf '%s/\n' "$(tmp_of "$1")" >"$T/$1.mark"
}

# begin NAME [PREFIX...] -- ARG...: start "kvmrepro run" with its output in $T/NAME.*.
declare -A pids=()
begin() {
	local name=$1 prefix=()
	shift
	while [ "$1" != -- ]; do
		prefix+=("$1")
		shift
	done
	shift
	[ -n "${tmps[$name]-}" ] || new_tmp "$name"
	: >"$T/$name.err" # for await, which may be there before the run
	env TMPDIR="$(tmp_of "$name")/" setsid "${prefix[@]}" "$KVMREPRO" run --out "$T/$name.d" \
		"$@" >"$T/$name.out" 2>"$T/$name.err" </dev/null &
	pids[$name]=$!
}
# boot NAME ARG...: one trial of the lean kernel, its console on standard error.
boot() {
	local name=$1
	shift
	begin "$name" -- --kernel "$lean" --runs 1 --alpha 0.5 --verbose "$@"
}

# await NAME PATTERN: until the run has said so. It is looked at as it comes, for some phases are
# short; and what looks is not waited for, which in a pipe would be until the run says more.
await() {
	grep -qm 1 -- "$2" < <(timeout 100 tail -n +1 -s 0.01 -f --pid="${pids[$1]}" "$T/$1.err" 2>/dev/null)
}
# vm SIGNAL NAME: to its QEMU.
vm() {
	pkill -"$1" -f "qemu-system-x86_64.*guest=kvmrepro-${pids[$2]}-"
}

# Processes that have the run's directory among their arguments or in their environment.
processes() {
	grep -lsaF -f "$T/$1.mark" /proc/[0-9]*/cmdline /proc/[0-9]*/environ
}
nothing_left() {
	! processes "$1" && [ -z "$(ls -A "$(tmp_of "$1")")" ]
}
left() {
	if wait_for 2 nothing_left "$1"; then
		echo nothing
	else
		processes "$1" | wc -l | tr '\n' ' '
		printf 'processes, files: %s' "$(ls -A "$(tmp_of "$1")")"
	fi
}

# Each trial of run.json has its files, they are not damaged, and none is half written.
evidence() {
	local f dir=${2:-$T/$1.d}
	if [ ! -e "$dir/run.json" ]; then
		[ -z "$(ls -A "$dir" 2>/dev/null)" ] && echo none || echo "no run.json"
		return
	fi
	jq -e . "$dir/run.json" >/dev/null 2>&1 || { echo "run.json is damaged"; return; }
	for f in $(jq -r '.trials[] | select(.end_ms != null).number' "$dir/run.json"); do
		f=$dir/$(printf 'trial-%03d' "$f")
		gzip -t "$f/console.log.gz" "$f/agent.log.gz" 2>/dev/null ||
			{ echo "$f is damaged"; return; }
	done
	[ -z "$(find "$dir" -name '*.tmp')" ] && echo whole || echo "half-written files"
}

# row NAME FAULT STATUS PATTERN [FILTER]: the line of the table. STATUS may be A|B, PATTERN is searched in what the run
# printed, FILTER, jq's, holds of run.json.
row() {
	local name=$1 fault=$2 want=$3 pattern=$4 filter=${5:-true} end rest whole rc=0
	wait "${pids[$name]}" 2>/dev/null
	status=$?
	rest=$(left "$name")
	whole=$(evidence "$name")
	end=$(grep -Eam 1 "^(all runs|run #[0-9]+): " "$T/$name.out" ||
		grep -aE '^kvmrepro: ' "$T/$name.err" | tail -n 1)
	[[ $status =~ ^($want)$ ]] && [ "$rest" = nothing ] || rc=1
	[ "$whole" = whole ] || [ "$whole" = none ] || rc=1
	cat "$T/$name.out" "$T/$name.err" | grep -Eqa -- "$pattern" || rc=1
	[ "$filter" = true ] || jq -e "$filter" "$T/$name.d/run.json" >/dev/null 2>&1 || rc=1
	cp "$T/$name.out" "$T/out"
	cp "$T/$name.err" "$T/err"
	result "$rc" "$fault; outcome: ${end:0:100} ($status); left: $rest; evidence: $whole"
}

# ---- QEMU killed, and stopped ----

retried='.trials[0].retried | test("^infra problem: the VM.s (process|serial line)")'
# Its child's crash is what the kernel prints of a reproducer.
cat >"$T/wait.c" <<-'END'
	#include <sys/wait.h>
	#include <unistd.h>
	int main(void)
	{
		if (!fork())
			*(volatile int *)8 = 1;
		wait(0);
		sleep(3);
		return 0;
	}
END
printf 'int main(void) { return 0; }\n' >"$T/nothing.c"

boot stop-repro --repro "$T/wait.c"
if await stop-repro 'wait.*segfault'; then vm STOP stop-repro; fi

boot kill-boot --repro "$T/nothing.c"
if await kill-boot 'Linux version'; then vm KILL kill-boot; fi
row kill-boot "SIGKILL to QEMU in boot" 0 'run #0: infra problem: .*; it is made once more' "$retried"
check "SIGKILL to QEMU in boot: the first attempt's console is kept" \
	gzip -t "$T/kill-boot.d/trial-000/first/console.log.gz"

boot stop-boot --boot-timeout 5 --repro "$T/nothing.c"
if await stop-boot 'Linux version'; then vm STOP stop-boot; fi
row stop-boot "SIGSTOP to QEMU in boot" 0 'is stopped .SIGSTOP.; it is made once more' "$retried"

boot kill-repro --repro "$T/wait.c"
if await kill-repro 'wait.*segfault'; then vm KILL kill-repro; fi
row kill-repro "SIGKILL to QEMU in a reproducer" 0 'once more' "$retried"

# In teardown the outcome is there: it is told, and nothing is made again. What the kernel prints of it
# comes with half a second before each line, so that the signal comes before the last one.
cat >"$T/slow.c" <<-'END'
	#include <fcntl.h>
	#include <unistd.h>
	int main(void)
	{
		return write(open("/proc/sys/kernel/printk_delay", O_WRONLY), "2000", 4) != 4;
	}
END
for sig in KILL STOP; do
	name=$sig-teardown
	boot "$name" --no-guest-sandbox --repro "$T/slow.c"
	if await "$name" 'kvm: exiting hardware virtualization'; then vm "$sig" "$name"; fi
	row "$name" "SIG$sig to QEMU in teardown" 0 '^all runs: OK' '.trials[0].retried == null'
	check "SIG$sig to QEMU in teardown: the kernel had not come to its end" \
		test -z "$(zgrep -l 'reboot: ' "$T/$name.d/trial-000/console.log.gz")"
done

boot kill-twice --repro "$T/nothing.c"
if await kill-twice 'Linux version'; then vm KILL kill-twice; fi
if await kill-twice 'once more'; then
	: >"$T/kill-twice.seen"
	wait_for 60 eval '[ "$(grep -c "Linux version" "$T/kill-twice.err")" -ge 2 ]'
	vm KILL kill-twice
fi
row kill-twice "SIGKILL to both attempts' QEMU" 128 '^all runs: infra problem: the VM' "$retried"

# ---- the console unread ----

# QEMU's serial port waits for no reader, and what it could not pass on is lost.
cat >"$T/print.c" <<-'END'
	#include <fcntl.h>
	#include <stdio.h>
	#include <unistd.h>
	int main(void)
	{
		int fd = open("/dev/kmsg", O_WRONLY);
		char line[128];

		for (int i = 0; i < 4000; i++) {
			int n = snprintf(line, sizeof(line), "line %d of a console that nobody reads", i);
			if (write(fd, line, n) != n)
				return 1;
			if (i == 9)
				sleep(3);
		}
		return 0;
	}
END
boot still --no-guest-sandbox --append printk.devkmsg=on --repro "$T/print.c"
await still 'line 0 of' && python3 tests/faults/still.py "${pids[still]}" 150000 2>"$T/still.err.py"
result $? "the console's reader stopped: 150 kB wait for it"
row still "the console's reader stopped" 0 '^all runs: OK'
zcat "$T/still.d/trial-000/console.log.gz" 2>/dev/null | tr -d '\r' | sed -n 's/.*\] line \([0-9]*\) of a console that nobody reads$/\1/p' |
	cmp -s - <(seq 0 3999)
result $? "the console's reader stopped: no character is lost"

# ---- no QEMU, or no domain ----

mkdir "$T/empty" "$T/bad" "$T/dies"
printf '#!/bin/sh\nexit 1\n' >"$T/bad/qemu-system-x86_64"
# It answers libvirt's questions, and ends where a VM is to run.
printf '#!/bin/sh\ncase "$*" in *guest=*) echo no luck >&2; exit 1 ;; esac\nexec %s "$@"\n' \
	"$(command -v qemu-system-x86_64)" >"$T/dies/qemu-system-x86_64"
chmod +x "$T"/*/qemu-system-x86_64
begin missing env PATH="$T/empty" -- --kernel "$lean" --repro create-vm
row missing "no QEMU in PATH" 128 'no usable QEMU'
begin broken env PATH="$T/bad:$PATH" -- --kernel "$lean" --repro create-vm
row broken "a QEMU that ends at once" 128 'no usable QEMU'
begin dies env PATH="$T/dies:$PATH" -- --kernel "$lean" --repro create-vm --runs 1
row dies "libvirt refuses: QEMU ends at the domain's start" 128 'no luck' \
	'.trials[0].retried | test("libvirt cannot start the VM")'
begin memory prlimit --as=1500000000 -- --kernel "$lean" --repro create-vm --runs 1 --memory 2048
row memory "libvirt refuses: no memory for the domain" 128 'all runs: infra problem: .*emory'

# A daemon knows a domain of that name already. Its own directories, and no part of the run: it is
# there before it.
if command -v libvirtd >/dev/null && command -v virsh >/dev/null; then
	mkdir -p "$T/daemon/run"
	daemon=(env HOME="$T/daemon" XDG_RUNTIME_DIR="$T/daemon/run" XDG_CONFIG_HOME="$T/daemon"
		XDG_CACHE_HOME="$T/daemon")
	"${daemon[@]}" libvirtd >"$T/daemon/log" 2>&1 &
	daemon_pid=$!
	wait_for 30 "${daemon[@]}" virsh --connect qemu:///session list
	begin taken "${daemon[@]}" sh -c 'for n in 0 1; do
			printf "<domain type=\"qemu\"><name>kvmrepro-%d-%d</name><memory>1024</memory>
			<os><type arch=\"x86_64\">hvm</type></os></domain>" $$ $n >"$0" &&
			virsh --quiet --connect qemu:///session define "$0" >&2 || exit
		done && exec "$@"' "$T/taken.xml" -- \
		--connect qemu:///session --kernel "$lean" --repro create-vm --runs 1
	row taken "libvirt refuses: the domain's name is taken" 128 'all runs: infra problem: .*already exists' \
		'.trials[0].retried | test("already exists")'
	kill "$daemon_pid"
	wait "$daemon_pid"
else
	result 0 "libvirt refuses: the domain's name is taken # SKIP no libvirtd, or no virsh"
fi

# ---- what the harness itself needs ----

panic=$PWD/tests/data/replay/panic
mkdir "$T/full.d"
begin full unshare --mount sh -c 'mount -t tmpfs -o size=200k none "$0" &&
	{ "$@"; s=$?; cp -r "$0" "$0.copy"; exit $s; }' "$T/full.d" -- \
	--engine "replay:$panic" --runs 500
row full "the disk of --out full in mid-run" 128 'No space left on device'
[ "$(evidence full "$T/full.d.copy")" = whole ] &&
	jq -e '.trials | length >= 3' "$T/full.d.copy/run.json" >/dev/null
result $? "the disk of --out full in mid-run: what was finished is whole"

begin fds prlimit --nofile=20 -- --kernel "$lean" --repro create-vm --runs 2
row fds "too few file descriptors" 128 'too few open files: 20 are allowed'
begin fds-two prlimit --nofile=100 -- --kernel "$lean" --repro create-vm --runs 4 --jobs 4
row fds-two "enough of them for one VM, not for four" 128 'for 4 VMs at once'
begin fds-soft prlimit --nofile=20:200 -- --kernel "$lean" --repro create-vm --runs 2
row fds-soft "too few of them, but more for the asking" 125 '^all runs: OK'

begin oom prlimit --as=120000000: -- --kernel "$lean" --repro create-vm --runs 2
# Whose allocation fails is chance. Ours end in 128; below virDomainCreateXML GLib recurses in its own
# message or aborts, and libxml2 does not look: what counts is what is left.
row oom "out of memory (RLIMIT_AS)" '128|133|134|139' .

if [ "$(id -u)" -eq 0 ]; then
	chmod 711 "$T"
	mkdir -m 755 "$T/roots" "$T/user"
	cp "$KVMREPRO" "$T/user/"
	new_tmp unwritable
	chmod 777 "$(tmp_of unwritable)"
	KVMREPRO=$T/user/kvmrepro begin unwritable setpriv --reuid=65534 --regid=65534 --clear-groups -- \
		--engine "replay:$panic" --runs 1 --out "$T/roots/x"
	row unwritable "an --out that an ordinary user may not write" 129 'roots.*Permission denied'
fi

# ---- signals ----

boot term --repro "$T/nothing.c"
if await term 'Linux version'; then kill -TERM "${pids[term]}"; fi
row term "SIGTERM in boot" 143 'interrupted'

# The master's end of the terminal goes away with the program that holds it.
new_tmp tty
TMPDIR=$(tmp_of tty)/ python3 - "$T/tty.err" "$KVMREPRO" run --kernel "$lean" --repro create-vm \
	--runs 50 --out "$T/tty.d" >"$T/tty.out" 2>&1 <<-'END' &
	import os, pty, sys
	pid, fd = pty.fork()
	if not pid:
	    os.execv(sys.argv[2], sys.argv[2:])
	said = b""
	while b"run #0: OK" not in said:
	    said += os.read(fd, 4096)
	os.close(fd)
	open(sys.argv[1], "wb").write(said)
	sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
pids[tty]=$!
row tty "the terminal gone in mid-run" 129 'run #0: OK' '.exit_status == 129 and (.trials | length) >= 1'

# ---- the clock ----

# A step of the wall clock cannot be made without disturbing the machine; so: nothing but time stamps
# is taken from it, and a monotonic clock that began long ago changes nothing.
used=$(nm -A --undefined-only build/harness/*.o build/harness/*/*.o |
	sed -nE 's|^build/harness/(.*)\.o: *U (time\|gettimeofday\|ftime\|timespec_get)$|\1|p' | sort | tr '\n' ' ')
allowed='cmd_bisect report/run_json report/store state '
[ "$used" = "$allowed" ] && ! grep -rn CLOCK_REALTIME harness >"$T/err"
result $? "the wall clock is for time stamps only: ${used% }"
begin clock unshare --time --monotonic 86400000 --boottime 86400000 --fork -- \
	--kernel "$lean" --repro create-vm --runs 1 --alpha 0.5
row clock "a monotonic clock 1000 days on" 0 '^all runs: OK'

# ---- what a guest may send: recordings in place of VMs ----

# recording NAME [BYTES]: its console is standard input, of BYTES, with a beat at each thousandth.
recording() {
	mkdir -p "$T/$1.rec"
	gzip -1 >"$T/$1.rec/console.log.gz"
	{
		printf '%s\n' '1 0 hello release=6.1 version=#1 vendor=AuthenticAMD features=svm cpus=2' \
			'2 0 canary ok=1 kvm=kvm_amd nested=Y' '3 0 ready' '4 0 start id=0 name=create-vm'
		seq -f '4 %.0f beat ms=1' 0 "$((${2:-0} / 1000 + 1))" "${2:-0}"
		printf "%d ${2:-0} %s\n" 5 'end id=0 how=exit code=0 ms=3' 6 'done' 7 '!o'
	} >"$T/$1.rec/agent.log"
}
replay() {
	local name=$1
	shift
	begin "$name" -- --engine "replay:$T/$name.rec" --runs 1 --alpha 0.5 --repro create-vm "$@"
}
yes '[    1.000000] a line that means nothing, again and again, for as long as it takes' |
	head -c 1000000000 | recording flood 1000000000
replay flood
row flood "1 GB of console" 0 '^all runs: OK' '.trials[0].console_bytes == 1000000000'
head -c 100000000 /dev/zero | tr '\0' x | recording endless 100000000
replay endless
row endless "a line of 100 MB without an end" 0 '^all runs: OK' '.trials[0].console_bytes == 100000000'
{
	perl -e 'binmode STDOUT; srand 7; print chr int rand 256 for 1 .. 3000000'
	printf '\033]0;title\007\033[2J\0\0\377\376\300\200\n------------[ cut here ]------------\n'
	printf 'WARNING: CPU: 1 PID: 1 at x.c:1 \033[31mbad\0fn\377+0x1/0x2\n'
} >"$T/noise"
noise_bytes=$(stat -c %s "$T/noise")
recording bytes "$noise_bytes" <"$T/noise"
replay bytes --verbose
row bytes "NULs, escapes, invalid UTF-8, noise" 1 '^all runs: crashed: WARNING'
! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$T/bytes.out" "$T/bytes.err"
result $? "NULs, escapes, invalid UTF-8, noise: none of them reaches the terminal"

recording nonsense </dev/null
{
	sed -n 1,4p "$T/nonsense.rec/agent.log"
	for _ in $(seq 400); do
		yes '4 0 output id=0 data=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' | head -n 500
		yes '4 0 wibble a=%ZZ b' | head -n 250
		yes '4 0 <no frame at all' | head -n 250
		printf '4 0 %s\n' 'beat ms=1' '<kvmrepr 0123 end id=0' 'end id=99 how=none' \
			'start id=-1 name=%00' 'output id=' 'hello hello' 'end'
	done
	sed -n '5,$p' "$T/nonsense.rec/agent.log"
} >"$T/agent" && mv "$T/agent" "$T/nonsense.rec/agent.log"
replay nonsense
row nonsense "an agent line of 400,000 lines: a flood, nonsense and half messages" 0 '^all runs: OK' \
	'.trials[0].agent_noise_lines >= 200000'
recording future </dev/null
sed -i '4s/.*/4 0 <kvmrepro\/2 start id=0/' "$T/future.rec/agent.log"
replay future
row future "an agent of a future version" 128 "speaks 'kvmrepro/2'" \
	'.trials[0].retried == null'

# ---- a kernel that reboots for ever ----

boot reboots --repro create-vm --append 'panic=-1 rdinit=/none init=/none root=/dev/none'
row reboots "a kernel that reboots for ever" 125 '^all runs: boot failed: '

row stop-repro "SIGSTOP to QEMU in a reproducer" 0 'is stopped .SIGSTOP.; it is made once more' "$retried"
done_testing
