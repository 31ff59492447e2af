#!/usr/bin/env bash
# Random SIGKILLs to kvmrepro and its VMs, from a fixed seed: KVMREPRO_KILLS trials (20), four a run.
# No process, no directory and no lock is left of any run, and each trial that was told is in its
# run.json with its evidence.
. "$(dirname "$0")/../tap.sh"

test_kernels lean
lean=$(tail -n 1 "$T/paths")
printf 'int main(void) { return 0; }\n' >"$T/nothing.c"
cc -static -o "$T/nothing" "$T/nothing.c"
printf '%s/kvmrepro-\n' "$T" >"$T/mark"
RANDOM=20261121

processes() {
	grep -lsaF -f "$T/mark" /proc/[0-9]*/cmdline
	keepers
}
nothing_left() {
	[ -z "$(processes)" ] && [ -z "$(find "$T" -mindepth 1 -maxdepth 1 -name 'kvmrepro-*')" ] &&
		flock --nonblock "$T/state.lock" true
}
# Each trial that was told is in run.json, with a console that is whole.
all_kept() {
	local n
	sed -nE 's/^kvmrepro: run #([0-9]+): .* s\)$/\1/p' "$T/err" | while read -r n; do
		jq -e --argjson n "$n" '[.trials[].number] | index($n) != null' \
			"$1/run.json" >/dev/null || return 1
		n=$1/$(printf 'trial-%03d' "$n")
		[ ! -e "$n/console.log.gz" ] || gzip -t "$n/console.log.gz" || return 1
	done || return 1
	[ ! -e "$1/run.json" ] || jq -e . "$1/run.json" >/dev/null
}

rounds=$(((${KVMREPRO_KILLS:-20} + 3) / 4))
lost=0 left=0 kills=0 told=0
for ((i = 0; i < rounds; i++)); do
	: >"$T/err"
	setsid "$KVMREPRO" run --kernel "$lean" --runs 4 --jobs 2 --repro "$T/nothing" \
		--state "$T/state" --out "$T/run-$i" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	# A VM or two first, in two of three rounds; then, in two of three, kvmrepro itself.
	for victim in vm vm run; do
		read -r -t "$((RANDOM % 2)).$((RANDOM % 900 + 100))" <> <(:)
		((RANDOM % 3)) || continue
		if [ "$victim" = run ]; then
			kill -KILL "$pid" 2>/dev/null && ((kills++))
		else
			pkill -KILL -o -f "qemu-system-x86_64.*guest=kvmrepro-$pid-" && ((kills++))
		fi
	done
	wait "$pid" 2>/dev/null
	wait_for 2 nothing_left || { processes; ls -A "$T"; } | sed 's/^/# /'
	nothing_left || left=$((left + 1))
	all_kept "$T/run-$i" || { lost=$((lost + 1)) && show err; }
	told=$((told + $(grep -cE '^kvmrepro: run #[0-9]+: .* s\)$' "$T/err")))
	rm -rf "$T/run-$i" "$T/state"
done
test "$kills" -ge "$((rounds / 2))"
result $? "$((rounds * 4)) trials in $rounds runs: $kills kills, $told trials came to their end"
test "$left" -eq 0
result $? "no process, directory or lock is left within 2 s ($left runs left one)"
test "$lost" -eq 0
result $? "every finished trial is in its run.json ($lost runs lost one)"
done_testing
