"""The memory that a console of 1 GB takes: a replay of a trial with one."""

import gzip
import json
import os
import subprocess
import sys
import tempfile

LINE = b"[   12.345678] kvm [1234]: vcpu0, guest rIP: 0xfff0 ignored rdmsr: 0x1234\n"
BYTES = 1000000000

# In a process of its own, so that what it counts is that call and what it called.
CODE = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], "
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")


def record(trial):
    os.mkdir(trial)
    with gzip.open(os.path.join(trial, "console.log.gz"), "wb", 1) as f:
        for _ in range(BYTES // (len(LINE) * 1000) + 1):
            f.write(LINE * 1000)
    with open(os.path.join(trial, "agent.log"), "w") as f:
        f.write("1 0 hello release=6.1 features=svm\n2 0 canary ok=1 kvm=kvm_amd\n3 0 ready\n"
                "4 0 start id=0 name=create-vm\n")
        for mb in range(0, 1000, 50):
            f.write("5 %d beat n=1 ms=%d\n" % (mb * 1000000, mb))
        f.write("5 1000000000 end id=0 how=exit code=0 ms=1\n6 1000000000 done\n"
                "7 1000000000 !o\n")


def peak_kib(kvmrepro):
    with tempfile.TemporaryDirectory(prefix="kvmrepro-bench.") as tmp:
        trial, out = os.path.join(tmp, "big"), os.path.join(tmp, "out")
        record(trial)
        text = subprocess.run([sys.executable, "-c", CODE, kvmrepro, "run", "--engine",
                               "replay:" + trial, "--runs", "1", "--repro", "create-vm", "--out",
                               out], stdout=subprocess.PIPE, check=True, text=True).stdout
        with open(os.path.join(out, "run.json")) as f:
            t = json.load(f)["trials"][0]
        assert t["outcome"] == "OK" and t["console_bytes"] >= BYTES, t
        return int(text)
