# shellcheck shell=bash
# Recorded runs, made up trial by trial: source this after tap.sh.

hello='1 0 hello release=6.1 version=#1 vendor=AuthenticAMD features=svm cpus=2
2 0 canary ok=1 kvm=kvm_amd nested=Y
3 0 ready
4 0 start id=0 name=create-vm'

# oops FUNCTION [CALLER...]: a warning there, as the kernel prints it.
oops() {
	printf '%s\n' '------------[ cut here ]------------' \
		"WARNING: CPU: 1 PID: 77 at arch/x86/kvm/x86.c:100 $1+0x10/0x20" \
		'CPU: 1 PID: 77 Comm: create-vm Not tainted 6.1.0 #1' "RIP: 0010:$1+0x10/0x20" \
		'RSP: 0018:ffffc900001 EFLAGS: 00010246' 'Call Trace:' ' <TASK>'
	shift
	[ $# = 0 ] || printf ' %s+0x94/0x100\n' "$@"
	printf '%s\n' ' __x64_sys_ioctl+0x90/0xd0' ' do_syscall_64+0x5d/0x90' \
		' entry_SYSCALL_64_after_hwframe+0x6e/0xd8' ' </TASK>' \
		'---[ end trace 0000000000000000 ]---'
}

# What a trial ends in, by name: its console.
console_of() {
	case $1 in
	ok | slow | died) echo "Linux version 6.1.0" ;;
	hit) oops kvm_target kvm_create kvm_create_vm kvm_dev_ioctl ;;
	boot) oops kvm_boot ;;
	alias) oops kvm_beside ;;
	other) oops kvm_wait kvm_other kvm_other_vm kvm_other_ioctl ;;
	renamed) oops kvm_former kvm_create kvm_create_vm kvm_dev_ioctl ;;
	possible) oops kvm_target_vm ;;
	esac
}

# record DIR KIND...: a recorded run of so many trials.
record() {
	local dir=$1 n=0 kind trial bytes
	shift
	for kind; do
		trial=$(printf '%s/trial-%03d' "$dir" "$n")
		mkdir -p "$trial"
		console_of "$kind" >"$trial/console.log"
		bytes=$(stat -c %s "$trial/console.log")
		case $kind in
		boot) : ;;
		slow) echo "$hello" ;;
		died) printf '%s\n5 %d !d\n' "$hello" "$bytes" ;;
		ok) printf '%s\n5 %d end id=0 how=exit code=0 ms=3\n6 %d done\n7 %d !o\n' \
			"$hello" "$bytes" "$bytes" "$bytes" ;;
		*) printf '%s\n5 %d beat n=1 ms=1000\n' "$hello" "$bytes" ;;
		esac >"$trial/agent.log"
		n=$((n + 1))
	done
}

# many N KIND: so many words.
many() {
	yes "$2" | head -n "$1" | tr '\n' ' '
}
