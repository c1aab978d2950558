#!/usr/bin/env python3
"""docs/wire-tests.md names tests that there are. TAP."""
import os, re, sys

ROOT = sys.argv[1]
DOCUMENT = os.path.join(ROOT, "docs", "wire-tests.md")
ROWS_MIN = 90


def names_in(path):
    """The names of a file's tests: calls in JavaScript, functions in C."""
    text = open(path, encoding="utf-8").read()
    found = set(re.findall(r"^static void (\w+)\(", text, re.M))
    for quoted in re.findall(r"^\s*(?:test|served|[a-z]+)\('((?:[^'\\]|\\.)*)'", text, re.M):
        found.add(re.sub(r"\\(.)", r"\1", quoted))
    return found


rows, wrong, short = 0, [], []
for number, line in enumerate(open(DOCUMENT, encoding="utf-8"), 1):
    if not line.startswith("| ") or line.startswith("| what holds"):
        continue
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    rows += 1
    if len(cells) != 3 or not all(cells):
        short.append(f"line {number}: {line.strip()}")
        continue
    path = os.path.join(ROOT, cells[1])
    if not os.path.exists(path):
        wrong.append(f"line {number}: there is no {cells[1]}")
    elif cells[2] not in names_in(path):
        wrong.append(f"line {number}: {cells[1]} has no test '{cells[2]}'")

results = [("every row has three cells", short), ("every test that is named exists", wrong),
           (f"there are {ROWS_MIN} rows at least", [] if rows >= ROWS_MIN else [f"{rows}"])]
print(f"1..{len(results)}")
for i, (what, found) in enumerate(results, 1):
    print(("not ok" if found else "ok"), i, "-", what)
    for line in found:
        print("#", line)
sys.exit(any(found for _, found in results))
