#!/usr/bin/env python3
"""A bzImage that cannot boot but has all that the harness reads of one: header, payload, vmlinux.

usage: tests/mkimage.py FILE [KEY=VALUE]...
KEY is release, builder, version (uname's), constant (a number in its code), pack (gzip, bzip2, xz,
lzma, none, lzo), or claim (the size that the payload says it has)."""
import bz2
import gzip
import lzma
import struct
import sys

SETUP_SECTS = 3
TEXT, DATA, SEGMENT_BYTES = 0x1000, 0x2000, 0x1000


def vmlinux(o):
    banner = "Linux version %s (%s) (gcc) %s\n" % (o["release"], o["builder"], o["version"])
    elf = bytearray(DATA + SEGMENT_BYTES)
    elf[:64] = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x1000000, 64, 0, 0, 64,
                           56, 2, 0, 0, 0)
    for i, at in enumerate((TEXT, DATA)):
        elf[64 + 56 * i:120 + 56 * i] = struct.pack(
            "<IIQQQQQQ", 1, 5 + i, at, 0xffffffff81000000 + at, 0x1000000 + at, SEGMENT_BYTES,
            SEGMENT_BYTES, 4096)
    for at, what in ((TEXT, struct.pack("<I", int(o["constant"]))), (TEXT + 0x100, banner.encode()),
                     (DATA + 0x82, o["release"].encode()), (DATA + 0xc3, o["version"].encode())):
        elf[at:at + len(what)] = what
    return bytes(elf)


def payload(o):
    plain = vmlinux(o)
    claim = struct.pack("<I", int(o.get("claim", len(plain))))
    pack = {
        "gzip": lambda: gzip.compress(plain, mtime=0)[:-4],
        "bzip2": lambda: bz2.compress(plain),
        "xz": lambda: lzma.compress(plain, check=lzma.CHECK_CRC32),
        "lzma": lambda: lzma.compress(plain, format=lzma.FORMAT_ALONE),
        "none": lambda: plain,
        "lzo": lambda: b"\x89LZO\0\r\n\x1a\n" + plain,
    }[o["pack"]]
    return pack() + claim


def main():
    o = {"release": "6.1.0-made", "builder": "me@here", "version": "#1 SMP Thu Jan  1 00:00:00 UTC 1970",
         "constant": "5", "pack": "gzip"}
    o.update(a.split("=", 1) for a in sys.argv[2:])
    body = payload(o)
    size = -len(body) % 16
    image = bytearray((SETUP_SECTS + 1) * 512)
    image[0:2] = b"MZ"
    image[0x1f1] = SETUP_SECTS
    struct.pack_into("<I", image, 0x1f4, (len(body) + size) // 16)
    struct.pack_into("<H", image, 0x1fe, 0xaa55)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20f)
    struct.pack_into("<H", image, 0x20e, 0x300 - 0x200)
    image[0x211] = 1
    struct.pack_into("<H", image, 0x236, 1)
    struct.pack_into("<II", image, 0x248, 0, len(body))
    name = ("%s (%s) %s" % (o["release"], o["builder"], o["version"])).encode() + b"\0"
    image[0x300:0x300 + len(name)] = name
    with open(sys.argv[1], "wb") as f:
        f.write(image + body + bytes(size))


main()
