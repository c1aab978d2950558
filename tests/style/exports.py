#!/usr/bin/env python3
"""Each library exports what its headers declare, in a version that says since when. TAP.

exports.py SOURCE-ROOT LIBKEDGE LIBKEDGE-UV"""
import glob, os, re, subprocess, sys

ROOT, LIBRARIES = sys.argv[1], {"libkedge": sys.argv[2], "libkedge-uv": sys.argv[3]}
ON_LIBUV = {"server.h", "uvclient.h"}
rows = []


def declared(library):
    names = set()
    for header in glob.glob(os.path.join(ROOT, "include", "kedge", "*.h")):
        if (os.path.basename(header) in ON_LIBUV) == (library == "libkedge-uv"):
            with open(header) as f:
                names |= set(re.findall(r"^KEDGE_PUBLIC [^;(]*?\b(kedge_\w+)\(", f.read(), re.M))
    return names


def mapped(library):
    """{name: node} of the linker's version script."""
    with open(os.path.join(ROOT, "src", library + ".map")) as f:
        nodes = re.findall(r"^(KEDGE_[\d.]+) \{(.*?)\}", f.read(), re.M | re.S)
    return {name: node for node, body in nodes for name in re.findall(r"^\t(kedge_\w+);$", body, re.M)}


def packaged(library):
    """{name: node} of Debian's list, which tells a package what it needs."""
    with open(os.path.join(ROOT, "debian", library + "1.symbols")) as f:
        return dict(re.findall(r"^ (kedge_\w+)@(KEDGE_[\d.]+) ", f.read(), re.M))


def exported(path):
    lines = subprocess.check_output(["nm", "-D", "--defined-only", path], text=True).splitlines()
    symbols = [line.split() for line in lines]
    return dict(name.split("@@") if "@@" in name else (name, "no version")
                for _, kind, name in symbols if kind != "A")


for library, path in LIBRARIES.items():
    names, nodes, symbols = declared(library), mapped(library), exported(path)
    rows.append((f"{library}: there are names", [] if len(names) > 30 else [str(len(names))]))
    rows.append((f"{library} exports what its headers declare",
                 [name + ": declared only" for name in sorted(names - set(symbols))] +
                 [name + ": exported only" for name in sorted(set(symbols) - names)]))
    rows.append((f"{library}: each name in its version",
                 [f"{name}: {node}, in the map {nodes.get(name)}" for name, node in sorted(symbols.items())
                  if nodes.get(name) != node]))
    listed = set(packaged(library).items()) ^ set(symbols.items())
    rows.append((f"{library}: debian/{library}1.symbols lists the same",
                 [f"{name}@{node}: in one of them only" for name, node in sorted(listed)]))

print(f"1..{len(rows)}")
for i, (what, wrong) in enumerate(rows, 1):
    print("not ok" if wrong else "ok", i, "-", what)
    for line in wrong:
        print("#", line)
sys.exit(any(wrong for _, wrong in rows))
