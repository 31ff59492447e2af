#!/usr/bin/env bash
# kvmrepro doctor: what is here, and what it says where something is missing.
. "$(dirname "$0")/../tap.sh"

doctor() {
	run "$KVMREPRO" doctor "$@"
}

# json_is FILTER NAME
json_is() {
	check "$2" jq -e "$1" "$T/out"
}

doctor --format json
json_is '.ok == ([.needs[]] | all(. != null))' "ok: all three needs can be met"
want=$(jq '.ok | if . then 0 else 1 end' "$T/out")
status_is "$want" "the exit status says the same"
json_is '[.findings[] | select(.found == "" or .means == "" or (.found + .means | contains("\n")))] == []' \
	"every finding says in one line what it is and means"
cp "$T/out" "$T/here.json"
doctor
status_is "$want" "as text: the same exit status"
out_like '^any +(yes|no) ' "as text: a line for any"
out_like '^vmx +(yes|no) ' "as text: a line for vmx"
[ "$(wc -l <"$T/out")" -eq "$(jq '.findings + (.needs | keys) | length' "$T/here.json")" ]
result $? "as text: as many lines as findings and needs"

# With nothing in PATH there is neither QEMU nor a compiler.
mkdir "$T/empty"
bare() {
	PATH=$T/empty doctor "$@"
}
bare --format json
status_is 1 "no QEMU: exit status 1"
json_is '.needs.svm == null and .ok == false' "no QEMU: no SVM"
json_is '.findings[] | select(.name == "libvirt") | .ok == false and (.found | test("QEMU"))' \
	"no QEMU: said"
json_is '.findings[] | select(.name == "compiler") | .ok == false and (.found | test("cc"))' \
	"no compiler: said"
[ "$(jq .needs.vmx "$T/out")" = "$(jq '.needs.vmx | select(.engine == "bochs")' "$T/here.json")" ]
result $? "no QEMU: Bochs is judged by itself"
json_is '.needs.any == null or (.needs.any | .engine == "bochs" and .option == "--engine bochs")' \
	"no QEMU: Bochs runs what needs nothing, when it is asked to"

printf '#!/bin/sh\nexit 3\n' >"$T/cc"
chmod +x "$T/cc"
CC=$T/cc doctor --format json
json_is '.findings[] | select(.name == "compiler") | .ok == false' "a compiler that fails: said"
json_is '.needs == ('"$(jq -c .needs "$T/here.json")"')' "a compiler that fails: needs can be met all the same"

: >"$T/file"
XDG_STATE_HOME=$T/file/state doctor --format json
json_is '.findings[] | select(.name == "state") | .ok == false and (.found | test("Not a directory|/file: "))' \
	"a state directory that cannot be made: said"
json_is '.findings[] | select(.name == "state") | .means | test("--out")' "and what to do"
XDG_STATE_HOME=/proc/none doctor --format json
json_is '.findings[] | select(.name == "state") | .ok == false' \
	"a state directory where root may do all but make one: said"

# shellcheck disable=SC2016
run unshare --mount sh -c 'mount -t tmpfs none /usr/share/bochs && exec "$0" doctor --format json' "$KVMREPRO"
if [ -d /usr/share/bochs ] && jq -e . "$T/out" >/dev/null 2>&1; then
	json_is '.findings[] | select(.name == "bochs") | .ok == false and (.found | test("package bochsbios"))' \
		"no BIOS for Bochs: said, with the package that has it"
	json_is '.needs.vmx == null or .needs.vmx.accel == "kvm"' "no Bochs: VMX by KVM or not at all"
else
	printf '# no mount namespace here: a host without Bochs is not tested\n'
fi

doctor extra
status_is 129 "an operand: exit status 129"
err_like "'extra' is not expected" "an operand: said"
doctor --format xml
status_is 129 "an unknown format: exit status 129"
done_testing
