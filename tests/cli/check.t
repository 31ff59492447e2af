#!/usr/bin/env bash
# kvmrepro check given bad input: exit status 129, one clear line, no VM.
. "$(dirname "$0")/../tap.sh"

bad() {
	local name=$1 pattern=$2
	shift 2
	run "$KVMREPRO" check "$@"
	status_is 129 "$name: exit status 129"
	err_like "$pattern" "$name: says what is wrong"
	out_is "" "$name: nothing on standard output"
	check "$name: no run was begun" test ! -e "$T/state"
}

bad "no base" 'no base: --base FILE is needed' --kernel /dev/null
bad "no kernel" 'no kernel to check: --kernel FILE is needed' --base /dev/null
bad "a missing base" '/no/such: No such file' --base /no/such --kernel /bin/sh
bad "an operand" "check: 'extra' is not expected" extra
bad "an unknown reproducer" "no such reproducer 'create-wm'" --base /bin/sh --kernel /bin/sh \
	--repro create-wm
bad "a program for a kernel" "ELF" --base /bin/sh --kernel /bin/sh
bad "no share" "--alpha takes a number above 0 and below 1" --alpha 2
if kernel=$(images/fetch-kernel 2>/dev/null); then
	bad "a missing kernel beside a good base" '/no/such: No such file' --base "$kernel" \
		--kernel /no/such
fi
# Each command that makes trials says what it looks for without --expect.
while IFS=: read -r cmd sought; do
	"$KVMREPRO" "$cmd" --help | tr -s ' \n' ' ' >"$T/out"
	out_like "others do not make a kernel bad; may be given more than once \\[$sought\\]" \
		"$cmd --help: $sought"
done <<'END'
run:any crash
check:what the base crashes in
bisect:the crash that most runs of --bad ended in
END
done_testing
