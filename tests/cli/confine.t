#!/usr/bin/env bash
# The cage of the readers: what it holds against, and that a reader calls nothing but what is
# listed in harness/confine.c.
. "$(dirname "$0")/../tap.sh"
data=tests/data/oops

make -s build/tests/confine/attempts >"$T/err" 2>&1
result $? "the attempts are built"
run build/tests/confine/attempts
status_is 0 "none of the attempts gets out"
while read -r ok _ name; do
	[ "$ok" = ok ]
	result $? "a reader tries to${name#-}"
done < <(sed -n 's/^not ok /not-ok /; /^[a-z-]*ok /p' "$T/out")

sed -n 's/.*SCMP_SYS(\([a-z0-9_]*\)),.*/\1/p' harness/confine.c | sort >"$T/allowed"
check "the list of what is allowed can be read" [ "$(wc -l <"$T/allowed")" -ge 10 ]

# traced NAME N COMMAND...: there are N readers, and once caged they call nothing else. Their traces
# stay in $T/readers.
traced() {
	local name=$1 n=$2
	shift 2
	rm -rf "$T/traces"
	mkdir "$T/traces"
	run strace -ff -qq -o "$T/traces/t" "$@"
	grep -l 'prctl(PR_SET_NAME, "kvmrepro-reader"' "$T"/traces/* >"$T/names"
	xargs -d '\n' cat <"$T/names" >"$T/readers"
	# What comes after the loading of the filter.
	xargs -d '\n' -n 1 sed -n '/^seccomp(SECCOMP_SET_MODE_FILTER, 0, {.* = 0$/,$ { //d; s/(.*//p }' \
		<"$T/names" >"$T/calls"
	[ "$(wc -l <"$T/names")" -eq "$n" ] &&
		[ "$(grep -c '^seccomp(SECCOMP_SET_MODE_FILTER, 0, {.* = 0$' "$T/readers")" -eq "$n" ]
	result $? "$name: $n readers, all of them caged"
	sort -u "$T/calls" | comm -13 "$T/allowed" - >"$T/err"
	[ ! -s "$T/err" ]
	result $? "$name: the readers call nothing but what is allowed"
}

run env KVMREPRO_UNCONFINED=1 "$KVMREPRO" classify "$data/warning.log"
err_like 'KVMREPRO_UNCONFINED is set: .* not confined' "a cage that is left open is told"
err_lines 1 "and nothing else is said"

if strace -o /dev/null true 2>/dev/null; then
	gzip -c "$data/warning.log" >"$T/warning.log.gz"
	traced classify 3 "$KVMREPRO" classify --all --report "$data/warning.log" \
		"$data/kernel-bug.log" "$T/warning.log.gz"
	status_is 0 "classify: the readers do their work"
	if grep -q '^landlock_create_ruleset(NULL.* = -1' "$T/readers"; then
		result 0 "classify: Landlock takes all rights # SKIP this kernel has none"
	else
		check "classify: Landlock takes all rights" \
			[ "$(grep -c '^landlock_restrict_self(.*) *= 0$' "$T/readers")" -eq 3 ]
	fi
	traced audit 2 "$KVMREPRO" audit --format json tests/data/bisect/old.log tests/data/bisect/new-fix.log
	check "audit: the readers do their work" [ "$(wc -l <"$T/out")" -eq 2 ]
	tests/mkimage.py "$T/image" pack=xz
	traced signature 2 "$KVMREPRO" signature "$T/image"
	status_is 0 "signature: the readers do their work"
	mkdir "$T/replay"
	cp "$data/warning.log" "$T/replay/console.log"
	printf '1 0 hello release=6.1 version=1 vendor=AuthenticAMD features=svm cpus=2\n2 0 canary ok=1 kvm=kvm_amd nested=Y\n3 0 ready\n4 0 start id=0 name=create-vm\n' >"$T/replay/agent.log"
	traced run 2 "$KVMREPRO" run --engine "replay:$T/replay" --runs 2 --repro create-vm --verbose
	out_is "all runs: crashed: WARNING in nested_svm_vmexit" "run: the readers do their work"
else
	result 0 "the readers' system calls # SKIP strace cannot be used here"
fi
done_testing
