#!/usr/bin/env python3
"""Compares the imports in Sources/ with the table in Docs/Modules.md: arrows may only point as it says."""

import os
import re
import sys

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
allowed = {}
with open(os.path.join(root, "Docs", "Modules.md")) as table:
    for line in table:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0] not in ("Module", "---"):
            allowed[cells[0]] = set(filter(None, (name.strip() for name in cells[2].split(","))))

modules = sorted(os.listdir(os.path.join(root, "Sources")))
problems = [f"Docs/Modules.md has no row for {module}" for module in modules if module not in allowed]
problems += [f"Docs/Modules.md has a row for {module}, which does not exist" for module in allowed if module not in modules]
pattern = re.compile(r"^\s*(?:@\w+\s+)?(?:public |package |internal |private )?import (?:struct |class |enum |func )?(\w+)")
for module in modules:
    for folder, _, files in os.walk(os.path.join(root, "Sources", module)):
        for name in files:
            if not name.endswith(".swift"):
                continue
            path = os.path.join(folder, name)
            with open(path) as source:
                for number, line in enumerate(source, 1):
                    found = pattern.match(line)
                    if not found or found.group(1) not in modules:
                        if found and found.group(1).startswith("NIO") and module != "Transport":
                            problems.append(f"{os.path.relpath(path, root)}:{number}: only Transport may import NIO")
                        if found and found.group(1) == "Foundation":
                            problems.append(f"{os.path.relpath(path, root)}:{number}: full Foundation is not linked")
                        continue
                    if found.group(1) not in allowed.get(module, set()):
                        problems.append(
                            f"{os.path.relpath(path, root)}:{number}: {module} may not import {found.group(1)}")
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
