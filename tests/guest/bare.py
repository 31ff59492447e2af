"""Boots a kernel with the guest's init under bare QEMU and speaks the harness's side of the agent
line (include/kvmrepro/protocol.h): the guest is tested without any of the harness.

As a program it shows one boot: python3 bare.py --kernel FILE [--module FILE[,PARAMS]]...
[--repro NAME[,NEEDS[,MS[,ELF]]]]... [--detector-ms N] [--stuck-ms N] [--append ARGS]
"""

import argparse
import glob
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INIT = os.path.join(TOP, "build/guest/init")
# As the harness's: docs/boot.md says why.
APPEND = ("console=ttyS0,115200 ignore_loglevel printk.devkmsg=off panic=0 no_timer_check "
          "cryptomgr.notests pty.legacy_count=0 initcall_blacklist=crypto_kdf108_init "
          "kvm_amd.nested=1")
CPU = "max,erms=off,fsrm=off,invtsc=on,x-force-features=on"
HALT_S = 5  # a kernel that can has powered off by then


def cpio_entry(name, data, mode):
    name = name.encode() + b"\0"
    head = "070701" + "".join("%08X" % n for n in
                              (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0))
    out = head.encode() + name
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(out) % 4)


def kvm_modules(kernel):
    found = {}
    release = os.path.basename(kernel).removeprefix("vmlinuz-")
    root = os.path.dirname(os.path.dirname(kernel))
    for path in glob.glob("%s/lib/modules/%s/kernel/**/*.ko*" % (root, release), recursive=True):
        found[os.path.basename(path).split(".")[0]] = path
    return [(found[m], "nested=1" if m == "kvm-amd" else "")
            for m in ("irqbypass", "ccp", "kvm", "kvm-amd") if m in found]


class Guest:
    """modules: (file, parameters); repros: (name, needs, ms, ELF or None for a bundled one);
    sandbox: the filter, in struct sock_filter's; halts: a kernel without ACPI, whose VM stays when init
    is done."""

    def __init__(self, kernel, modules=(), repros=(), append="", detector_ms=20000, stuck_ms=30000,
                 machine="pc", cpu=CPU, smp=2, memory=512, plan=None, files=(), sandbox=None, halts=False):
        self.kernel, self.append, self.machine = kernel, append, machine
        self.cpu, self.smp, self.memory, self.halts = cpu, smp, memory, halts
        self.token = secrets.token_hex(16)
        self.dir = tempfile.TemporaryDirectory(prefix="kvmrepro-guest.")
        self.console_path = os.path.join(self.dir.name, "console")
        self.frames = []
        self.took = 0.0
        self.end = None
        lines = ["token " + self.token, "detector_ms %d" % detector_ms, "stuck_ms %d" % stuck_ms]
        cpio = b"".join(cpio_entry(d, b"", 0o40755) for d in
                        ("kvmrepro", "kvmrepro/modules", "kvmrepro/repro"))
        with open(INIT, "rb") as f:
            cpio += cpio_entry("init", f.read(), 0o100755)
        for path, params in modules:
            name = "kvmrepro/modules/" + os.path.basename(path)
            if os.path.exists(path):
                with open(path, "rb") as f:
                    cpio += cpio_entry(name, f.read(), 0o100644)
            lines.append(("module /%s %s" % (name, params)).strip())
        for name, needs, ms, elf in repros:
            path = "kvmrepro/repro/" + name
            if elf:
                with open(elf, "rb") as f:
                    cpio += cpio_entry(path, f.read(), 0o100755)
            else:
                cpio += cpio_entry(path, b"/init", 0o120777)
            lines.append("repro %s %s %d /%s" % (name, needs, ms, path))
        if sandbox:
            cpio += cpio_entry("kvmrepro/sandbox", sandbox, 0o100600)
            lines.append("sandbox /kvmrepro/sandbox")
        for name, data in files:
            cpio += cpio_entry(name, data, 0o100755)
        text = plan if plan is not None else "\n".join(lines) + "\n"
        cpio += cpio_entry("kvmrepro/plan", text.encode(), 0o100600)
        cpio += cpio_entry("TRAILER!!!", b"", 0)
        self.initrd = os.path.join(self.dir.name, "initramfs")
        with open(self.initrd, "wb") as f:
            f.write(cpio)

    def qemu(self, agent_path):
        # One thread: harness/vm/emulator.c says why.
        return ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-machine", self.machine,
                "-cpu", self.cpu, "-smp", str(self.smp), "-m", str(self.memory), "-nographic", "-nodefaults",
                "-no-reboot", "-kernel", self.kernel, "-initrd", self.initrd,
                "-append", APPEND + " " + self.append,
                "-serial", "file:" + self.console_path,
                "-chardev", "socket,id=agent,path=" + agent_path, "-serial", "chardev:agent"]

    def parse(self, line):
        words = line.split(" ")
        if len(words) < 3 or words[0] != "kvmrepro/1" or words[1] != self.token:
            return None
        keys = dict(w.split("=", 1) for w in words[3:])
        return words[2], {k: urllib.parse.unquote_to_bytes(v).decode("latin-1")
                          for k, v in keys.items()}

    def run(self, limit=120, say="kvmrepro/1 {token} go seed=00112233445566778899aabbccddeeff\n",
            show=False):
        """Boots and runs to the end. self.end says how it ended: done (and
        powered off, but for a kernel that halts: nothing is read after that), halted (done, but not powered off), closed (too early) or limit."""
        listener = socket.socket(socket.AF_UNIX)
        path = os.path.join(self.dir.name, "agent")
        listener.bind(path)
        listener.listen(1)
        begin = time.monotonic()
        with subprocess.Popen(self.qemu(path), stdin=subprocess.DEVNULL) as proc:
            try:
                line = listener.accept()[0]
                self._talk(line, begin + limit, say, show)
            finally:
                proc.kill()
        self.took = time.monotonic() - begin
        return self

    def _talk(self, line, until, say, show):
        rest = b""
        off = until
        while True:
            left = min(until, off) - time.monotonic()
            if left <= 0 or not select.select([line], [], [], left)[0]:
                self.end = "halted" if off < until else "limit"
                return
            data = line.recv(65536)
            if not data:
                self.end = "done" if any(v in ("done", "fatal") for v, _ in self.frames) \
                    else "closed"
                return
            *lines, rest = (rest + data).split(b"\n")
            for text in lines:
                frame = self.parse(text.decode("latin-1"))
                if show:
                    print("%7.3f" % (time.monotonic() - until), frame or text, flush=True)
                if not frame:
                    frame = ("(noise)", {"text": text.decode("latin-1")})
                self.frames.append(frame)
                if frame[0] in ("done", "fatal"):
                    if self.halts:
                        self.end = "done"
                        return
                    off = time.monotonic() + HALT_S
                if frame[0] == "ready":
                    line.sendall(say.format(token=self.token).encode())

    def of(self, verb, **keys):
        """The frames of this verb with these values."""
        return [k for v, k in self.frames
                if v == verb and all(k.get(n) == str(x) for n, x in keys.items())]

    def output(self, id):
        return "".join(k["data"] for k in self.of("output", id=id))

    def console(self):
        with open(self.console_path, errors="replace") as f:
            return f.read()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kernel", required=True)
    p.add_argument("--module", action="append", default=[])
    p.add_argument("--repro", action="append", default=[])
    p.add_argument("--append", default="")
    p.add_argument("--detector-ms", type=int, default=20000)
    p.add_argument("--stuck-ms", type=int, default=30000)
    p.add_argument("--limit", type=int, default=120)
    p.add_argument("--smp", type=int, default=2)
    p.add_argument("--memory", type=int, default=512)
    p.add_argument("--cpu", default=CPU)
    p.add_argument("--machine", default="pc")
    p.add_argument("--tail", type=int, default=20, help="lines of the console to show")
    a = p.parse_args()
    repros = []
    for r in a.repro:
        name, needs, ms, elf = (r.split(",") + ["", "", ""])[:4]
        repros.append((name, needs or "any", int(ms or 10000), elf or None))
    modules = [(m.split(",", 1) + [""])[:2] for m in a.module]
    g = Guest(a.kernel, modules, repros, a.append, a.detector_ms, a.stuck_ms, smp=a.smp,
              memory=a.memory, cpu=a.cpu, machine=a.machine)
    g.run(a.limit, show=True)
    print("end: %s after %.2f s" % (g.end, g.took))
    sys.stdout.write("\n".join(g.console().splitlines()[-a.tail:]) + "\n")


if __name__ == "__main__":
    main()
