#!/usr/bin/env python3
"""Includes point down the layers only; a file fits in a head. TAP."""
import os, re, sys

ROOT = sys.argv[1]
MAY = {"base": [], "wire": ["base"], "guard": ["base", "wire"], "rpc": ["base", "wire"],
       "sys": ["base", "wire", "guard", "rpc"]}
MAY["api"] = [*MAY["sys"], "sys"]
MAY["loop"] = [*MAY["api"], "api"]
MAY["services"] = [*MAY["loop"], "loop"]
MAY["cmd"] = [*MAY["services"], "services"]
ABOVE = {"uv.h": {"loop", "services", "cmd"}, "sqlite3.h": {"services"},
         "jansson.h": {"services"}, "pcre2.h": {"services"}, "systemd/sd-daemon.h": {"cmd"}}
LINES_MAX = 500

sources = [os.path.join(d, f) for d, _, files in os.walk(os.path.join(ROOT, "src"))
           for f in files if f.endswith((".c", ".h"))]
upward, outside, long, ragged = [], [], [], []
for path in sources:
    name = os.path.relpath(path, os.path.join(ROOT, "src"))
    layer = name.split("/")[0]
    text = open(path, encoding="utf-8").read()
    for include in re.findall(r'#include ["<]([^">]+)[">]', text):
        first = include.split("/")[0]
        ours = os.path.exists(os.path.join(ROOT, "src", include))
        if ours and first != layer and first not in MAY[layer]:
            upward.append(f"{name}: {include}")
        if include in ABOVE and layer not in ABOVE[include]:
            outside.append(f"{name}: {include}")
    if text.count("\n") > LINES_MAX:
        long.append(f"{name}: {text.count(chr(10))} lines")
    if re.search(r"[ \t]$", text, re.M) or not text.endswith("\n"):
        ragged.append(name)

rows = [("includes point down", upward), ("libraries stay in their layers", outside),
        (f"no file over {LINES_MAX} lines", long), ("no blanks at line ends", ragged),
        ("there are sources", [] if len(sources) > 50 else ["none were found"])]
print(f"1..{len(rows)}")
for i, (what, found) in enumerate(rows, 1):
    print(("not ok" if found else "ok"), i, "-", what)
    for line in found:
        print("#", line)
sys.exit(any(found for _, found in rows))
