"""The QEMU command that libvirt gave for a trial, with the kernel and the initramfs that it gave it, run
again without libvirt and kvmrepro, to the same point: the guest has powered off."""

import os
import re
import shlex
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/guest"))
import bare  # noqa: E402

# In front of QEMU in PATH: keeps the files of the VM, which are gone when the trial is.
KEEPER = """#!/bin/sh
for arg; do
	case $was$arg in
	-initrd*) cp "$arg" '%(dir)s/initrd' ;;
	-kernel*) cp "$arg" '%(dir)s/kernel' ;;
	-deviceloader,file=*) cp "${arg#*file=}" '%(dir)s/loaded' ;;
	esac
	was=$arg
done
exec '%(qemu)s' "$@"
"""
QEMU = "qemu-system-x86_64"


class Same(bare.Guest):
    """bare.Guest by the words of a recorded trial."""

    def __init__(self, recorded):
        super().__init__(recorded.kernel)
        self.words = recorded.words
        self.kept = {"-initrd": recorded.initrd, "-kernel": recorded.kernel}
        self.loaded = recorded.loaded
        self.token = recorded.token

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
            if word in self.kept:
                out += [word, self.kept[word]]
                at += 1
                continue
            if value.startswith("loader,file="):
                out += [word, "loader,file=" + self.loaded]
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


class Recorded:
    """One trial of kvmrepro's; args: what is to be tried, dir: an empty directory."""

    def __init__(self, kvmrepro, kernel, args, dir):
        self.kernel, self.initrd, self.loaded = (os.path.join(dir, name) for name in (
            "kernel", "initrd", "loaded"))
        real = subprocess.run(["sh", "-c", "command -v " + QEMU], stdout=subprocess.PIPE,
                              check=True, text=True).stdout.strip()
        front = os.path.join(dir, "bin")
        os.mkdir(front)
        with open(os.path.join(front, QEMU), "w") as f:
            f.write(KEEPER % {"dir": dir, "qemu": real})
        os.chmod(os.path.join(front, QEMU), 0o755)
        env = dict(os.environ, PATH=front + ":" + os.environ["PATH"],
                   XDG_CACHE_HOME=os.path.join(dir, "cache"))
        out = os.path.join(dir, "out")
        subprocess.run([kvmrepro, "run", "--kernel", kernel, "--out", out, "--runs", "1", *args],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        with open(self.initrd, "rb") as f:
            plan = re.search(rb"\0token ([0-9a-f]+)\ndetector_ms ", f.read())
        self.token = plan.group(1).decode()
        with open(os.path.join(out, "trial-000", "qemu.log")) as f:
            text = f.read()
        start = text.index("/%s \\" % QEMU)
        start = text.rindex("\n", 0, start) + 1
        end = re.search(r"[^\\]\n", text[start:]).start() + start + 1
        self.words = shlex.split(text[start:end].replace("\\\n", ""))
        os.unlink(os.path.join(front, QEMU))
        os.symlink(real, os.path.join(front, QEMU))

    def boot(self):
        """One boot; how it ended (bare.Guest.end)."""
        return Same(self).run().end
