#!/usr/bin/env python3
"""The shells complete every sub-command, option and method that there is, and no other. TAP.

completion.py SOURCE-ROOT KEDGE

bash and fish are asked, as they would be by a key; zsh's function is read."""
import os, re, shutil, subprocess, tempfile

from written import COMMON, check, commands, differences, end, kedge, options_of_help, read, root

HERE = os.path.join(root, "contrib", "completion")
ASK_BASH = """compopt() { :; }
source "$0"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_kedge
((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
true"""
ASK_FISH = 'source $argv[1]; complete -C "$argv[2]"'
SERVERS = {"all", "gateway", "assistant"}


def run(args, home):
    path = os.path.dirname(kedge) + os.pathsep + os.environ["PATH"]
    env = {**os.environ, "PATH": path, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
                          cwd=home, stdin=subprocess.DEVNULL, timeout=100)
    return {line.split("\t")[0] for line in done.stdout.split("\n") if line}


def ask_bash(home, *words):
    return run(["bash", "-c", ASK_BASH, HERE + "/kedge.bash", "kedge", *words], home)


def ask_fish(home, *words):
    return run(["fish", "-c", ASK_FISH, HERE + "/kedge.fish", " ".join(["kedge", *words])], home)


def methods(service):
    table = read("src", "services", service, service + ".c")
    return set(re.findall(r'^\t{ "([a-z_]+)", ', table, re.M))


def compare(shell, ask, home):
    """Everything that can be compared, asked from one shell."""
    check(shell + ": sub-commands", differences(help={*commands, "help"}, completed={
        word for word in ask(home, "") if not word.startswith("-")}))
    check(shell + ": what help is about", differences(help=set(commands), completed={
        word for word in ask(home, "help", "") if not word.startswith("-")}))
    check(shell + ": help is about one", ["%s behind a command" % word for word in
                                          ask(home, "help", "guard", "") if not word.startswith("-")])
    for command in commands:
        check("%s: options of %s" % (shell, command), differences(
            help=options_of_help(command), completed=ask(home, command, "--") - COMMON))
    check(shell + ": servers", differences(known=SERVERS, completed=ask(home, "serve", "")))
    endpoints = {"gateway", "assistant", "assistant-skill"}
    check(shell + ": endpoints", differences(known=endpoints,
                                             completed=ask(home, "call", "") & endpoints))
    for service in sorted(SERVERS - {"all"}):
        check("%s: methods of %s" % (shell, service), differences(
            known=methods(service), completed=ask(home, "call", service, "")))
        check("%s: methods at a path of %s" % (shell, service), differences(
            known=methods(service), completed=ask(home, "call", "--timeout", "3",
                                                  "/run/%s.sock" % service, "")))
    check(shell + ": words behind an option", differences(
        known={"debug", "info", "warning", "error"}, completed=ask(home, "guard", "--log-level", "")))
    open(home + "/x.sock", "w").close()
    check(shell + ": paths", differences(known={"x.sock"}, completed=ask(home, "check", "x")))


def shell_or_skip(shell, ask):
    if not shutil.which(shell):
        return check(shell + ": completes", [], skip="no %s here" % shell)
    with tempfile.TemporaryDirectory(prefix="kedge-completion-") as home:
        compare(shell, ask, home)


def zsh():
    text = read("contrib", "completion", "_kedge")
    rows = {name: set(re.findall(r"--[a-z][a-z-]+", row)) - COMMON
            for name, row in re.findall(r"^\t([a-z]+)\)\n(\t\t_arguments .*?)\n\t\t;;", text, re.M | re.S)}
    described = set(re.findall(r"^\t\t'([a-z]+):", text, re.M))
    check("zsh: sub-commands", differences(help=set(commands), rows=set(rows),
                                            described=described - {"help"}))
    for command in commands:
        check("zsh: options of " + command, differences(
            help=options_of_help(command), completed=rows.get(command, set())))
    for service in sorted(SERVERS - {"all"}):
        row = re.search(r"^\t%s\)\n\t\tmethods=\((.*?)\)" % service, text, re.M | re.S)
        check("zsh: methods of " + service, differences(
            known=methods(service), completed=set(row[1].split()) if row else set()))
    if not shutil.which("zsh"):
        return check("zsh: reads it", [], skip="no zsh here")
    done = subprocess.run(["zsh", "-n", HERE + "/_kedge"], stderr=subprocess.PIPE, text=True)
    check("zsh: reads it", done.stderr.splitlines() or ["fails"] * (done.returncode != 0))


with tempfile.TemporaryDirectory(prefix="kedge-completion-") as directory:
    check("bash: options of one server once it is named", differences(
        known={"--assistant-mode", "--assistant-message-bytes-max"},
        completed=ask_bash(directory, "serve", "assistant", "--assistant-m")))
    check("bash: a value behind '='", differences(
        known={"json"}, completed=ask_bash(directory, "serve", "--log-format", "=", "j")))
    check("bash: the value of a server's own option", differences(
        known={"0660", "0600", "0666"}, completed=ask_bash(directory, "serve", "--gateway-mode", "")))
shell_or_skip("bash", ask_bash)
shell_or_skip("fish", ask_fish)
zsh()
end()
