#!/usr/bin/env bash
# The guest's init and the bundled reproducers on Debian's stock kernel under bare QEMU; what is between
# init and the harness alone on lean, which boots in a third of the time.
. "$(dirname "$0")/../tap.sh"

command -v python3 >/dev/null || skip_all "no python3"
kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
test_kernels lean
python3 -B tests/guest/init.py "$kernel" "$(cat "$T/paths")"
