#!/usr/bin/env bash
# kvmrepro run given bad input: exit status 129, one clear line, no VM.
. "$(dirname "$0")/../tap.sh"

# The checks must not need a kernel of Debian's: a header is enough to be taken for one, up to the
# point where the file is found to be cut short.
bad() {
	local name=$1 pattern=$2
	shift 2
	run "$KVMREPRO" run "$@"
	status_is 129 "$name: exit status 129"
	err_like "$pattern" "$name: says what is wrong"
	out_is "" "$name: nothing on standard output"
	check "$name: no run was begun" test -z "$(ls "$T/state/kvmrepro/runs" 2>/dev/null)"
}

bad "a missing file" '/no/such: No such file' --kernel /no/such
err_lines 1 "a missing file: one line"
bad "a directory" "$T: .*directory" --kernel "$T"
bad "no kernel" '--kernel FILE is needed' --runs 1
bad "an unknown option" "unknown or ambiguous option '--no-such'" --no-such
bad "an ambiguous option" "unknown or ambiguous option '--e'" --e tcg
bad "a short option" "unknown option '-v'" -vx
bad "a flag with an argument" "--verbose=1 takes no argument" --verbose=1
bad "an option without its argument" "--kernel needs an argument" --kernel
bad "a number with a blank" "--runs takes a whole number" --runs ' 5'
bad "a number out of range" "--runs takes a whole number from 1 to 100000, not '0'" --runs 0
bad "another host's libvirt" "--connect qemu.ssh://h/system: another host" --kernel "$T/x" \
	--connect qemu+ssh://h/system
bad "a CPU for an engine that has its own" '--cpu EPYC is for libvirt' --engine bochs --cpu EPYC
bad "a word for a number" "--smp takes a whole number" --smp two
for share in 0 1 1.5 -1 half 0x.8p0 nan 0,5 '' .; do
	bad "--alpha '$share'" "--alpha takes a number above 0 and below 1, such as 0.01, not" \
		--alpha "$share"
done
bad "a rate of one" "--rate takes a number above 0 and below 1" --rate 1
bad "an unknown policy" "--policy takes one of bayes, syzbot, not 'vote'" --policy vote
bad "no hits at all" "--min-hits takes a whole number from 1" --min-hits 0
bad "more hits than runs" "--min-hits 4 is more than --runs 3" --min-hits 4 --runs 3 --kernel /dev/null
err_lines 1 "more hits than runs: one line"
bad "an unknown choice" "--accel takes one of auto, kvm, tcg, not 'xen'" --accel xen
bad "an unknown engine" "--engine takes one of" --engine xen --kernel /dev/null
bad "an accelerator for Bochs" "--accel kvm is for libvirt, not for --engine bochs" \
	--engine bochs --accel kvm --kernel /dev/null
bad "a connection for a replay" "--connect qemu:///system is for libvirt" \
	--engine replay:tests/data/replay/panic --connect qemu:///system
bad "more memory than there is" "--memory 1048576: this host has [0-9]+ MiB, swap included" \
	--memory 1048576 --kernel /dev/null
bad "an operand" "'extra' is not expected" extra
bad "a program for a kernel" "ELF" --kernel /bin/sh
bad "an unknown reproducer" "no such reproducer 'create-wm'.*create-vm" --repro create-wm
bad "a dynamic program for a reproducer" "-static" --repro /bin/sh

bad "a directory for a reproducer" "$T: a directory; a reproducer is" --repro "$T"
mkdir "$T/empty"
panic=$PWD/tests/data/replay/panic
bad "replay: without a directory" 'replay:DIR needs' --engine replay:
bad "replay: of an empty directory" "$T/empty: no recorded trial" --engine "replay:$T/empty"
bad "replay: of a file" "tap.sh: not a directory" --engine replay:tests/tap.sh
bad "--state in no directory" "$T/no/state: its directory: No such" --engine "replay:$panic" \
	--state "$T/no/state"
bad "an --out that is a file, with replay" "tests/tap.sh: not a directory" \
	--engine "replay:$panic" --out tests/tap.sh

echo 'int main(void) { return 0 }' >"$T/bad.c"
# A compiler that does not end is ended with kvmrepro, whatever ends that; so is its directory.
compiler_is_gone() {
	! alive "$(cat "$T/cc.pid")" && ! ls -d "$T"/kvmrepro-??????
}
# shellcheck disable=SC2016 # $$ is the script's
printf '#!/bin/sh\necho $$ >%s/cc.pid\nexec sleep 100\n' "$T" >"$T/cc"
chmod +x "$T/cc"
for sig in TERM HUP KILL; do
	rm -f "$T/cc.pid"
	CC=$T/cc setsid "$KVMREPRO" run --engine "replay:$panic" --repro "$T/bad.c" \
		>"$T/out" 2>"$T/err" &
	pid=$!
	wait_for 10 test -s "$T/cc.pid"
	kill -s "$sig" "$pid"
	wait "$pid" 2>/dev/null
	status=$?
	status_is $((128 + $(kill -l "$sig"))) "SIG$sig in the compiler: its exit status"
	wait_for 2 compiler_is_gone
	result $? "SIG$sig in the compiler: neither it nor a directory is left"
done

bad "a .c that does not compile" "bad.c" --repro "$T/bad.c"
err_like 'error: expected' "a .c that does not compile: the compiler's own words"

head -c 100 /dev/zero >"$T/zero"
bad "a file that is no kernel" "$T/zero: " --kernel "$T/zero"

if kernel=$(images/fetch-kernel 2>/dev/null); then
	head -c 1000000 "$kernel" >"$T/cut"
	bad "a truncated kernel" "$T/cut: .*(cut|trunc|short)" --kernel "$T/cut"
	mkdir "$T/used" && echo '{}' >"$T/used/run.json"
	bad "an --out that is in use" "$T/used holds a run already" --kernel "$kernel" \
		--out "$T/used"
	bad "an --out that is a file" "$T/zero" --kernel "$kernel" --out "$T/zero"
	bad "an --append that is too long" "command line" --kernel "$kernel" \
		--append "$(printf 'x%.0s' $(seq 2100))"
else
	result 0 "a truncated kernel # SKIP no stock kernel"
fi
done_testing
