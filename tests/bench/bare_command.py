"""The QEMU command that libvirt gave for a trial, run again without libvirt and kvmrepro."""

import json
import os
import re
import shlex
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/guest"))
import bare  # noqa: E402


def modules_of(run):
    """(file, parameters) of the modules that the run's guest loaded."""
    base = run["kernel"]["modules_dir"]
    found = []
    for name in run["kernel"]["modules"]:
        for folder, _, files in os.walk(base):
            for f in files:
                if f.split(".ko")[0].replace("-", "_") == name and ".ko" in f:
                    found.append((os.path.join(folder, f), "nested=1" if "kvm_" in name else ""))
    return found


class Same(bare.Guest):
    """bare.Guest by the words of a qemu.log, its monitor and names taken off."""

    def __init__(self, kernel, modules, words):
        super().__init__(kernel, modules, [("create-vm", "any", 10000, None)])
        self.words = words

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
                out += [word, self.initrd if word == "-initrd" else self.kernel]
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
    """What the first trial of a run booted, which ran create-vm alone; out: the run's evidence."""

    def __init__(self, kernel, out):
        with open(os.path.join(out, "run.json")) as f:
            self.modules = modules_of(json.load(f))
        with open(os.path.join(out, "trial-000", "qemu.log")) as f:
            text = f.read()
        start = text.index("/qemu-system-x86_64 \\")
        start = text.rindex("\n", 0, start) + 1
        end = re.search(r"[^\\]\n", text[start:]).start() + start + 1
        self.kernel = kernel
        self.words = shlex.split(text[start:end].replace("\\\n", ""))

    def boot(self):
        """One boot; how it ended (bare.Guest.end)."""
        return Same(self.kernel, self.modules, self.words).run().end
