#!/usr/bin/env bash
# The guest's init and the bundled reproducers on Debian's stock kernel under bare QEMU.
. "$(dirname "$0")/../tap.sh"

command -v python3 >/dev/null || skip_all "no python3"
kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
python3 -B tests/guest/init.py "$kernel"
