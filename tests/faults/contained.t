#!/usr/bin/env bash
# What a run takes and gives back: valgrind sees no error, no leak and no descriptor left open; QEMU
# has the devices that a trial needs, libvirt's sandbox, and nothing else.
. "$(dirname "$0")/../tap.sh"

# Descriptors that we were given ourselves are not its.
alone() {
	local fd
	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || eval "exec $fd>&-"
	done
	exec "$@"
}
# A program, for valgrind knows no pidfd_open(2), which waiting for a compiler takes.
printf 'int main(void) { return 0; }\n' >"$T/nothing.c"
cc -static -o "$T/nothing" "$T/nothing.c"
# The readers are not confined: valgrind makes system calls of its own in them.
if command -v valgrind >/dev/null; then
	(KVMREPRO_UNCONFINED=1 alone valgrind --quiet --child-silent-after-fork=yes --track-fds=yes --leak-check=full \
		--show-leak-kinds=definite,indirect,possible \
		--errors-for-leak-kinds=definite,indirect,possible --error-exitcode=99 \
		--log-file="$T/err" "$KVMREPRO" run --engine "replay:$PWD/tests/data/replay/panic" \
		--runs 4 --repro "$T/nothing" --out "$T/replayed" >"$T/out" 2>"$T/said" </dev/null)
	status=$?
	status_is 1 "valgrind on a whole run: it ends as ever, without an error or a leak"
	out_is 'all runs: crashed: kernel panic: sysrq triggered crash' "valgrind: its outcome"
	! grep 'Open ' "$T/err" | grep -vF "$T/err" # which is valgrind's own
	result $? "valgrind: no descriptor is left open"
else
	result 0 "valgrind on a whole run # SKIP no valgrind"
fi

test_kernels lean
run "$KVMREPRO" run --kernel "$(tail -n 1 "$T/paths")" --runs 1 --alpha 0.5 --repro "$T/nothing" \
	--out "$T/run"
status_is 0 "a run of QEMU: exit status 0"
# libvirt logs the command line that it starts; one option a line.
sed -n '/starting up/,/-msg/p' "$T/run/trial-000/qemu.log" >"$T/err"
options() {
	sed -nE "s/^-($1) (.*) \\\\$/\\1 \\2/p" "$T/err"
}
[ "$(options device | jq -cR 'ltrimstr("device ") | .[1:-1] | fromjson.driver' | sort | uniq -c | sed 's/^ *//')" = \
	'2 "isa-serial"' ]
result $? "QEMU's devices: two serial ports, no other"
! grep -qE '^-(netdev|net|nic|drive|blockdev|usb|usbdevice|vga|vnc|spice|soundhw|virtfs|fsdev) ' "$T/err"
result $? "no network, disk, USB, graphics or shared directory"
for want in '-nodefaults' '-no-user-config' '-display none' 'usb=off' \
	'-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'; do
	grep -qF -- "$want" "$T/err"
	result $? "QEMU's command line: $want"
done
done_testing
