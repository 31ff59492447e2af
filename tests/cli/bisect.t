#!/usr/bin/env bash
# kvmrepro bisect where no kernel is booted: git, options, builds.
# shellcheck disable=SC2154 # tap.sh sets status
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/../bisect.sh"

command -v git >/dev/null || skip_all "no git"
tree=$T/tree
scratch_repo "$tree" a b c d

bisect() {
	run "$KVMREPRO" bisect --tree "$tree" --good main~3 --bad main "$@"
}

# gone PID: it has ended; its parent may not have heard of it.
gone() {
	! grep -q '^State:.[^ZX]' "/proc/$1/status"
}

# What is refused: one line, and nothing is made.
# refused WHAT ERE OPTION...
refused() {
	local what=$1 why=$2
	shift 2
	bisect --build false "$@"
	status_is 129 "$what: exit status 129"
	err_lines 1 "$what: one line"
	err_like "$why" "$what: said"
}
refused "--out in the tree" 'tree/out lies in the tree that is bisected: .*--out' --out "$tree/out"
check "--out in the tree: it is not made" test ! -e "$tree/out"
refused "--min-hits above --runs" '--min-hits 4 is more than --runs 3' --min-hits 4 --runs 3 --out "$T/none"

# A git that does not know is no git that says no.
mkdir "$T/bin"
printf '#!/bin/sh\ncase "$*" in *merge-base*) exit 128 ;; esac\nexec %s "$@"\n' "$(command -v git)" \
	>"$T/bin/git"
chmod +x "$T/bin/git"
PATH=$T/bin:$PATH bisect --build false --out "$T/unknown"
status_is 128 "git cannot compare the ends: exit status 128"
err_like 'tree: git merge-base: exit status 128$' "git cannot compare the ends: said"

# A build that says nothing.
bisect --build 'exit 7' --out "$T/silent"
status_is 125 "BAD cannot be built: exit status 125"
out_like '^undecided: --bad .* does not build: exit status 7, and it printed nothing: exit 7$' \
	"a silent build: status and command are said"

# interrupted DIR [SIGNAL]: begin one that builds until it is interrupted; SIGINT, or what is named,
# reaches it while it builds.
interrupted() {
	rm -f "$T/builder"
	"$KVMREPRO" bisect --tree "$tree" --good main~3 --bad main --out "$1" \
		--build "[ -e $T/builder ] && exit 1; echo \$\$ >$T/builder; exec sleep 1000" >"$T/out" 2>"$T/err" </dev/null &
	local pid=$!
	until_true 60 test -s "$T/builder"
	kill -"${2-INT}" $pid
	wait $pid
	status=$?
}

# The terminal is gone.
interrupted "$T/hangup" HUP
status_is 129 "SIGHUP while building: exit status 129"
check "SIGHUP while building: the build is ended" gone "$(cat "$T/builder")"
check "SIGHUP while building: no temporary directory is left" \
	test -z "$(find "$T" -maxdepth 1 -name 'kvmrepro-??????')"
as_found "$tree" "SIGHUP while building"

# --resume goes on with what kvmrepro has begun in the tree, never with what the user has.
out=$T/interrupted
interrupted "$out"
status_is 130 "interrupted while building: exit status 130"
as_found "$tree" "interrupted while building"
git -C "$tree" bisect start main main~3 >/dev/null
cp "$tree/.git/BISECT_LOG" "$T/log"
run "$KVMREPRO" bisect --resume --out "$out"
status_is 129 "--resume beside the user's bisection: exit status 129"
err_like 'a bisection is running there' "--resume beside the user's bisection: said"
check "the user's bisection goes on" cmp "$tree/.git/BISECT_LOG" "$T/log"
git -C "$tree" bisect reset >/dev/null 2>&1

# What a killed one built is ended, though it does not heed SIGTERM.
rm -f "$T/builder"
"$KVMREPRO" bisect --tree "$tree" --good main~3 --bad main --out "$T/killed" \
	--build "trap '' TERM; echo \$\$ >$T/builder; sleep 1000; sleep 1000" >"$T/out" 2>"$T/err" </dev/null &
pid=$!
until_true 60 test -s "$T/builder"
kill -KILL $pid
begun=$(date +%s%3N)
wait $pid 2>/dev/null
until_true 20 gone "$(cat "$T/builder")"
check "killed: within 2 s the build is ended" test $(($(date +%s%3N) - begun)) -le 2000
git -C "$tree" bisect reset >/dev/null 2>&1

# What a hook leaves behind holds the pipes of git, and is not waited for.
cat >"$tree/.git/hooks/post-checkout" <<END
#!/bin/sh
sleep 1000 &
echo \$! >>$T/left
END
chmod +x "$tree/.git/hooks/post-checkout"
begun=$SECONDS
git -C "$tree" checkout -q main~1
bisect --build false --out "$T/hook"
status_is 125 "a hook that leaves a process behind: exit status 125"
check "a hook that leaves a process behind: not waited for" test $((SECONDS - begun)) -lt 60
xargs kill <"$T/left"
git -C "$tree" -c core.hooksPath=/dev/null checkout -q main

# A hook that hangs, once, is ended after a signal.
cat >"$tree/.git/hooks/post-checkout" <<END
#!/bin/sh
[ -e "$T/hung" ] && exit
echo \$\$ >"$T/hung"
exec sleep 1000
END
"$KVMREPRO" bisect --tree "$tree" --good main~3 --bad main~1 --build false --out "$T/hang" \
	>"$T/out" 2>"$T/err" </dev/null &
pid=$!
until_true 60 test -s "$T/hung"
kill -TERM $pid
wait $pid
status=$?
status_is 143 "interrupted while a hook hangs: exit status 143"
check "interrupted while a hook hangs: it is ended" gone "$(cat "$T/hung")"
as_found "$tree" "interrupted while a hook hangs"
rm "$tree/.git/hooks/post-checkout"

# log.showSignature: what gpg says is no subject.
cat >"$T/gpg" <<'END'
#!/bin/sh
cat >/dev/null
case "$*" in
*--verify*) echo 'gpg: of no use here' >&2; echo '[GNUPG:] GOODSIG 0123456789ABCDEF somebody' ;;
*) printf -- '-----BEGIN PGP SIGNATURE-----\n\nnone\n-----END PGP SIGNATURE-----\n'; echo '[GNUPG:] SIG_CREATED ' >&2 ;;
esac
END
chmod +x "$T/gpg"
git -C "$tree" config gpg.program "$T/gpg"
git -C "$tree" config log.showSignature true
git -C "$tree" commit -q --amend --no-edit -S
check "log.showSignature: git prints more than the subject" \
	bash -c "git -C '$tree' show -s --format=%s | grep -q '^gpg: '"
bisect --build false --out "$T/signed"
check "log.showSignature: the subject is the commit's" jq -e '.steps[0].subject == "change 4"' "$T/signed/journal.json"

# Killed while it went back, before git had heard of it: git's "good" on a revision is not our "bad", though the same
# revisions stand in the same order.
back=$T/back
scratch_repo "$back" a b c d e
revision() {
	git -C "$back" rev-parse "main~$1"
}
run "$KVMREPRO" bisect --tree "$back" --good main~4 --bad main --build false --out "$T/went-back"
jq --arg bad "$(revision 0)" --arg good "$(revision 4)" --arg culprit "$(revision 2)" --arg parent "$(revision 3)" '
	.steps[0] as $any
	| def step($hash; $verdict): $any + { hash: $hash, build_failure: null, signature: ($hash + $verdict), judged: true,
		verdict: $verdict, runs: 3, hits: (if $verdict == "bad" then 3 else 0 end) };
	.steps = [step($bad; "bad"), step($good; "good"), step($culprit; "bad"),
		step($parent; "good") + { withdrawn: 1 }, step($parent; "bad") + { again: 1 }]
	| .rounds = 1 | .end = null | .status = 0 | .confirmed = "confirmed: by hand\n"' \
	"$T/went-back/journal.json" >"$T/journal.json"
cp "$T/journal.json" "$T/went-back/journal.json"
git -C "$back" bisect start >/dev/null
git -C "$back" bisect bad main >/dev/null
for word in "good main~4" "bad main~2" "good main~3"; do
	# shellcheck disable=SC2086 # two words
	git -C "$back" bisect $word >/dev/null
done
run "$KVMREPRO" bisect --resume --out "$T/went-back"
status_is 0 "killed while it went back: --resume ends well"
out_like "^first bad commit: $(revision 3) " "killed while it went back: git hears the new verdict"

done_testing
