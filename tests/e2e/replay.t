#!/usr/bin/env bash
# The replay engine: recorded and made-up consoles, for what no emulator can be made to do.
. "$(dirname "$0")/../tap.sh"

# The frames of a trial up to "ready", and those of one reproducer; each line is "MS CONSOLE_BYTES
# FRAME", the bytes that of the console so far.
hello='1 0 hello release=6.1 version=#1 vendor=AuthenticAMD features=svm cpus=2'
ready="$hello
2 0 canary ok=1 kvm=kvm_amd nested=Y
3 0 ready"
begun="$ready
4 0 start id=0 name=create-vm"
warning='------------[ cut here ]------------
WARNING: CPU: 1 PID: 77 at arch/x86/kvm/x86.c:100 kvm_arch_vcpu_create+0x10/0x20 [kvm]
Modules linked in: kvm
CPU: 1 PID: 77 Comm: create-vm Not tainted 6.1.0 #1
Hardware name: QEMU Standard PC
RIP: 0010:kvm_arch_vcpu_create+0x10/0x20 [kvm]
Code: 00 00 0f 0b
RSP: 0018:ffffc900001 EFLAGS: 00010246
RAX: 0000000000000000 RBX: 0000000000000000 RCX: 0000000000000000
Call Trace:
 <TASK>
 kvm_vm_ioctl+0x947/0x1000 [kvm]
 __x64_sys_ioctl+0x90/0xd0
 do_syscall_64+0x5d/0x90
 entry_SYSCALL_64_after_hwframe+0x6e/0xd8
 </TASK>
---[ end trace 0000000000000000 ]---'

# replay NAME CONSOLE AGENT [OPTION...]: one run, which is enough with that alpha.
replay() {
	local dir=$T/$1
	mkdir -p "$dir"
	printf '%s' "$2${2:+$'\n'}" >"$dir/console.log"
	printf '%s\n' "$3" >"$dir/agent.log"
	shift 3
	run "$KVMREPRO" run --engine "replay:$dir" --runs 1 --alpha 0.5 --repro create-vm \
		--boot-timeout 2 --out "$dir/out" "$@"
}

# expect NAME STATUS OUTCOME CONSOLE AGENT [OPTION...]
expect() {
	local name=$1 want=$2 outcome=$3
	shift 3
	replay "${name// /-}" "$@"
	status_is "$want" "$name: exit status $want"
	out_is "all runs: $outcome" "$name: $outcome"
}

expect "nothing at all" 125 "boot failed: no output from test machine" "" ""
expect "no init" 125 "boot failed: no word from the guest's init" "Linux version 6.1.0" ""
expect "a clean trial" 0 "OK" "Linux version 6.1.0" "$begun
5 0 end id=0 how=exit code=0 ms=3
6 0 done
7 0 !o"
expect "a VM that dies" 128 "infra problem: the VM's process died" "Linux version 6.1.0" "$begun
5 0 !d"
expect "a VM that dies in a report" 1 "crashed: WARNING in kvm_arch_vcpu_create" \
	"$(head -n 14 <<<"$warning")" "$begun
5 0 !d"
expect "a reset" 1 "crashed: unexpected kernel reboot" "Linux version 6.1.0" "$begun
5 0 !r"
expect "a reset in boot" 125 "boot failed: unexpected kernel reboot" "Linux version 6.1.0" "5 0 !r"
expect "a power-off too early" 1 "crashed: lost connection to test machine" "Linux version 6.1.0" \
	"$begun
5 0 !o"
expect "silence" 1 "crashed: no output from test machine" "Linux version 6.1.0" "$begun"
expect "a canary that fails" 125 "basic kernel testing failed: /dev/kvm: No such device" \
	"Linux version 6.1.0" "$hello
2 0 canary ok=0 why=/dev/kvm:%20No%20such%20device
3 0 done
4 0 !o"
expect "a module that is missing" 125 \
	"basic kernel testing failed: no /dev/kvm; module kvm: No such file" "Linux version 6.1.0" \
	"$hello
2 0 module name=kvm ok=0 why=No%20such%20file
2 0 canary ok=0 why=no%20/dev/kvm"
expect "a canary that hangs" 125 "basic kernel testing failed: the canary did not end" \
	"Linux version 6.1.0" "$hello"
expect "a crash in boot" 125 "boot failed: WARNING in kvm_arch_vcpu_create" "$warning" ""
# More console than is read before a frame is heard: "hello" comes first.
chatter=$(yes 'kvm: chatter' | head -c 4000000)
expect "a crash in the canary" 125 \
	"basic kernel testing failed: WARNING in kvm_arch_vcpu_create" "$chatter
$warning" "$hello"
bytes=$((${#warning} + 1))
crash="$begun
5 $bytes beat n=1 ms=1000"
finished="$crash
6 $bytes end id=0 how=exit code=0 ms=3
7 $bytes done
8 $bytes !o"
expect "a crash" 1 "crashed: WARNING in kvm_arch_vcpu_create" "$warning" "$crash"
expect "the expected crash" 1 "crashed: WARNING in kvm_arch_vcpu_create" "$warning" "$crash" \
	--expect "WARNING in kvm_arch_vcpu_create"
expect "another crash than the expected one" 125 "crashed: WARNING in kvm_arch_vcpu_create" \
	"$warning" "$crash" --expect "WARNING in kvm_wait"
expect "a crash that is ignored" 0 "OK" "$warning" "$finished" --ignore "/in kvm_arch_vcpu/"
check "a crash that is ignored: run.json tells its title" jq -e \
	'.trials[0].ignored == ["WARNING in kvm_arch_vcpu_create"]' \
	"$T/a-crash-that-is-ignored/out/run.json"
panic="Kernel panic - not syncing: sysrq triggered crash
CPU: 1 PID: 77 Comm: panic Not tainted 6.1.0 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x45/0x5e
 panic+0x118/0x2ed
 sysrq_handle_crash+0x16/0x20
 write_sysrq_trigger+0x20/0x30
 proc_reg_write+0x50/0x90
 vfs_write+0xb0/0x3f0
 do_syscall_64+0x5d/0x90
 entry_SYSCALL_64_after_hwframe+0x6e/0xd8
 </TASK>
---[ end Kernel panic - not syncing: sysrq triggered crash ]---"
over="$begun
5 $((${#panic} + 1)) beat n=1 ms=1000"
for end in "" "
6 $((${#panic} + 1)) !r" "
6 $((${#panic} + 1)) !o"; do
	expect "an ignored panic${end:+, then ${end##* }}" 125 \
		"crashed: kernel panic: sysrq triggered crash" "$panic" "$over$end" \
		--ignore "/sysrq/"
done
# What the agent said before the end counts, however much it is.
beats=$(for i in $(seq 3000); do printf '5 0 beat n=%d ms=%d\n' "$i" "$i"; done)
mkdir "$T/many"
: >"$T/many/console.log"
printf '%s\n%s\n6 0 end id=0 how=exit code=0 ms=3\n7 0 done\n8 0 !o\n' "$begun" "$beats" \
	>"$T/many/agent.log"
run "$KVMREPRO" run --engine "replay:$T/many" --runs 50 --repro create-vm
out_is "all runs: OK" "events wait for the frames that came before them"

expect "a reproducer that cannot be killed" 1 "crashed: reproducer cannot be killed" \
	"Linux version 6.1.0" "$begun
5 0 stuck id=0 name=create-vm pid=7 comm=x state=D stack=synchronize_rcu
6 0 end id=0 how=stuck ms=45000
7 0 done
8 0 !o"
expect "nothing that can run" 125 \
	"basic kernel testing failed: no reproducer can run here; create-vm: not supported by this kernel" \
	"Linux version 6.1.0" "$begun
5 0 end id=0 how=exit code=77 ms=3
6 0 done
7 0 !o"
expect "an init that gives up" 125 "boot failed: the guest's init: no /proc" "Linux version 6.1.0" \
	"1 0 fatal why=no%20/proc"

# Who reads the lines may die of what it reads: that is nobody's crash, and no clean run either. What
# it had read is kept.
mkdir "$T/quiet"
echo "Linux version 6.1.0" >"$T/quiet/console.log"
printf '%s\n' "$begun" >"$T/quiet/agent.log"
"$KVMREPRO" run --engine "replay:$T/quiet" --runs 1 --repro create-vm --out "$T/killed" \
	>"$T/out" 2>"$T/err" &
harness=$!
for _ in $(seq 200); do
	reader=$(pgrep -P "$harness" -x kvmrepro-reader) && break
	sleep 0.05
done
kill -KILL "$reader"
wait "$harness"
status=$?
status_is 128 "a killed reader: exit status 128"
out_is "all runs: infra problem: the reader of the VM's lines was ended by signal 9 (Killed)" \
	"a killed reader: its end is the outcome"
check "a killed reader: the run is kept" [ "$(jq -r '.trials[0].kind' "$T/killed/run.json")" = infra ]
check "a killed reader: so is its console" [ -e "$T/killed/trial-000/console.log.gz" ]

run "$KVMREPRO" run --engine replay:tests/data/replay/panic --runs 3 --repro create-vm \
	--repro nested-state --out "$T/real"
status_is 1 "a real trial, played again: exit status 1"
out_is "all runs: crashed: kernel panic: sysrq triggered crash" "a real trial: the same outcome"
check "a reproducer that was another one in the recording: said, once" test "$(grep -c 'panic ran there, and is called nested-state here' "$T/err")" = 1
run "$KVMREPRO" run --engine "replay:$T/real" --runs 3 --repro create-vm --repro nested-state
out_is "all runs: crashed: kernel panic: sysrq triggered crash" \
	"the evidence of a replay can be played"
check "a reproducer that was another one in a recorded run: said, once" test "$(grep -c 'trial-000/agent.log.gz: panic ran there' "$T/err")" = 1
echo 'int main(void) { return 0; }' >"$T/panic.c"
run "$KVMREPRO" run --engine "replay:$T/real" --runs 3 --repro create-vm --repro "$T/panic.c"
check "the reproducers that were recorded: nothing is said" test "$(grep -c 'ran there' "$T/err")" = 0
run "$KVMREPRO" run --engine "replay:$T/none" --runs 1 --repro create-vm
status_is 129 "nothing to replay: exit status 129"
err_lines 1 "nothing to replay: one line"
mkdir -p "$T/two"
cp -r "$T/a-clean-trial" "$T/two/trial-000"
run "$KVMREPRO" run --engine "replay:$T/two" --repro create-vm --jobs 1 --runs 2
err_like "^kvmrepro: engine: replay \\($T/two: no kernel is booted, no reproducer runs\\)\$" "what it does: said"
out_is "run #0: OK
run #1: infra problem: $T/two: trial 1 was not recorded" "more trials than were recorded: said"
# run.json is put together of parts: it is what is printed as a whole. Its trials end out of order.
panic=$PWD/tests/data/replay/panic
run "$KVMREPRO" run --engine "replay:$panic" --runs 40 --jobs 4 --alpha 0.0001 --format json --out "$T/parts"
check "run.json is the run as one JSON object" cmp "$T/out" "$T/parts/run.json"
check "run.json: each trial once, in their order" \
	jq -e '[.trials[].number] == [range(40)]' "$T/parts/run.json"
done_testing
