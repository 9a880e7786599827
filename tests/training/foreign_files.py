"""Contents that are not what a file should hold."""

# Small files as a power cut, a wrong editor or another program leaves them.
FOREIGN = [
    b"",
    b"\x00\x01\xfe",
    b"\xff\xfe{\x00}\x00",
    b"{",
    b"[1",
    b"3",
    b"null",
    b'"a"',
    b"[" * 100_000,
]
