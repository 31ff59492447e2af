#!/usr/bin/env bash
# kvmrepro signature: what counts, what does not, and what it says of files that are no kernels.
. "$(dirname "$0")/../tap.sh"

made() {
	python3 tests/mkimage.py "$T/$1" "${@:2}"
}

made first
made later "version=#7 SMP Sat Nov 21 02:06:09 UTC 2026" builder=somebody@elsewhere release=6.1.0-rc3+
made other constant=6
for pack in bzip2 xz lzma none; do made "$pack" "pack=$pack"; done
run "$KVMREPRO" signature "$T"/first "$T"/later "$T"/other "$T"/{bzip2,xz,lzma,none}
status_is 0 "kernels: exit status 0"
check "a line for each: hash, two blanks, name" \
	test "$(grep -cE "^[0-9a-f]{64}  $T/[a-z0-9]+\$" "$T/out")" = 7
of() {
	sed -n "s|  $T/$1\$||p" "$T/out"
}
check "another time, builder and version: the same" test "$(of first)" = "$(of later)"
check "another constant: another" test "$(of first)" != "$(of other)"
for pack in bzip2 xz lzma none; do
	check "compressed by $pack: the same" test "$(of first)" = "$(of $pack)"
done

# What `run` remembers of a kernel's file.
export XDG_CACHE_HOME=$T/cache
mkdir "$T/trial"
printf '%s\n' '1 0 hello release=6.1 features=svm' '2 0 canary ok=1 kvm=kvm_amd' '3 0 ready' \
	'4 0 start id=0 name=create-vm' '5 0 end id=0 how=exit code=0 ms=3' '6 0 done' '7 0 !o' \
	>"$T/trial/agent.log"
: >"$T/trial/console.log"
# signed KERNEL NAME WANT: what run.json has as its signature.
signed() {
	rm -rf "$T/run"
	"$KVMREPRO" run --kernel "$T/$1" --engine "replay:$T/trial" --runs 1 --repro create-vm \
		--out "$T/run" >"$T/out.run" 2>&1
	check "$2" test "$(jq -r .kernel.signature "$T/run/run.json")" = "$3"
}
remembered=$T/cache/kvmrepro/signatures
signed first "a run's signature is the same" "$(of first)"
check "it is remembered" grep -q " $(of first)\$" "$remembered"
sed -i "s/$(of first)/$(of other)/" "$remembered"
signed first "and taken from there" "$(of other)"
signed later "another file: its own" "$(of later)"
sed -i 's/^[0-9a-f]*-/0-/' "$remembered"
signed first "what another program remembered is not taken" "$(of first)"
printf 'x%.0s' $(seq 100) >"$remembered"
signed first "nor what is no such file" "$(of first)"
sed -i "s/$(of first)/zz/" "$remembered"
signed first "nor what is no signature" "$(of first)"
for i in $(seq 300); do echo "$i"; done >"$remembered"
signed first "a long file" "$(of first)"
check "it does not grow for ever" test "$(wc -l <"$remembered")" -eq 200
rm "$remembered"
n=0
for k in first later other first later other; do
	"$KVMREPRO" run --kernel "$T/$k" --engine "replay:$T/trial" --runs 1 --repro create-vm \
		--out "$T/at-once-$((++n))" >/dev/null 2>&1 &
done
wait
test -s "$remembered" &&
	! grep -vE '^[0-9a-f-]+\.[0-9]{9} [0-9a-f]{64} [0-9a-f]{64}$' "$remembered" >"$T/err"
result $? "six at once: every line of it is whole"
check "six at once: nothing half-written is left" test -z "$(find "$T/cache" -name '*.tmp')"

run "$KVMREPRO" signature
status_is 129 "no kernel: exit status 129"
err_lines 1 "no kernel: one line"

made lzo pack=lzo
made large claim=$((1024 * 1024 * 1024 + 1))
made small claim=100
made damaged
printf '\0\0\0\0\0\0\0\0' | dd of="$T/damaged" bs=1 seek=$((2048 + 60)) conv=notrunc status=none
head -c 1000 "$T/first" >"$T/cut"
refuse() {
	run "$KVMREPRO" signature "$1"
	status_is 129 "$2: exit status 129"
	err_lines 1 "$2: one line"
	err_like "$3" "$2: said"
	out_is "" "$2: nothing is printed"
}
refuse "$T/none-such" "no such file" "No such file"
refuse "$T" "a directory" "a directory"
refuse "$T/cut" "a truncated image" "truncated"
refuse "$T/lzo" "LZO" "$T/lzo: its payload is compressed by LZO, which is not supported"
refuse "$T/large" "a bomb" "no kernel is over 1024 MiB"
refuse "$T/small" "more than it says" "holds more than the 100 bytes"
refuse "$T/damaged" "a damaged payload" "$T/damaged: damaged: its gzip payload"
refuse /bin/sh "a program" "an ELF file, not a bzImage"

run "$KVMREPRO" signature "$T/first" "$T/cut" "$T/other"
status_is 129 "one that cannot be read among others: exit status 129"
check "one that cannot be read among others: they have their lines" \
	test "$(wc -l <"$T/out")" = 2

# A signal ends it at once, however many are left.
mapfile -t many < <(yes "$T/first" | head -n 5000)
for sig in INT TERM; do
	"$KVMREPRO" signature "${many[@]}" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	wait_for 10 pgrep -P "$pid"
	kill -s "$sig" "$pid"
	wait "$pid"
	status=$?
	status_is $((128 + $(kill -l "$sig"))) "SIG$sig: its exit status"
	err_lines 1 "SIG$sig: one line"
done
done_testing
