#!/usr/bin/env bash
# Bisections with kernels that are compiled: sixteen commits of Linux, among them one that does not
# build, one that does not boot, one with another crash that the same reproducer hits, and the
# mistake of seed 000. Not part of "make check", for each revision is a build: make check-bisect.
#
# The source and the objects of images/build-kernel are used as they lie, under an overlay in a mount
# namespace of our own: every file's path and time is what the objects were made with, so a revision
# takes one incremental build, and nothing of it is changed.
# shellcheck disable=SC2016 # sh has variables of its own
if [ -z "${KVMREPRO_TEST_NAMESPACE-}" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	exec env KVMREPRO_TEST_NAMESPACE=1 unshare -m --propagation private "$0" "$@"
fi
. "$(dirname "$0")/../tap.sh"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

[ -n "${KVMREPRO_TEST_NAMESPACE-}" ] || skip_all "takes root, for a mount namespace"
command -v git >/dev/null || skip_all "no git"
images/build-kernel debug >/dev/null 2>"$T/err" || skip_all "no test kernel: $(tail -n 1 "$T/err")"
work=$XDG_CACHE_HOME/kvmrepro/kernel-work
src=$work/src
obj=$work/obj-debug
if ! [ -d "$src" ] || ! [ -d "$obj" ]; then
	skip_all "the test kernels' source was removed: no $src"
fi

# A snapshot, taken while no build runs: links to the source, whose files are only ever replaced, and
# a copy of the objects. All writes go to the overlay.
mkdir "$T/lower" "$T/upper" "$T/ovl"
flock "$work/lock" sh -c "cp -al '$src' '$T/lower/src' && cp -a '$obj' '$T/obj'" 2>"$T/err" ||
	skip_all "no snapshot: $(tail -n 1 "$T/err")"
mount -t overlay overlay -o "lowerdir=$T/lower/src,upperdir=$T/upper,workdir=$T/ovl" "$src" 2>"$T/err" ||
	skip_all "no overlay: $(tail -n 1 "$T/err")"
mount --bind "$T/obj" "$obj" 2>"$T/err" || skip_all "no bind mount: $(tail -n 1 "$T/err")"
unmount() {
	umount -l "$obj" "$src"
	cleanup
}
trap unmount EXIT

# change N [FILE...]: commit what was edited; the tracked files are those that any change touches.
tracked="virt/kvm/kvm_main.c arch/x86/kvm/x86.c arch/x86/kvm/Makefile init/main.c"
g() { git -C "$src" "$@"; }
change() {
	# shellcheck disable=SC2086
	g add -f $tracked
	GIT_AUTHOR_DATE="$((1577836800 + $1)) +0000" GIT_COMMITTER_DATE="$((1577836800 + $1)) +0000" \
		g commit -qm "change $1"
}
comment() { echo "/* change $1 */" >>"$src/arch/x86/kvm/x86.c"; }
number() { sed -i "s/^#define ITOA_MAX_LEN .*/#define ITOA_MAX_LEN $1/" "$src/virt/kvm/kvm_main.c"; }
mistake() { patch -d "$src" -p1 -s -F3 --no-backup-if-mismatch <images/bugs/000-*.patch; }
g init -q -b main
g config user.name Tester
g config user.email tester@example.org
echo '*' >"$src/.git/info/exclude"
for n in 1 2 3 4 5 6 7; do
	comment "$n"
	number "$((12 + n / 2))" # every other change makes another kernel
	change "$n"
done
echo '#error this does not build' >>"$src/arch/x86/kvm/x86.c"
change 8
sed -i '/^#error this/d' "$src/arch/x86/kvm/x86.c"
cp "$src/init/main.c" "$T/main.c"
sed -i '/^static int __ref kernel_init(void/,/^{/ s/^{/{\n\tpanic("this does not boot");/' "$src/init/main.c"
change 9
cp "$T/main.c" "$src/init/main.c"
cp "$src/virt/kvm/kvm_main.c" "$T/kvm_main.c"
sed -i '/^static int kvm_dev_ioctl_create_vm(/,/^{/ s/^{/{\n\tWARN_ON(type == 0x7fffffff);/' \
	"$src/virt/kvm/kvm_main.c"
change 10
cp "$T/kvm_main.c" "$src/virt/kvm/kvm_main.c"
comment 11
change 11
g branch flaky
mistake
change 12
culprit=$(g rev-parse main)
for n in 13 14 15 16; do
	comment "$n"
	number "$((12 + n))"
	change "$n"
done
# The flaky variant: the mistake in about half of the boots.
g checkout -q flaky
sed -i 's/^\tWARN_ON_ONCE(!refcount_dec_and_test(&kvm->users_count));/\t{\n\t\tstatic int coin = -1;\n\n\t\tif (coin < 0)\n\t\t\tcoin = get_random_u32() \& 1;\n\t\tif (coin)\n\t\t\tWARN_ON_ONCE(!refcount_dec_and_test(\&kvm->users_count));\n\t}/' \
	"$src/virt/kvm/kvm_main.c"
change 12
flaky=$(g rev-parse flaky)
for n in 13 14 15 16; do
	comment "$n"
	number "$((12 + n))"
	change "$n"
done
g checkout -q main
first=$(g rev-list --max-parents=0 main)
# Whether kvm_get_bus() is a function of its own is the compiler's choice.
title='WARNING: suspicious RCU usage in kvm_(dev_ioctl|get_bus)'

build="make O=$obj ARCH=x86_64 LOCALVERSION= -j$(nproc) -s KBUILD_BUILD_USER=kvmrepro \
	KBUILD_BUILD_HOST=localhost KBUILD_BUILD_VERSION=1 bzImage && mkdir -p arch/x86/boot &&
	cp $obj/arch/x86/boot/bzImage arch/x86/boot/bzImage"
as_found() {
	[ "$(g symbolic-ref HEAD)" = refs/heads/main ] && [ -z "$(g status --porcelain)" ] &&
		[ ! -e "$src/.git/BISECT_START" ]
	result $? "$1: the tree is as it was found"
}

# kvmrepro bisect, killed in the middle.
out=$T/main
"$KVMREPRO" bisect --tree "$src" --build "$build" --repro create-vm-bad-type --good "$first" --bad main \
	--out "$out" >"$T/out" 2>"$T/err" </dev/null &
pid=$!
while kill -0 $pid 2>/dev/null && ! jq -e '[.steps[] | select(.judged)] | length >= 3' \
	"$out/journal.json" >/dev/null 2>&1; do
	read -r -t 0.5 <> <(:) || :
done
kill -KILL $pid
result $? "killed after three verdicts"
wait $pid 2>/dev/null
show err
run "$KVMREPRO" bisect --resume --out "$out"
show err
status_is 0 "resumed: found and confirmed"
out_like "^first bad commit: $culprit change 12\$" "resumed: seed 000's mistake"
out_like "^crash: $title\$" "resumed: its crash"
as_found "resumed"
run "$KVMREPRO" audit "$out/bisect.log"
status_is 0 "audit: it kept its path"

# git bisect run.
run g bisect start main "$first"
run g bisect run sh -c "{ $build; } || exit 125
	exec '$KVMREPRO' run --kernel arch/x86/boot/bzImage --repro create-vm-bad-type --expect '/$title/' \
		--stop-early --runs 20"
show err
out_like "^$culprit is the first bad commit" "git bisect run: the same commit"
g bisect reset >/dev/null 2>&1
as_found "git bisect run"

# The crash in half of the boots.
run "$KVMREPRO" bisect --tree "$src" --build "$build" --repro create-vm-bad-type --good "$first" --bad flaky \
	--out "$T/flaky"
show err
status_is 0 "flaky: found and confirmed"
out_like "^first bad commit: $flaky change 12\$" "flaky: the right commit"
as_found "flaky"
done_testing
