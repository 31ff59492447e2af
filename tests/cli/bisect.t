#!/usr/bin/env bash
# kvmrepro bisect where no kernel is booted: git, options, builds.
# shellcheck disable=SC2154 # tap.sh sets status
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/../bisect.sh"

command -v git >/dev/null || skip_all "no git"
tree=$T/tree
scratch_repo "$tree" a b c d

bisect() {
	run "$KVMREPRO" bisect --tree "$tree" --good main~3 --bad main "$@"
}

# interrupted DIR: begin one that builds until it is interrupted; SIGINT reaches it while it builds.
interrupted() {
	rm -f "$T/builder"
	"$KVMREPRO" bisect --tree "$tree" --good main~3 --bad main --out "$1" \
		--build "[ -e $T/builder ] && exit 1; echo \$\$ >$T/builder; exec sleep 1000" >"$T/out" 2>"$T/err" </dev/null &
	local pid=$!
	until_true 60 test -s "$T/builder"
	kill -INT $pid
	wait $pid
	status=$?
}

# --resume goes on with what kvmrepro has begun in the tree, never with what the user has.
out=$T/interrupted
interrupted "$out"
status_is 130 "interrupted while building: exit status 130"
as_found "$tree" "interrupted while building"
git -C "$tree" bisect start main main~3 >/dev/null
cp "$tree/.git/BISECT_LOG" "$T/log"
run "$KVMREPRO" bisect --resume --out "$out"
status_is 129 "--resume beside the user's bisection: exit status 129"
err_like 'a bisection is running there' "--resume beside the user's bisection: said"
check "the user's bisection goes on" cmp "$tree/.git/BISECT_LOG" "$T/log"
git -C "$tree" bisect reset >/dev/null 2>&1

done_testing
