#!/usr/bin/env python3
"""What `kvmrepro run` costs: against bare QEMU, in all, in memory, and at the end of a crash.

Prints a Markdown table. Each figure is measured in this one run; the bare QEMU is given the very
command line that libvirt gave it, half of its boots before ours and half after."""

import gzip
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/guest"))
import bare  # noqa: E402

KVMREPRO = os.path.join(TOP, "kvmrepro")
KERNEL = subprocess.run([os.path.join(TOP, "images/fetch-kernel")], stdout=subprocess.PIPE,
                        check=True, text=True).stdout.strip()
ROUNDS = 10
REPRO = "create-vm"


def kvmrepro(out, *args):
    """Runs kvmrepro; seconds of wall time and its run.json."""
    begin = time.monotonic()
    subprocess.run([KVMREPRO, "run", "--out", out, *args], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    took = time.monotonic() - begin
    with open(os.path.join(out, "run.json")) as f:
        return took, json.load(f)


class SameCommand(bare.Guest):
    """bare.Guest with the command line out of a qemu.log, its monitor and names taken off."""

    def __init__(self, log, modules):
        super().__init__(KERNEL, modules, [(REPRO, "any", 10000, None)])
        with open(log) as f:
            text = f.read()
        start = text.index("/qemu-system-x86_64 \\")
        start = text.rindex("\n", 0, start) + 1
        end = re.search(r"[^\\]\n", text[start:]).start() + start + 1
        self.words = shlex.split(text[start:end].replace("\\\n", ""))

    def qemu(self, agent_path):
        words, out, at = self.words, [], 0
        dropped = {"-name", "-uuid", "-mon"}
        while at < len(words):
            word = words[at]
            value = words[at + 1] if at + 1 < len(words) else ""
            at += 1
            if word == "-S" or word == "-no-shutdown":
                continue
            if word in dropped or "masterKey" in value or "charmonitor" in value:
                at += 1
                continue
            if word in ("-initrd", "-kernel"):
                out += [word, self.initrd if word == "-initrd" else KERNEL]
                at += 1
                continue
            if "charserial0,path" in value:
                out += [word, "file,id=charserial0,path=" + self.console_path]
                at += 1
                continue
            if "charserial1,path" in value:
                out += [word, "socket,id=charserial1,path=" + agent_path]
                at += 1
                continue
            out.append(word)
        return out


def modules_of(run):
    base = run["kernel"]["modules_dir"]
    found = []
    for name in run["kernel"]["modules"]:
        for folder, _, files in os.walk(base):
            for f in files:
                if f.split(".ko")[0].replace("-", "_") == name and ".ko" in f:
                    found.append((os.path.join(folder, f), "nested=1" if "kvm_" in name else ""))
    return found


def whole_job(out, *args):
    """Ten trials of all reproducers: seconds, and of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took, run = kvmrepro(out, "--kernel", KERNEL, "--runs", "10", *args)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert all(t["outcome"] == "OK" for t in run["trials"]), run["trials"]
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def crash_end_ms(tmp):
    panic = os.path.join(TOP, "tests/e2e/repro/panic.c")
    _, run = kvmrepro(os.path.join(tmp, "panic"), "--kernel", KERNEL, "--runs", "4",
                      "--no-guest-sandbox", "--repro", panic)
    return max(t["crash_end_ms"] for t in run["trials"])


def peak_kib(tmp):
    """Peak memory of a replay with a console of 1 GB; what a child of a child takes is in it."""
    trial = os.path.join(tmp, "big")
    os.mkdir(trial)
    line = b"[   12.345678] kvm [1234]: vcpu0, guest rIP: 0xfff0 ignored rdmsr: 0x1234\n"
    with gzip.open(os.path.join(trial, "console.log.gz"), "wb", 1) as f:
        for _ in range(1000000000 // (len(line) * 1000) + 1):
            f.write(line * 1000)
    with open(os.path.join(trial, "agent.log"), "w") as f:
        f.write("1 0 hello release=6.1 features=svm\n2 0 canary ok=1 kvm=kvm_amd\n3 0 ready\n"
                "4 0 start id=0 name=create-vm\n")
        for mb in range(0, 1000, 50):
            f.write("5 %d beat n=1 ms=%d\n" % (mb * 1000000, mb))
        f.write("5 1000000000 end id=0 how=exit code=0 ms=1\n6 1000000000 done\n"
                "7 1000000000 !o\n")
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], "
            "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    begin = time.monotonic()
    out = os.path.join(tmp, "bigout")
    text = subprocess.run([sys.executable, "-c", code, KVMREPRO, "run", "--engine",
                           "replay:" + trial, "--runs", "1", "--repro", REPRO, "--out", out],
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    with open(os.path.join(out, "run.json")) as f:
        t = json.load(f)["trials"][0]
    assert t["outcome"] == "OK" and t["console_bytes"] >= 1000000000, t
    return int(text), time.monotonic() - begin


def main():
    with tempfile.TemporaryDirectory(prefix="kvmrepro-bench.") as tmp:
        _, first = kvmrepro(os.path.join(tmp, "first"), "--kernel", KERNEL, "--runs", "1",
                            "--repro", REPRO)
        log = os.path.join(tmp, "first", "trial-000", "qemu.log")
        modules = modules_of(first)
        guest = SameCommand(log, modules).run()
        assert guest.end == "done", guest.end
        theirs = sum(SameCommand(log, modules).run().took for _ in range(ROUNDS // 2))
        ours, _ = kvmrepro(os.path.join(tmp, "cost"), "--kernel", KERNEL, "--runs", str(ROUNDS),
                           "--jobs", "1", "--repro", REPRO)
        theirs += sum(SameCommand(log, modules).run().took for _ in range(ROUNDS // 2))
        whole, cpu = whole_job(os.path.join(tmp, "whole"))
        once, once_cpu = whole_job(os.path.join(tmp, "once"), "--boot", "once")
        kib, took = peak_kib(tmp)
        print("| what | measured | at most |\n|---|---|---|")
        print("| 10 trials, `--jobs 1`, against the same QEMU bare | %.1f s / %.1f s = %.2f | "
              "1.15 |" % (ours, theirs, ours / theirs))
        print("| 10 trials of the stock kernel, all reproducers, default jobs | %.1f s "
              "(%.1f s of CPU) | 30 s |" % (whole, cpu))
        print("| the same, `--boot once` | %.1f s (%.1f s of CPU) | 8 s |" % (once, once_cpu))
        print("| peak memory, a console of 1 GB | %d MiB (%.1f s) | 64 MiB |" % (kib // 1024, took))
        print("| a crash's last console line to the end of its trial | %.2f s | 2 s |"
              % (crash_end_ms(tmp) / 1000))


if __name__ == "__main__":
    main()
