#!/usr/bin/env python3
"""The examples for compose and Kubernetes name what there is: volumes, services, commands. TAP.

manifests.py SOURCE-ROOT KEDGE"""
import os, re, shutil, subprocess, sys

try:
    import yaml
except ImportError:
    print("1..0 # SKIP no YAML for python here (python3-yaml)")
    sys.exit(0)
from written import check, commands, end, options_in, options_of_help, read, root, said

PLACE = os.path.join(root, "contrib", "containers")
IMAGE = "kedge:" + said("--version").split()[1]
ENTRYPOINT = re.search(r'^ENTRYPOINT \["(.*)"\]', read("contrib", "containers", "Containerfile"), re.M)[1]


def complaints(words):
    """What is wrong with a command line of kedge, without its first word."""
    command, *rest = words
    if command not in commands:
        return ["no command '%s'" % command]
    unknown = options_in(" ".join(rest)) - options_of_help(command)
    paths = [word for word in rest if "/" in word]
    return ["kedge %s has no %s" % (command, option) for option in unknown] + \
        ([] if paths else ["kedge %s: no path" % command])


def run_from(where, words):
    """A probe starts a program by its name in the image."""
    return complaints(words[1:]) if words[0] == ENTRYPOINT else ["%s: %s, not %s" % (where, words[0], ENTRYPOINT)]


def compose(text):
    wrong, services, count = [], text["services"], 0
    for name, service in services.items():
        for volume in service.get("volumes", []):
            if volume.split(":")[0] not in text["volumes"]:
                wrong.append("%s: no volume %s" % (name, volume))
        for key in "network_mode", "pid":
            other = service.get(key, "").partition("service:")[2]
            if other and other not in services:
                wrong.append("%s: %s is no service" % (name, other))
        wrong += ["%s: %s is no service" % (name, other) for other in service.get("depends_on", {})
                  if other not in services]
        if service["image"].startswith("kedge:"):
            count += 1
            wrong += [] if service["image"] == IMAGE else ["%s: %s, not %s" % (name, service["image"], IMAGE)]
            wrong += complaints(service["command"])
            if "healthcheck" in service:
                wrong += run_from(name, service["healthcheck"]["test"][1:])
    users = {service["user"] for service in services.values()}
    # Links of a socket are its owner's to make.
    wrong += [] if len(users) == 1 and "0:0" not in users else ["users: %s" % users]
    return wrong + ([] if count == 2 else ["%d services of kedge" % count])


def pod(text):
    spec, wrong, names = text["spec"], [], []
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in spec["initContainers"] + spec["containers"]:
        name = container["name"]
        names.append(name)
        wrong += ["%s: no volume %s" % (name, mount["name"]) for mount in container["volumeMounts"]
                  if mount["name"] not in volumes]
        if container["image"].startswith("kedge:"):
            wrong += [] if container["image"] == IMAGE else ["%s: %s" % (name, container["image"])]
            wrong += complaints(container["args"])
        for probe in "readinessProbe", "livenessProbe", "startupProbe":
            if probe in container:
                wrong += run_from(name, container[probe]["exec"]["command"])
    context = spec["securityContext"]
    if not spec["shareProcessNamespace"] or not context["runAsNonRoot"] or not context["runAsUser"]:
        wrong.append("a guard needs the daemon's processes, and its user")
    # A wait that comes before its daemon never ends.
    return wrong + ([] if names == ["redis", "guard", "wait", "client"] else ["containers: %s" % names])


texts = {name: yaml.safe_load(read("contrib", "containers", name)) for name in ("compose.yaml", "kubernetes.yaml")}
check("compose.yaml", compose(texts["compose.yaml"]))
check("kubernetes.yaml", pod(texts["kubernetes.yaml"]))
check("a mistake is seen", [] if complaints(["guard", "--nonsense", "/x"]) and complaints(["gaurd", "/x"])
      and not complaints(["guard", "--wait", "/x"]) else ["it is not"])
docker = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], stdout=subprocess.DEVNULL,
                                                   stderr=subprocess.DEVNULL).returncode == 0
if docker:
    done = subprocess.run(["docker", "compose", "-f", os.path.join(PLACE, "compose.yaml"), "config", "-q"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check("docker compose takes it", done.stdout.splitlines() if done.returncode else [])
else:
    check("docker compose takes it", [], skip="no docker compose here")
end()
