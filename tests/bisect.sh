# shellcheck shell=bash
# For tests of bisections: a scratch repository whose commits name a kernel, and a command that
# "builds" it by copying the image. Source after tap.sh.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

# scratch_change TREE N KERNEL: commit change N, which gives KERNEL, an image in $T/kernels; "none" does
# not build. In a merge it ends that. The commits' hashes are the same everywhere, and so is git bisect's path.
scratch_change() {
	echo "$3" >"$1/kernel"
	echo "change $2" >>"$1/notes"
	git -C "$1" add -A
	GIT_AUTHOR_DATE="$((1577836800 + $2)) +0000" GIT_COMMITTER_DATE="$((1577836800 + $2)) +0000" \
		git -C "$1" commit -qm "change $2"
}

# scratch_repo DIR KERNEL...: a commit for each KERNEL.
scratch_repo() {
	local tree=$1 n=0 kernel
	shift
	mkdir "$tree"
	git -C "$tree" init -q -b main
	git -C "$tree" config user.name Tester
	git -C "$tree" config user.email tester@example.org
	echo arch/ >"$tree/.gitignore"
	for kernel; do
		n=$((n + 1))
		scratch_change "$tree" $n "$kernel"
	done
}

# revision TREE N: the hash of change N.
revision() {
	git -C "$1" log --format=%H --grep "^change $2\$" main
}

# The command: each build leaves a line in $T/builds.
# shellcheck disable=SC2016 # expanded by its shell
build='git rev-parse HEAD >>'$T'/builds; kernel=$(cat kernel); echo "copying $kernel";
	[ "$kernel" != none ] && mkdir -p arch/x86/boot && cp '$T'/kernels/"$kernel" arch/x86/boot/bzImage'

# as_found TREE NAME: on main, nothing changed, no bisection, no checkout of ours.
as_found() {
	check "$2: the tree is as it was found" bash -c "
		cd '$1' && [ \"\$(git symbolic-ref HEAD)\" = refs/heads/main ] &&
		[ -z \"\$(git status --porcelain)\" ] && [ ! -e .git/BISECT_START ] &&
		[ -z \"\$(git for-each-ref refs/bisect)\" ]"
}

# until_true SECONDS COMMAND...: poll; the tests' only way to wait.
until_true() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		read -r -t 0.1 <> <(:) || :
	done
}
