#!/usr/bin/env bash
# Consoles of our own test kernels: each gets the title that tests/data/console/INDEX gives it.
. "$(dirname "$0")/../tap.sh"

data=tests/data/console
while IFS=$'\t' read -r file title _; do
	case $file in
	'' | '#'*) continue ;;
	esac
	run "$KVMREPRO" classify --format json "$data/$file"
	got=$(jq -r '.title // "OK"' "$T/out")
	[ "$got" = "$title" ]
	result $? "$file: $title"
done <"$data/INDEX"

# The names of earlier years still match: seed 004's log calls this one by its file.
run "$KVMREPRO" classify --exit-code --expect 'kernel BUG at arch/x86/kvm/mmu.c:LINE!' \
	"$data/lean+004-memslot.log.gz"
status_is 1 "seed 004's title is expected, and found"
run "$KVMREPRO" classify --exit-code --expect 'WARNING in kvm_wait' \
	"$data/lean+004-memslot.log.gz"
status_is 0 "another title is not"
done_testing
