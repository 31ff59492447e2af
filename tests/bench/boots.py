#!/usr/bin/env python3
"""Do trials that begin from one state (--boot once) show what trials that boot do (--boot each)?

usage: tests/bench/boots.py [--runs N] [ROW]...

N trials (50) both ways of each seed's bug but 002, which takes KVM (under TCG, or with Bochs those that
take VMX), and of a crash by a coin of the guest's.
Prints a Markdown table; exit status 1 unless titles are the same and the rates' 95 % intervals
overlap."""

import argparse
import collections
import json
import math
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Row: kernel, reproducer. (The coin's crash is by /proc/sysrq-trigger, which the sandbox forbids.)
ROWS = {
    "000": ("debug+000", "create-vm-bad-type"),
    "001-fault": ("debug+001", "create-vm-fault"),
    "001-hang": ("debug+001", "create-vm-bad-type"),
    "003": ("lean+003", "nested-state-double-set"),
    "003-smm": ("lean+003", "nested-state-smm"),
    "004": ("lean+004", "memslot-misaligned"),
    "coin": ("lean", "tests/e2e/repro/coin.c"),
}


def outcomes(kernel, repro, boot, runs):
    """How many trials ended in what."""
    with tempfile.TemporaryDirectory(prefix="kvmrepro-bench.") as tmp:
        out = os.path.join(tmp, "out")
        subprocess.run([os.path.join(TOP, "kvmrepro"), "run", "--kernel", kernel, "--repro", repro,
                        "--boot", boot, "--runs", str(runs), "--out", out,
                        *(["--no-guest-sandbox"] if repro.endswith("coin.c") else [])],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(out, "run.json")) as f:
            trials = json.load(f)["trials"]
    assert len(trials) == runs, trials
    return collections.Counter(t["title"] if t["outcome"] == "crashed" else t["outcome"]
                               for t in trials)


def interval(hits, runs, z=1.96):
    """Wilson's 95 % interval of a share."""
    share, extra = hits / runs, z * z / runs
    centre = (share + extra / 2) / (1 + extra)
    reach = z * math.sqrt(share * (1 - share) / runs + extra / (4 * runs)) / (1 + extra)
    return centre - reach, centre + reach


def text(counter):
    return ", ".join("%s %d" % (title, n) for title, n in sorted(counter.items()))


def agree(each, once, runs):
    """The same crashes, and each of them as often as far as can be told."""
    for title in set(each) | set(once):
        low_each, high_each = interval(each[title], runs)
        low_once, high_once = interval(once[title], runs)
        if low_each > high_once or low_once > high_each:
            return False
    crashes = [set(c) - {"OK"} for c in (each, once)]
    return crashes[0] == crashes[1] and bool(crashes[0])


def main():
    parser = argparse.ArgumentParser(description="compare --boot each and once")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("row", nargs="*", default=list(ROWS))
    args = parser.parse_args()
    os.chdir(TOP)
    print("| row | each | once | |\n|---|---|---|---|", flush=True)
    same = True
    for name in args.row:
        kernel, repro = ROWS[name]
        path = subprocess.run(["images/build-kernel", kernel], stdout=subprocess.PIPE, check=True,
                              text=True).stdout.strip()
        each, once = (outcomes(path, repro, boot, args.runs) for boot in ("each", "once"))
        good = agree(each, once, args.runs)
        same &= good
        print("| %s (%s, %s) | %s | %s | %s |" % (name, kernel, os.path.basename(repro), text(each),
                                                  text(once), "same" if good else "**differ**"),
              flush=True)
    sys.exit(not same)


if __name__ == "__main__":
    main()
