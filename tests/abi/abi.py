#!/usr/bin/env python3
"""Does a program that was built against the last release run with these libraries? TAP.

    abi.py SOURCE-ROOT            compare the public headers with the newest record; test the rules
    abi.py SOURCE-ROOT --record   write VERSION.abi, the record of a release

A record is what gcc makes of the public headers, for 64-bit machines: prototypes of functions,
values of enums, members of structs with their offsets and types. It is read out of the debugging
information of a file that includes every header, so that what is opaque to a program is opaque
here. Names may come. What goes, moves or changes its type breaks programs, but for a struct
whose first member says its size, which may grow at its end."""
import glob, os, re, shutil, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(sys.argv[1])
SIZED = "0 size_t size"


class Entry:
    """One DIE: a type, a member, a parameter."""

    def __init__(self, depth, tag):
        self.depth, self.tag, self.says, self.children = depth, tag, {}, []


def entries(text):
    """{offset: Entry} of readelf's words; children hang on the entry before them."""
    found, line_of_parents = {}, []
    for line in text.splitlines():
        if m := re.match(r" <(\d+)><([0-9a-f]+)>: Abbrev Number: \d+ \(DW_TAG_(\w+)\)", line):
            entry = Entry(int(m[1]), m[3])
            del line_of_parents[entry.depth:]
            if line_of_parents:
                line_of_parents[-1].children.append(entry)
            line_of_parents.append(entry)
            found[m[2]] = entry
        elif m := re.match(r" +<[0-9a-f]+> +DW_AT_(\w+) *: (.*)", line):
            entry.says[m[1]] = re.sub(r"^\(.*?\): ", "", m[2]).strip()
    return found


def type_name(all_of, entry):
    """As C would write it, roughly; of what a name stands for only the name counts."""
    to = entry.says.get("type")
    inner = all_of[to.strip("<>").removeprefix("0x")] if to else None
    kind, name = entry.tag, entry.says.get("name", "(no name)")
    words = type_name(all_of, inner) if inner else "void"
    if kind == "pointer_type":
        return words + "*"
    if kind == "const_type":
        return words + " const"
    if kind == "array_type":
        return "%s[%d]" % (words, int(entry.children[0].says.get("upper_bound", "-1"), 0) + 1)
    if kind == "subroutine_type":
        return "%s(%s)" % (words, parameters(all_of, entry))
    prefix = {"structure_type": "struct ", "enumeration_type": "enum ", "union_type": "union "}
    return prefix.get(kind, "") + name


def described(all_of, entry):
    return type_name(all_of, all_of[entry.says["type"].strip("<>").removeprefix("0x")]) \
        if "type" in entry.says else "void"


def parameters(all_of, entry):
    return ", ".join("..." if c.tag == "unspecified_parameters" else described(all_of, c)
                     for c in entry.children if c.tag in ("formal_parameter", "unspecified_parameters"))


def record(all_of):
    """{what: [line...]}, what being "function NAME", "typedef NAME" and so on."""
    result = {}
    for entry in all_of.values():
        name = entry.says.get("name", "")
        if entry.depth != 1 or not name.startswith("kedge_"):
            continue
        if entry.tag == "subprogram" and "external" in entry.says:
            result["function " + name] = ["%s (%s)" % (described(all_of, entry), parameters(all_of, entry))]
        elif entry.tag == "typedef":
            result["typedef " + name] = [described(all_of, entry)]
        elif entry.tag == "enumeration_type":
            result["enum " + name] = ["%s = %s" % (c.says["name"], c.says["const_value"])
                                      for c in entry.children]
        elif entry.tag == "structure_type" and "declaration" not in entry.says:
            result["struct " + name] = ["%s %s %s" % (c.says["data_member_location"], described(all_of, c),
                                                      c.says["name"])
                                        for c in entry.children] + ["bytes " + str(int(entry.says["byte_size"], 0))]
    return result


def of_headers():
    headers = sorted(glob.glob(os.path.join(ROOT, "include", "kedge", "*.h")))
    names = []
    for header in headers:
        with open(header) as f:
            names += re.findall(r"^KEDGE_PUBLIC [^;(]*?\b(kedge_\w+)\(", f.read(), re.M)
    text = "".join("#include <kedge/%s>\n" % os.path.basename(header) for header in headers)
    text += "const void *const all[] = { %s };\n" % ", ".join("(const void *)" + name for name in names)
    uv = subprocess.check_output(["pkg-config", "--cflags", "libuv"], text=True).split()
    with tempfile.TemporaryDirectory(prefix="kedge abi-") as top:
        made = os.path.join(top, "all.o")
        subprocess.run(["gcc", "-x", "c", "-g", "-gdwarf-4", "-fno-eliminate-unused-debug-types",
                        "-I", os.path.join(ROOT, "include"), *uv, "-c", "-o", made, "-"],
                       input=text, text=True, check=True)
        return record(entries(subprocess.check_output(["readelf", "--debug-dump=info", made], text=True,
                                                      env={**os.environ, "LC_ALL": "C"})))


def written(rec):
    return "\n".join("%s\n%s" % (what, "".join("\t%s\n" % line for line in rec[what])) for what in sorted(rec))


def read(text):
    parts = [part.split("\n\t") for part in text.strip().split("\n\n")]
    return {head: lines for head, *lines in parts}


def breaks(old, new):
    """What a program built against @old would trip over."""
    wrong = []
    for what, lines in old.items():
        now = new.get(what)
        if now is None:
            wrong.append(what + ": gone")
            continue
        if what.startswith("struct ") and lines[0] == SIZED and now[:len(lines) - 1] == lines[:-1]:
            continue
        # How many there are is no value that means something; more may come before it.
        lines = [line for line in lines if "_MAX_ = " not in line]
        wrong += ["%s: was '%s'" % (what, line) for line in lines if line not in now]
        if what.startswith("struct ") and len(now) != len(lines):
            wrong.append(what + ": has other members, and does not say its size")
    return wrong


OLD = """function kedge_f
\tint (struct kedge_s const*, enum kedge_e)

enum kedge_e
\tKEDGE_A = 0
\tKEDGE_E_MAX_ = 1

struct kedge_s
\t0 size_t size
\t8 int a
\t12 int b
\tbytes 16

struct kedge_span
\t0 char const* data
\t8 size_t size
\tbytes 16
"""
# A change of OLD, and whether it breaks programs.
RULES = [
    ("nothing", "", "", False),
    ("a function more", "\n\nenum", "\n\nfunction kedge_g\n\tvoid ()\n\nenum", False),
    ("a value more", "\tKEDGE_E_MAX_ = 1", "\tKEDGE_B = 1\n\tKEDGE_E_MAX_ = 2", False),
    ("a struct with a size grows", "\tbytes 16\n\nstruct", "\t16 int c\n\tbytes 24\n\nstruct", False),
    ("a gap at its end is filled", "\t12 int b\n", "\t12 int b\n\t16 char c\n", False),
    ("a function goes", "function kedge_f\n\tint (struct kedge_s const*, enum kedge_e)\n\n", "", True),
    ("a parameter changes", "enum kedge_e)", "int)", True),
    ("a value changes", "KEDGE_A = 0", "KEDGE_A = 1", True),
    ("a value goes", "\tKEDGE_A = 0\n", "", True),
    ("a member's type changes", "8 int a", "8 unsigned int a", True),
    ("members change places", "8 int a\n\t12 int b", "8 int b\n\t12 int a", True),
    ("a struct without a size grows", "8 size_t size\n\tbytes 16", "8 size_t size\n\t16 int n\n\tbytes 24", True),
    ("a struct with a size shrinks", "\t12 int b\n", "", True),
]


def main():
    if len(sys.argv) > 2:
        with open(os.path.join(ROOT, "meson.build")) as f:
            version = re.search(r"^  version: '(.*)'", f.read(), re.M)[1]
        with open(os.path.join(HERE, version + ".abi"), "w") as f:
            f.write(written(of_headers()))
        return
    if not shutil.which("gcc") or not shutil.which("readelf") or struct.calcsize("P") != 8:
        print("1..0 # SKIP needs gcc, readelf and 64 bits")
        return
    records = sorted(glob.glob(os.path.join(HERE, "*.abi")),
                     key=lambda name: [int(n) for n in os.path.basename(name)[:-4].split(".")])
    with open(records[-1]) as f:
        last = read(f.read())
    now = of_headers()
    rows = [("programs built against %s run" % os.path.basename(records[-1])[:-4], breaks(last, now)),
            ("the record can be read back", [] if read(written(now)) == now else ["it differs"]),
            ("the record has functions, enums and structs",
             [kind for kind in ("function ", "enum ", "struct ") if not any(w.startswith(kind) for w in last)])]
    for what, old, new, bad in RULES:
        changed = OLD.replace(old, new, 1) if old else OLD
        found = breaks(read(OLD), read(changed))
        same = changed == OLD and old != ""
        rows.append(("rule: " + what, found or ["it should break"] if bool(found) != bad or same else []))
    print("1..%d" % len(rows))
    for i, (what, wrong) in enumerate(rows, 1):
        print("%s %d - %s" % ("not ok" if wrong else "ok", i, what))
        for line in wrong:
            print("#", line)
    if rows[0][1]:
        print("# Not released yet? Then `make abi RECORD=1` writes the record again. Else the sonames change.")
    for what in sorted(set(now) - set(last)):
        print("# new:", what)
    sys.exit(any(wrong for _, wrong in rows))


main()
