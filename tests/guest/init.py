"""What init must do, asked of real boots; prints TAP. Run by init.t."""

import configparser
import glob
import os
import struct
import subprocess
import sys
import tempfile

from bare import Guest, TOP, kvm_modules

PROGS = os.path.join(TOP, "tests/guest/progs")
tests = 0


def ok(cond, name, *details):
    global tests
    tests += 1
    print("%s %d - %s" % ("ok" if cond else "not ok", tests, name), flush=True)
    if not cond:
        for d in details:
            for line in str(d).splitlines()[-40:]:
                print("#", line)


def build(name, where):
    elf = os.path.join(where, name)
    subprocess.check_call([os.environ.get("CC", "cc"), "-O1", "-static", "-pthread",
                           "-I" + os.path.join(TOP, "include"), "-o", elf,
                           os.path.join(PROGS, name + ".c")])
    return elf


def build_unloadable(program, where):
    """The program with its first segment at an address that no process has: execve() kills it."""
    with open(program, "rb") as f:
        elf = bytearray(f.read())
    headers, = struct.unpack_from("<Q", elf, 32)
    size, number = struct.unpack_from("<HH", elf, 54)
    first = next(at for at in range(headers, headers + number * size, size)
                 if struct.unpack_from("<I", elf, at) == (1,))  # PT_LOAD
    struct.pack_into("<Q", elf, first + 16, 0xffff800000000000)
    path = os.path.join(where, "unloadable")
    with open(path, "wb") as f:
        f.write(elf)
    return path


def frame_order(guest):
    """The verbs in order, each run of the same one once, without what comes at any time."""
    out = []
    for verb, _ in guest.frames:
        if verb not in ("beat", "(noise)") and (not out or out[-1] != verb):
            out.append(verb)
    return out


def test_bundled(kernel, modules):
    names = sorted(os.path.basename(f)[:-2] for f in glob.glob(os.path.join(TOP, "repro/*.c")))
    catalogue = configparser.ConfigParser(interpolation=None)
    catalogue.read(os.path.join(TOP, "repro/catalogue"))
    needs = {n: "vmx" for n in names if catalogue[n]["needs"] == "vmx"}
    g = Guest(kernel, modules, [(n, needs.get(n, "any"), 20000, None) for n in names]).run()
    ok(g.end == "done", "all reproducers: done, and powered off", g.end, g.frames, g.console())
    ok(frame_order(g)[:4] == ["hello", "module", "canary", "ready"], "the order of the frames",
       frame_order(g))
    ok(g.of("canary", ok=1, kvm="kvm_amd", nested="Y"), "the canary", g.of("canary"))
    for i, n in enumerate(names):
        if n in needs:
            ok(g.of("skip", id=i, name=n) and not g.of("start", id=i), n + ": skipped")
        else:
            lacks = n == "create-vm-fault" and "FAULT_INJ" not in g.console()
            code = 77 if lacks or n == "spinlock-contention" else 0
            ok(g.of("end", id=i, how="exit", code=code), "%s: exit %d" % (n, code),
               g.of("end", id=i), g.output(i))
    return g


def test_beats(g):
    beats = g.of("beat")
    ok([int(b["n"]) for b in beats] == list(range(len(beats))), "heartbeats are counted", beats)
    gaps = [int(b["ms"]) - int(a["ms"]) for a, b in zip(beats, beats[1:])]
    ok(max(gaps) < 3000, "heartbeats keep on", gaps)


def test_nuisances(kernel, modules, where):
    rows = [("segv", 5000), ("daemon", 2000), ("endless", 2000), ("forkbomb", 3000),
            ("hog", 4000), ("frozen", 1000)]
    repros = [(n, "any", ms, build(n, where)) for n, ms in rows]
    repros += [("not-a-program", "any", 1000, os.path.join(TOP, "repro/catalogue")),
               ("create-vm", "any", 5000, None)]
    g = Guest(kernel, modules, repros, stuck_ms=5000, memory=384).run(240)
    ok(g.end == "done", "nuisances: done, and powered off", g.end, g.frames[-20:], g.console())
    ok(g.of("end", id=0, how="signal", code=6), "a signal is told", g.of("end", id=0))
    ok("2 entries in /tmp/segv" in g.output(0) and "stdin: 0" in g.output(0),
       "an empty directory of its own, and no standard input", g.output(0))
    ok(g.of("end", id=1, how="timeout"), "a daemon that outlives its father is stopped in time",
       g.of("end", id=1))
    ok("daemon\n" in g.output(1), "and had its time", g.output(1))
    ok(g.of("end", id=2, how="timeout") and g.of("dropped", id=2), "endless output is stopped",
       g.of("end", id=2))
    ok(len(g.output(2)) == 65536, "64 KiB of it are sent", len(g.output(2)))
    ok(g.of("end", id=3, how="timeout"), "a fork bomb is stopped", g.of("end", id=3))
    ok(g.of("end", id=4), "a memory hog is stopped", g.of("end", id=4))
    ok(g.of("end", id=5, how="stuck"), "a task that cannot be killed is told", g.of("end", id=5))
    ok(any("__refrigerator" in s["stack"] for s in g.of("stuck", id=5)), "and where it is",
       g.of("stuck"))
    ok(g.of("end", id=6, how="failed"), "what cannot be executed", g.of("end", id=6))
    ok(g.of("end", id=7, how="exit", code=0), "and the next one runs", g.of("end", id=7))
    ok(not g.of("(noise)"), "nothing but frames on the line", g.of("(noise)")[:3])
    test_beats(g)


def test_line(boot, where):
    mark = build("mark", where)
    say = ("noise\n\x00\xff" + "x" * 9000 + "\nkvmrepro/1 " + "0" * 32 + " go seed=00\n"
           "kvmrepro/1 {token} hum key=value\nkvmrepro/1 {token} go seed=%30%30aB run=1,0\n")
    g = boot([("create-vm", "any", 5000, None),
              ("create-vm-bad-type", "any", 5000, None),
              ("nested-state", "any", 5000, None)]).run(say=say)
    ok([s["id"] for s in g.of("start")] == ["1", "0"], "noise is skipped; run= is obeyed",
       g.of("start"), g.end)
    ok([(e["id"], e["how"], e["code"]) for e in g.of("end")] == [("1", "exit", "0"), ("0", "exit", "0")],
       "and what was made ready does not stand in its way", g.of("end"))
    g = boot([("mark", "any", 5000, mark),
              ("nested-state-double-set", "vmx", 5000, None),
              ("mark-2", "any", 5000, mark)]).run(
        say="kvmrepro/1 {token} go seed=00 run=1,2\n")
    ok(g.end == "done" and g.of("skip", id=1) and not g.of("start", id=0),
       "run= of what cannot run here: it is skipped", g.frames)
    ok(g.of("end", id=2, how="exit", code=0), "and what was made ready ends without having run",
       g.of("end"))
    g = boot([("not-a-program", "any", 1000, os.path.join(TOP, "repro/catalogue")),
              ("mark", "any", 5000, mark),
              ("unloadable", "any", 5000, build_unloadable(mark, where)),
              ("mark-2", "any", 5000, mark)]).run()
    ok(g.of("end", id=0, how="failed", why="Exec format error"),
       "what is made ready and cannot be executed", g.of("end", id=0))
    ok(g.of("end", id=2, how="failed", why="it was ended before its first instruction"),
       "what execve() kills has not run", g.of("end", id=2))
    ok(g.of("end", id=1, how="exit", code=0) and g.of("end", id=3, how="exit", code=3),
       "and the next ones run, each in its turn", g.of("end"))
    g = boot().run(say="kvmrepro/2 {token} go seed=00\n")
    ok(g.of("fatal"), "another version of the protocol is fatal", g.frames)


def test_turns(boot, kernel, modules, where):
    """What becomes of those that wait for their turn, ready, while others run."""
    mark, group = build("mark", where), build("group", where)
    g = boot([("kill-all", "any", 5000, build("kill-all", where)),
              ("mark", "any", 5000, mark), ("mark-2", "any", 5000, mark)]).run()
    ok(g.of("end", id=0, how="signal", code=9), "one that has everything killed", g.of("end", id=0))
    ok(g.of("end", id=1, how="exit", code=0) and g.of("end", id=2, how="exit", code=3),
       "and those that waited are made ready once more", g.of("end"))
    g = Guest(kernel, modules, [("kill-first", "any", 5000, build("kill-first", where)),
                                ("mark", "any", 5000, mark), ("mark-2", "any", 5000, mark)]).run()
    ok([(e["how"], e["code"]) for e in g.of("end")] == [("exit", "0"), ("exit", "0"), ("exit", "3")],
       "likewise where only they were killed, and not their keepers", g.of("end"), g.console())
    g = boot([("hold", "any", 1000, build("hold", where)),
              ("mark", "any", 5000, mark)]).run()
    ok(g.of("end", id=0, how="timeout"), "one that holds its keeper is killed all the same",
       g.of("end", id=0), g.of("stuck"))
    ok(g.of("end", id=1, how="exit", code=0), "and the next one runs", g.of("end", id=1))
    begun = build("begun", where)
    g = boot([("begun-%d" % i, "any", 5000, begun) for i in range(3)]).run()
    times = [[int(x) for x in g.output(i).split()] for i in range(3)]
    ok(all(len(t) == 2 for t in times) and max(t[0] for t in times) <= min(t[1] for t in times),
       "all were made before the first one ran", times)
    allow = struct.pack("<HBBI", 0x06, 0, 0, 0x7fff0000)  # BPF_RET, SECCOMP_RET_ALLOW
    g = Guest(kernel, modules, [("group-%d" % i, "any", 5000, group) for i in range(3)],
              sandbox=allow).run(say="kvmrepro/1 {token} go seed=00 run=1,0,2,1\n")
    groups = [g.output(i).split() for i in range(3)]
    found = [x for words in groups for x in words]
    ok([len(words) for words in groups] == [1, 2, 1] and len(set(found)) == 4 and
       all(x.startswith("0::/reproducer-") for x in found),
       "each in a memory group of its own, in whatever order", groups, g.frames)


def test_lacking(kernel, modules):
    bad = [m for m in modules if "irqbypass" not in m[0]]
    g = Guest(kernel, [("/nowhere/irqbypass.ko", "")] + bad).run()
    ok(g.of("module", name="irqbypass", ok=0, why="No such file or directory"),
       "a missing module is told", g.of("module"))
    ok(len(g.of("module", ok=0)) > 1, "and what the kernel then refuses", g.of("module"))
    ok(g.of("canary", ok=0) and g.of("done") and not g.of("ready"),
       "the canary fails without KVM, and init is done", g.of("canary"))
    g = Guest(kernel, plan="token 00\n").run(say="")
    ok(g.end == "closed" and "kvmrepro: init: plan: " in g.console(),
       "without a token the console is told", g.end, g.console())
    g = Guest(kernel, plan="token %s\nrepro a b 1 /init\n" % ("a" * 32))
    g.token = "a" * 32
    g.run()
    ok(g.of("fatal"), "a plan that makes no sense is fatal", g.frames, g.console())


def main():
    kernel, lean = map(os.path.abspath, sys.argv[1:])
    modules = kvm_modules(kernel)

    def boot(repros=()):
        return Guest(lean, repros=repros, halts=True)

    test_beats(test_bundled(kernel, modules))
    with tempfile.TemporaryDirectory() as where:
        test_nuisances(kernel, modules, where)
        test_line(boot, where)
        test_turns(boot, kernel, modules, where)
    test_lacking(kernel, modules)
    print("1..%d" % tests)


if __name__ == "__main__":
    main()
