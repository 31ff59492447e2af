#!/usr/bin/env bash
# Signatures of real builds: one source, built at different times by different people, and with a
# changed constant. The first is the cache's; for the others the object tree that it was built in lies
# under an overlay, in which one build follows the other, so each takes what a link takes, and the cache
# stays as it is.
. "$(dirname "$0")/../tap.sh"

work=$XDG_CACHE_HOME/kvmrepro/kernel-work
[ -e "$work/obj-lean/vmlinux.o" ] || skip_all "no object tree; images/build-kernel lean makes one"
[ ! -e "$work/obj-lean/.building" ] || skip_all "a kernel is being built"
unshare -rm true 2>/dev/null || skip_all "no user namespaces"
test_kernels lean
one=$(cat "$T/paths")
cmp -s "${one%/*}/config" "$work/obj-lean/.config" || skip_all "the object tree is another lean's"
exec 9<"$work/lock"
flock -n 9 || skip_all "a kernel is being built"

# build NAME TIMESTAMP USER@HOST VERSION [SED-SCRIPT FILE]: build lean, or with its source changed.
mkdir "$T"/{src,obj,src.work,obj.work}
build() {
	mkdir "$T/$1"
	# shellcheck disable=SC2016
	unshare -rm bash -ec '
		o=$1 work=$2 upper=${1%/*}
		for d in src obj; do
			at=$work/src
			[ $d = src ] || at=$work/obj-lean
			mount -t overlay overlay \
				-o "lowerdir=$at,upperdir=$upper/$d,workdir=$upper/$d.work" "$at"
		done
		lean="patch -s -p1 -f -d $work/src -i $PWD/images/configs/lean.patch"
		$lean -R --dry-run >/dev/null || $lean # the build before may have done it
		[ $# -lt 7 ] || sed -i "$6" "$work/src/$7"
		env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CFLAGS make -s -C "$work/src" \
			O="$work/obj-lean" ARCH=x86_64 -j2 KBUILD_BUILD_TIMESTAMP="$3" \
			KBUILD_BUILD_USER="${4%@*}" KBUILD_BUILD_HOST="${4#*@}" \
			KBUILD_BUILD_VERSION="$5" bzImage
		cp "$work/obj-lean/arch/x86/boot/bzImage" "$o/bzImage"
	' build "$T/$1" "$work" "${@:2}" >"$T/log" 2>&1 || sed 's/^/# /' "$T/log"
}

build two 'Sat Nov 21 02:06:09 UTC 2026' somebody@elsewhere 9
build three 'Sat Nov 21 02:06:09 UTC 2026' somebody@elsewhere 9 \
	's/^#define PANIC_TIMER_STEP 100$/#define PANIC_TIMER_STEP 101/' kernel/panic.c

run "$KVMREPRO" signature "$one" "$T"/{two,three}/bzImage
status_is 0 "three real builds: exit status 0"
of() {
	sed -n "s|  $1\$||p" "$T/out"
}
check "the files differ" test -n "$(cmp "$one" "$T/two/bzImage")"
check "another time and builder: one signature" test "$(of "$one")" = "$(of "$T/two/bzImage")"
check "a changed constant: another signature" test "$(of "$T/two/bzImage")" != "$(of "$T/three/bzImage")"
done_testing
