#!/usr/bin/env python3
"""Each sub-command has a page, and the page, --help and the code know the same options. TAP.

pages.py SOURCE-ROOT KEDGE"""
import os, re

from written import check, commands, differences, end, options_in, options_of_help, read, root, said

HELP_LINES_MAX, HELP_COLUMNS_MAX = 40, 80
SECTIONS = ["NAME", "SYNOPSIS", "EXAMPLES", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"]


def options_of_page(command):
    section = read("man", "kedge-%s.1.scd" % command).split("\n# OPTIONS\n")[1].split("\n# ")[0]
    heads = [line for line in section.split("\n") if line.startswith("*-")]
    return options_in("\n".join(heads))


def options_of_code(command):
    names = set(re.findall(r'{ "([a-z-]+)", (?:required|no)_argument', read("src", "cmd", command + ".c")))
    if command == "serve":
        names |= set(re.findall(r'{ "([a-z-]+)", assign_', read("src", "cmd", "values.c")))
        names |= set(re.findall(r'add_flag\(f, "", "([a-z-]+)"', read("src", "cmd", "settings.c")))
    return {"--" + name for name in names}


def keys_of_page(page):
    section = read("man", page).split("\n# KEYS\n")[1].split("\n# ")[0]
    heads = [line for line in section.split("\n") if line.startswith("*")]
    return set(re.findall(r"\*([a-z-]+)\*", "\n".join(heads)))


def shape(page):
    heads = re.findall(r"^# (.*)", read("man", page), re.M)
    wrong = ["no section " + name for name in SECTIONS if name not in heads]
    places = [heads.index(name) for name in SECTIONS if name in heads]
    return wrong or ([] if places == sorted(places) else ["sections in another order: %s" % heads])


def fits(text):
    lines = text.rstrip("\n").split("\n")
    wrong = ["'%s': %d columns" % (line, len(line)) for line in lines if len(line) > HELP_COLUMNS_MAX]
    return wrong + (["%d lines" % len(lines)] if len(lines) > HELP_LINES_MAX else [])


pages = set(re.findall(r"^kedge-([a-z]+)\.1\.scd$", "\n".join(os.listdir(root + "/man")), re.M))
named = set(re.findall(r"\*kedge-([a-z]+)\*\(1\)\n\t", read("man", "kedge.1.scd")))
built = set(re.findall(r"'([\w.-]+\.\d)'", read("man", "meson.build")))
written = {name[:-4] for name in os.listdir(root + "/man") if name.endswith(".scd")}
check("a page for each sub-command", differences(help=set(commands), pages=pages, overview=named))
check("every page is built", differences(built=built, written=written))
check("kedge --help fits", fits(said("--help")))
for command in commands:
    check(command + ": the same options in --help, page and code",
          differences(help=options_of_help(command), page=options_of_page(command),
                      code=options_of_code(command)))
    check(command + ": its page has all sections, examples first",
          shape("kedge-%s.1.scd" % command))
    check(command + ": --help fits a screen", fits(said(command, "--help")))
keys = set(re.findall(r'{ "([a-z-]+)", GUARD_', read("src", "cmd", "guard-config.c")))
check("guard: the keys of its file", differences(code=keys, page=keys_of_page("kedge-guard.conf.5.scd")))
keys = {o[2:] for o in options_of_code("serve")} - {"config", "check-config"}
check("serve: the keys of its file", differences(code=keys, page=keys_of_page("kedge-serve.conf.5.scd")))
end()
