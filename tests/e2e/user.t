#!/usr/bin/env bash
# An ordinary user: the embedded driver, and a session daemon through --connect.
. "$(dirname "$0")/../tap.sh"

[ "$(id -u)" -eq 0 ] || skip_all "takes root to become somebody else"
id nobody >/dev/null 2>&1 || skip_all "there is no user nobody"
command -v setpriv >/dev/null || skip_all "no setpriv (util-linux)"
kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"

# A place of nobody's own, with what root's directories would hide.
chmod 711 "$T"
mkdir "$T/user" "$T/user/rt"
cp "$KVMREPRO" "$T/user/kvmrepro"
cp -r "$(dirname "$(dirname "$kernel")")" "$T/user/stock"
chmod -R a+rX "$T/user"
chown -R nobody "$T/user"
chmod 700 "$T/user/rt"
kernel=$T/user/stock/boot/$(basename "$kernel")

as_nobody() {
	run setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH="$PATH" \
		HOME="$T/user" XDG_RUNTIME_DIR="$T/user/rt" TMPDIR="$T/user" \
		"$T/user/kvmrepro" run --kernel "$kernel" --runs 1 --alpha 0.5 \
		--repro create-vm "$@"
}

as_nobody
status_is 0 "an ordinary user, embedded driver: exit status 0"
out_is "all runs: OK" "an ordinary user, embedded driver: OK"
check "the evidence is under the user's own state directory" \
	sh -c "ls '$T'/user/.local/state/kvmrepro/runs/*/run.json"
check "no temporary directory is left" \
	test -z "$(find "$T/user" -maxdepth 1 -name 'kvmrepro-??????')"

as_nobody --boot once --out "$T/user/once"
status_is 0 "an ordinary user, --boot once: exit status 0"
check "an ordinary user, --boot once: began from a state" \
	jq -e '.trials[0].began == "state"' "$T/user/once/run.json"

as_nobody --connect qemu:///no-such-driver
status_is 128 "a bad URI: exit status 128"
err_lines 1 "a bad URI: one line"

if command -v libvirtd >/dev/null; then
	before=$(pgrep -u nobody -f '/(libvirtd|virtlogd)' | tr '\n' ' ')
	as_nobody --connect qemu:///session --boot once --out "$T/user/session"
	status_is 0 "--connect qemu:///session: exit status 0"
	out_is "all runs: OK" "--connect qemu:///session: OK"
	check "a daemon's QEMU has the kernel whole" \
		test "$(grep -c 'kernel-head<\|loader,file=' "$T/user/session/domain.xml")" = 0
	check "run.json names the connection" \
		jq -e '.engine.uri == "qemu:///session"' "$T/user/session/run.json"
	check "--connect qemu:///session: --boot once" \
		jq -e '.trials[0].began == "state"' "$T/user/session/run.json"
	# The daemons that libvirt started for this user's session, and no others.
	for pid in $(pgrep -u nobody -f '/(libvirtd|virtlogd)'); do
		case " $before " in
		*" $pid "*) ;;
		*) kill "$pid" ;;
		esac
	done
else
	result 0 "--connect qemu:///session # SKIP no libvirtd"
fi
check "no QEMU is left" test -z "$(pgrep -f "qemu-system-x86_64.*$T")"
done_testing
