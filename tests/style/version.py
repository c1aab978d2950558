#!/usr/bin/env python3
"""meson.build says which version this is; whatever else says one agrees. TAP.

version.py SOURCE-ROOT BUILD-ROOT VERSION KEDGE"""
import glob, os, re, subprocess, sys

ROOT, BUILD, VERSION, KEDGE = sys.argv[1:]
number = failed = 0


def read(*names):
    with open(os.path.join(*names)) as f:
        return f.read()


def check(what, found, wanted=VERSION):
    global number, failed
    number += 1
    failed += found != wanted
    print("%s %d - %s" % ("ok" if found == wanted else "not ok", number, what))
    if found != wanted:
        print("# says %s, where meson.build says %s" % (found, wanted))


def skip(what, why):
    global number
    number += 1
    print("ok %d - %s # SKIP %s" % (number, what, why))


def of_pages():
    """The footers of the pages that were built: the third word of their .TH."""
    feet = [re.search(r'^\.TH "[^"]*" "\d" "[^"]*" "([^"]*)"', read(page), re.M)
            for page in glob.glob(os.path.join(BUILD, "man", "*.[135]"))]
    return {foot[1] if foot else "nothing" for foot in feet}


def of_changelog(top):
    """A heading is a release or what will be one."""
    return VERSION if top == "Unreleased" else top.split(" ")[0]


header = read(ROOT, "include", "kedge", "version.h")
check("KEDGE_VERSION", re.search(r'define KEDGE_VERSION +"(.*)"', header)[1])
check("KEDGE_VERSION_MAJOR and the others", ".".join(
    re.search(r"define KEDGE_VERSION_%s (\d+)" % part, header)[1] for part in ("MAJOR", "MINOR", "MICRO")))
check("kedge --version", subprocess.check_output([KEDGE, "--version"], text=True), "kedge %s\n" % VERSION)
for library in "libkedge", "libkedge-uv":
    check("%s.pc" % library, re.search(r"^Version: (.*)$",
                                       read(BUILD, "meson-private", library + ".pc"), re.M)[1])
check("the newest heading of CHANGELOG.md",
      of_changelog(re.search(r"^## (.*)$", read(ROOT, "CHANGELOG.md"), re.M)[1]))
check("debian/changelog", re.match(r"kedge \((.*)-\d+\) ", read(ROOT, "debian", "changelog"))[1])
if of_pages():
    check("each man page", of_pages(), {"kedge " + VERSION})
else:
    skip("each man page", "no scdoc here")
nodes = [re.findall(r"^KEDGE_([\d.]+) ", read(ROOT, "src", name + ".map"), re.M)
         for name in ("libkedge", "libkedge-uv")]
check("no name in a version to come", [node for of_one in nodes for node in of_one
      if [int(n) for n in node.split(".")] > [int(n) for n in VERSION.split(".")]], [])
print("1..%d" % number)
sys.exit(1 if failed else 0)
