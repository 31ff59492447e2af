#!/usr/bin/env python3
"""What trials cost, against the goals: one row a thing, each the median of some measurements.

usage: tests/bench/run.py [ROW]...

With rows named, measures and prints these; with none, all, and writes docs/performance.md.
BENCH_TIMES=N: N measurements of each row in place of its own number."""

import glob
import json
import os
import platform
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "tests/bench"), os.path.join(TOP, "tests/guest")]
import bare  # noqa: E402
import bare_command  # noqa: E402
import big_console  # noqa: E402

KVMREPRO = os.path.join(TOP, "kvmrepro")
POLL_S = 0.01
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
VCPU_RUNS_S = 0.005  # so much CPU a vCPU's thread has had when it is said to run
YARDSTICK_S = 2.5  # what yardstick() takes on the machine that the goals were set on


def kernel(name):
    """The path of a kernel: made, or fetched, where it is not there yet."""
    command = ["images/fetch-kernel"] if name == "stock" else ["images/build-kernel", name]
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, check=True,
                          text=True).stdout.strip()


class Run:
    """One call of kvmrepro: seconds, CPU seconds of all that it started, run.json."""

    def __init__(self, image, args, watch=None):
        with tempfile.TemporaryDirectory(prefix="kvmrepro-bench.") as tmp:
            out = os.path.join(tmp, "out")
            command = [KVMREPRO, "run", "--kernel", kernel(image), "--out", out, *args]
            before = children_cpu()
            begin = time.monotonic()
            proc = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    start_new_session=True)
            if watch:
                watch.follow(proc, begin)
            proc.wait()
            self.took = time.monotonic() - begin
            self.cpu = children_cpu() - before
            with open(os.path.join(out, "run.json")) as f:
                self.json = json.load(f)

    def expect(self, outcome, title=None):
        for t in self.json["trials"]:
            if t["outcome"] != outcome or (title and t["title"] != title):
                sys.exit("bench: run #%d: %s %s where %s %s was expected" % (
                    t["number"], t["outcome"], t["title"], outcome, title or ""))
        return self


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


class OwnCpu:
    """CPU of the processes named kvmrepro, as the kernel counts it (proc(5), stat, in ticks), looked
    at until they end: what one does in its last POLL_S is missed."""

    def follow(self, proc, begin):
        ticks = {}
        while proc.poll() is None:
            for path in glob.glob("/proc/[0-9]*/stat"):
                found = re.match(r"(\d+) \((.*)\) \S (.*)", read(path), re.S)
                if not found or not found.group(2).startswith("kvmrepro"):
                    continue
                words = found.group(3).split()
                if int(words[2]) == proc.pid or int(words[0]) == proc.pid:
                    ticks[found.group(1)] = int(words[10]) + int(words[11])
            time.sleep(POLL_S)
        self.cpu = sum(ticks.values()) * TICK_S


class FirstInstruction:
    """When the first vCPU began to run: its thread ("CPU 0/KVM"; with TCG "ALL CPUs/TCG") has had CPU
    time."""

    def follow(self, proc, begin):
        self.after = None
        while proc.poll() is None and self.after is None:
            for path in glob.glob("/proc/[0-9]*/task/[0-9]*/comm"):
                if not read(path).startswith(("CPU 0/", "ALL CPUs/")):
                    continue
                if str(proc.pid) not in read(path.split("/task/")[0] + "/cmdline"):
                    continue
                ran = read(path[:-len("comm")] + "schedstat").split()
                if ran and int(ran[0]) >= VCPU_RUNS_S * 1e9:
                    self.after = time.monotonic() - begin - VCPU_RUNS_S
            time.sleep(POLL_S / 2)


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def yardstick():
    """How fast this machine is now: CPU seconds of one boot by QEMU alone, as the goals' boots were:
    Debian's kernel, q35, -cpu max, one vCPU, KVM, one VM with one vCPU that runs to a hlt. Of ours
    the guest's init is in it."""
    image = kernel("stock")
    modules = bare.kvm_modules(image)
    before = children_cpu()
    guest = bare.Guest(image, modules, [("create-vm", "any", 20000, None)], machine="q35",
                       cpu="max", smp=1).run()
    assert guest.end == "done", guest.end
    return children_cpu() - before


# ---- what the rows measure: a number each ----

def wall(row):
    return Run(row.kernel, row.args).expect("OK").took


def wall_crashed(row):
    return Run(row.kernel, row.args).expect("crashed: " + row.title, row.title).took


def cpu_a_trial(row):
    """CPU of a run with 60 trials less that of one with 10, for each trial more."""
    few = Run(row.kernel, [*row.args, "--runs", "10"]).expect("OK")
    many = Run(row.kernel, [*row.args, "--runs", "60"]).expect("OK")
    return (many.cpu - few.cpu) / 50


def own_cpu(row):
    watch = OwnCpu()
    Run(row.kernel, row.args, watch).expect("OK")
    return watch.cpu


def first_instruction(row):
    watch = FirstInstruction()
    Run(row.kernel, row.args, watch).expect("OK")
    return watch.after


def against_bare(row):
    """Ours against as many boots by the same QEMU command, as many at once: half of these before ours
    and half after."""
    with tempfile.TemporaryDirectory(prefix="kvmrepro-bench.") as tmp:
        loop = bare_command.Recorded(KVMREPRO, kernel(row.kernel), ["--repro", "create-vm"], tmp)
        runs = int(row.args[row.args.index("--runs") + 1])
        jobs = int(row.args[row.args.index("--jobs") + 1])
        theirs = bare_loop(loop, runs // 2, jobs)
        ours = Run(row.kernel, row.args).expect("OK").took
        theirs += bare_loop(loop, runs - runs // 2, jobs)
    return ours / theirs


def bare_loop(recorded, runs, jobs):
    begin = time.monotonic()
    left = [None] * runs

    def work():
        while left:
            try:
                left.pop()
            except IndexError:
                return
            end = recorded.boot()
            assert end == "done", end

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.monotonic() - begin


def crash_end(row):
    run = Run(row.kernel, row.args)
    return max(t["crash_end_ms"] for t in run.json["trials"]) / 1000


def peak_memory(row):
    return big_console.peak_kib(KVMREPRO) / 1024


class Row:
    def __init__(self, name, what, goal, unit, measure, image, args, times=5, title=None):
        self.name, self.what, self.goal, self.unit = name, what, goal, unit
        self.measure, self.kernel, self.title = measure, image, title
        self.args, self.times = shlex.split(args), times

    def command(self):
        if not self.kernel:
            return ""
        return "`run --kernel %s %s`" % (self.kernel.upper(), shlex.join(self.args))


RCU = "WARNING: suspicious RCU usage in kvm_dev_ioctl"
DEBUG = "--repro create-vm --repro create-vm-bad-type --repro nested-state"

# A row: its name; what it is; the goal; unit; how it is measured; kernel, options; how often.
ROWS = [
    Row("stock-once", "10 trials, stock kernel, all reproducers", 8, "s", wall, "stock",
        "--runs 10 --boot once"),
    Row("stock-each", "the same, each boots", 16, "s", wall, "stock", "--runs 10 --boot each"),
    Row("debug-once", "10 trials, debug kernel", 9, "s", wall, "debug",
        "--runs 10 --boot once " + DEBUG),
    Row("debug-each", "the same, each boots", 22, "s", wall, "debug",
        "--runs 10 --boot each " + DEBUG),
    Row("crash-once", "10 trials, seed 000's crash in each", 12, "s", wall_crashed, "debug+000",
        "--runs 10 --boot once --repro create-vm-bad-type", title=RCU),
    Row("debug-100", "100 trials, debug kernel, create-vm", 40, "s", wall, "debug",
        "--runs 100 --boot once --repro create-vm", times=3),
    Row("one-more", "one more trial, debug kernel, of a reproducer that does nothing: CPU "
        "(60 trials less 10)", 0.35, "s", cpu_a_trial, "debug",
        "--boot once --repro tests/bench/nothing.c", times=3),
    Row("bare-one", "10 trials against ten bare boots by the same QEMU command, one by one", 1.15, "",
        against_bare, "stock", "--runs 10 --boot each --jobs 1 --repro create-vm", times=3),
    Row("bare", "the same, 2 at once", 1.10, "",
        against_bare, "stock", "--runs 10 --boot each --jobs 2 --repro create-vm"),
    Row("bochs-lean", "10 trials with Bochs, lean kernel", 25, "s", wall, "lean",
        "--engine bochs --runs 10 --boot once --repro nested-state-double-set"),
    Row("bochs-lean-each", "the same, each boots", 25, "s", wall, "lean",
        "--engine bochs --runs 10 --boot each --repro nested-state-double-set", times=3),
    Row("bochs-debug", "10 trials with Bochs, debug kernel", 150, "s", wall, "debug",
        "--engine bochs --runs 10 --boot once --repro nested-state-double-set", times=3),
    Row("bochs-debug-each", "the same, each boots", 150, "s", wall, "debug",
        "--engine bochs --runs 10 --boot each --repro nested-state-double-set", times=1),
    Row("own-cpu", "kvmrepro's own CPU for 10 trials, without QEMU", 0.5, "s", own_cpu, "stock",
        "--runs 10 --boot once --repro create-vm"),
    Row("first-instruction", "start of kvmrepro to the first vCPU's first instructions", 0.5, "s",
        first_instruction, "stock", "--runs 1 --repro create-vm"),
    Row("crash-end", "a crash's last console line to the end of its trial (longest of 4)", 2, "s",
        crash_end, "stock", "--runs 4 --no-guest-sandbox --repro tests/e2e/repro/panic.c", times=3),
    Row("memory", "peak memory, a replayed console of 1 GB", 64, "MiB", peak_memory, None, "",
        times=1),
]


def machine():
    cpu = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.PIPE,
                          text=True).stdout.splitlines()[0]
    memory = int(re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo")).group(1)) >> 20
    svm_vmx = re.search(r"\b(svm|vmx)\b", read("/proc/cpuinfo"))
    return "%s, %d CPUs, %d GiB, %s; Linux %s; %s" % (
        cpu.group(1).strip() if cpu else "unknown CPU", len(os.sched_getaffinity(0)), memory,
        "with " + svm_vmx.group(1) if svm_vmx else "no hardware virtualization",
        platform.release(), qemu)


def line_of(row, values, yard):
    """yard: what the yardstick took before and after."""
    median = statistics.median(values)
    scaled = median * YARDSTICK_S / statistics.mean(yard)
    verdict = "met" if median <= row.goal else "**missed**"
    return "| `%s` | %s | %.2f %s | %.2f to %.2f, %d | %g %s | %s | %s | %s |" % (
        row.name, row.what, median, row.unit, min(values), max(values), len(values), row.goal,
        row.unit, verdict,
        "%.2f s%s" % (scaled, "" if scaled <= row.goal else ", missed") if row.unit == "s" else "",
        row.command())


HEAD = ["| row | what | median | from to, times | goal | | by the yardstick | command |",
        "|---|---|---|---|---|---|---|---|"]


def document(lines, yards, seconds):
    head = subprocess.run(["git", "-C", TOP, "describe", "--always", "--dirty"],
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    return "\n".join([
        "# Performance", "",
        "Written by `make bench` in %d minutes, %s, of commit %s; `make bench BENCH=ROW` measures one "
        "row." % (round(seconds / 60), time.strftime("%Y-%m-%d", time.gmtime()), head), "",
        "Measured on: %s." % machine(), "",
        "The machine's speed: one bare boot of Debian's kernel (q35, `-cpu max`, one vCPU, a VM that runs "
        "to a hlt) took %.1f s of CPU, %.1f to %.1f, %d times, between the rows; on the machine that the "
        "goals were set on it takes %.1f. \"By the yardstick\" is the median at that machine's speed." % (
            statistics.median(yards), min(yards), max(yards), len(yards), YARDSTICK_S), "",
        "STOCK is what `images/fetch-kernel` prints, the others what `images/build-kernel` does. "
        "Caches are warm but for --keep-state, which is not used: a time is that of the whole call.",
        "", *HEAD, *lines, ""])


def main():
    names = sys.argv[1:]
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit("bench: no row %s; there are: %s" % (" ".join(sorted(unknown)),
                                                      " ".join(row.name for row in ROWS)))
    os.chdir(TOP)
    begin = time.monotonic()
    lines, yards = [], [yardstick()]
    print(*HEAD, sep="\n", flush=True)
    for row in ROWS:
        if names and row.name not in names:
            continue
        times = int(os.environ.get("BENCH_TIMES", row.times))
        values = [row.measure(row) for _ in range(times)]
        yards.append(yardstick())
        lines.append(line_of(row, values, yards[-2:]))
        print(lines[-1], flush=True)
    if names:
        return
    text = document(lines, yards, time.monotonic() - begin)
    with open(os.path.join(TOP, "docs/performance.md"), "w") as f:
        f.write(text)


if __name__ == "__main__":
    main()
