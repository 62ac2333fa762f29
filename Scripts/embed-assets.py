#!/usr/bin/env python3
"""Writes the console's files into Swift, so that the program carries them; with --check, fails when that is out of date."""

import hashlib
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ASSETS = os.path.join(ROOT, "Sources", "Console", "Assets")
OUTPUT = os.path.join(ROOT, "Sources", "Console", "ConsoleAsset+All.swift")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADER = """// Written by Scripts/embed-assets.py from Assets/: change the files there and run it.
// swift-format-ignore-file

extension ConsoleAsset {
    static let all: [ConsoleAsset] = [
"""


def literal(name, text):
    for line in text.split("\n"):
        if '"""###' in line or "\\###" in line or "\r" in line:
            sys.exit(f"{name}: a line cannot stand in a Swift literal: {line[:60]!r}")
    return f'###"""\n{text}\n"""###'


def generated():
    parts = [HEADER]
    for folder, directories, files in sorted(os.walk(ASSETS)):
        directories.sort()
        for file in sorted(files):
            path = os.path.join(folder, file)
            name = os.path.relpath(path, ASSETS)
            with open(path, encoding="ascii", newline="") as source:
                text = source.read()
            tag = hashlib.sha256(text.encode()).hexdigest()[:20]
            kind = TYPES[os.path.splitext(file)[1]]
            parts.append(
                f'        ConsoleAsset(name: "{name}", type: "{kind}", tag: "{tag}", text: {literal(name, text)}),\n')
    parts.append("    ]\n}\n")
    return "".join(parts)


def main():
    text = generated()
    if "--check" in sys.argv:
        with open(OUTPUT) as current:
            if current.read() != text:
                sys.exit("Sources/Console/ConsoleAsset+All.swift is out of date: run Scripts/embed-assets.py")
        return
    with open(OUTPUT, "w") as output:
        output.write(text)


if __name__ == "__main__":
    main()
