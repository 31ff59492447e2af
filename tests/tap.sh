# shellcheck shell=bash disable=SC2034
# TAP for shell tests: source this, make checks, end with "done_testing". Run by prove.
#
# $T is a scratch directory of the test's own, removed at its end; XDG directories point into it,
# except the cache, which is the real one: kernels and what libvirt knows of QEMU are kept there.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
KVMREPRO=${KVMREPRO:-$PWD/kvmrepro}
T=$(mktemp -d "${TMPDIR:-/tmp}/kvmrepro-test-XXXXXX")
export XDG_STATE_HOME=$T/state TMPDIR=$T
export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
tests=0

cleanup() {
	local kept=$?
	jobs -p | xargs -r kill -KILL 2>/dev/null
	rm -rf "$T"
	exit "$kept"
}
trap cleanup EXIT

# result RC NAME: one test line.
result() {
	tests=$((tests + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$tests" "$2"
	else
		printf 'not ok %d - %s\n' "$tests" "$2"
		# Where prove shows it whatever else it hides.
		{
			printf '# %s: %s\n' "$0" "$2"
			show out err
		} >&2
	fi
}

# show FILE...: what the last run printed, as diagnostics.
show() {
	local f
	for f; do
		[ -e "$T/$f" ] && sed "s/^/# $f: /" "$T/$f" | tail -n 40
	done
	printf '# exit status: %s\n' "${status:-none}"
}

# run COMMAND...: its output goes to $T/out and $T/err, its exit status to $status.
run() {
	"$@" >"$T/out" 2>"$T/err" </dev/null
	status=$?
}

# all_gone PID...: whether none of them runs; one that nobody has reaped does not.
all_gone() {
	! ps -o stat= -p "$@" | grep -qv Z
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || return 1
		read -r -t 0.1 <> <(:) || true
	done
}

# alive PID: and no zombie.
alive() {
	readlink "/proc/$1/exe"
}

# keepers: the pids of those that this test's runs have left.
keepers() {
	local pid
	for pid in $(pgrep -f 'kvmrepro --keeper'); do
		grep -qzxF "TMPDIR=$TMPDIR" "/proc/$pid/environ" 2>/dev/null && echo "$pid"
	done
}

# check NAME COMMAND...: the command must succeed.
check() {
	local name=$1
	shift
	"$@" >/dev/null 2>&1
	result $? "$name"
}

# status_is N NAME; out_is TEXT NAME; out_like, err_like ERE NAME; err_lines N NAME.
status_is() {
	[ "$status" -eq "$1" ]
	result $? "$2"
}
out_is() {
	[ "$(cat "$T/out")" = "$1" ]
	result $? "$2"
}
out_like() {
	grep -Eq -- "$1" "$T/out"
	result $? "$2"
}
err_like() {
	grep -Eq -- "$1" "$T/err"
	result $? "$2"
}
err_lines() {
	[ "$(wc -l <"$T/err")" -eq "$1" ]
	result $? "$2"
}

# skip_all WHY: nothing here, or nothing from here on, can be tested.
skip_all() {
	if [ "$tests" -gt 0 ]; then
		result 0 "the rest # SKIP $1"
		done_testing
	else
		printf '1..0 # SKIP %s\n' "$1"
	fi
	exit 0
}

# test_kernels NAME...: build what is not in the cache; their paths, one a line, go to $T/paths. All
# is skipped where the source cannot be had; a build that fails is a failure.
test_kernels() {
	images/build-kernel "$@" >"$T/paths" 2>"$T/err"
	case $? in
	0) ;;
	77) skip_all "no test kernels: $(tail -n 1 "$T/err")" ;;
	*)
		result 1 "test kernels: $*"
		done_testing
		exit 1
		;;
	esac
}

done_testing() {
	printf '1..%d\n' "$tests"
}
