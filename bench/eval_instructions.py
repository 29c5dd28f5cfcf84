# SPDX-License-Identifier: BSD-2-Clause
"""Instructions a segment, by callgrind: there is no hardware counter on many machines."""
import json
import os
import re
import subprocess

from bench_net import Failure
from eval_section import Section

PARTS = (("lib/tcp", "tcp"), ("lib/ip", "ip"), ("lib/udp", "udp"), ("lib/session", "sessions"),
         ("lib/wire", "headers, checksums with the copy"), ("lib/base", "frames, timers, lists"),
         ("ipc", "rings, bells, handles"), ("domains", "joining them, serving clients"),
         ("lib/client", "client library"), ("libc", "libc: memcpy and such"),
         ("test", "the simulated wire and program"))
WHERE = re.compile(r"(?:^|/)(lib/(?:base|wire|session|ip|tcp|udp|client)|ipc|domains)/[^/]+$")


def part(path):
    found = WHERE.search(path)
    return found.group(1) if found else "test" if "tests/" in path else "libc"


def by_part(lines):
    """Instructions in each part of the source, from a callgrind.out file: each where it was
    written, also if it was inlined elsewhere (but a system header's where it was inlined)."""
    names, total = {}, {}
    function_in = now = ""
    skip = False

    def name(text):
        number, _, rest = text.strip().partition(" ")
        if rest:
            names[number] = rest
        return names.get(number, number)
    for line in lines:
        key, eq, rest = line.partition("=")
        if eq and key in ("fl", "fi", "fe", "cfi", "cfl"):
            path = name(rest)
            if key == "fl":
                function_in = path
            if key in ("fl", "fi", "fe"):
                now = path
        elif eq and key == "calls":
            skip = True  # the next line is what the callee costs
        elif line[:1] in "+-*" or line[:1].isdigit():
            words = line.split()
            if not skip and len(words) == 2:
                at = part(function_in if now.startswith("/usr/") else now)
                total[at] = total.get(at, 0) + int(words[1])
            skip = False
    return total


class Instructions(Section):
    name = "instructions"
    title = "Instructions a segment"
    tools = ("valgrind",)
    programs = ("tests/sim/count",)
    serves = False
    most = 1
    most_quick = 1
    asked = "How many instructions a segment takes in each part, from one end to the other."
    how = ("A transfer between two complete stacks in one process and in virtual time "
           "(<code>tests/sim/count</code>) under <code>valgrind --tool=callgrind</code>: the "
           "difference of a long and a short one, for each data segment, its sending, its receipt "
           "and its share of the acknowledgments together. There is one domain at each end, so no "
           "ring is in it: what a ring adds is in the section on stages. An instruction is counted "
           "where it was written, also if it was inlined elsewhere. Checksums and copies are "
           "vector instructions, so they are fewer here than in time.")

    def steps(self, lab):
        return [("bulk", "both ends", lambda: self.measure(lab))]

    def count(self, lab, n_bytes):
        out = os.path.join(lab.work, "callgrind.out")
        p = subprocess.run(("valgrind", "--tool=callgrind", "--callgrind-out-file=" + out,
                            lab.tool("tests/sim/count"), str(n_bytes)), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=120)
        if p.returncode:
            raise Failure("callgrind: " + p.stderr.strip()[-300:])
        with open(out, encoding="utf-8") as f:
            return by_part(f), json.loads(p.stdout)

    def measure(self, lab):
        short, n0 = self.count(lab, 1 << 20)
        long_, n1 = self.count(lab, (1 << 20) + lab.pick(8 << 20, 4 << 20, 1 << 20))
        segments = n1["data_segments"] - n0["data_segments"]
        out = {k: (long_.get(k, 0) - short.get(k, 0)) / segments for k, _ in PARTS}
        out["all"] = sum(v for k, v in out.items() if k != "test")
        out["acknowledgments"] = (n1["acknowledgments"] - n0["acknowledgments"]) / segments
        return out

    def render(self, page):
        if not page.data.tests(self.name):
            return
        page.text(self.how)
        rows = [("bulk", k, label, "") for k, label in PARTS if k != "test"]
        page.table(self.name, rows + [("bulk", "all", "together", ""),
                                      ("bulk", "test", PARTS[-1][1] + ", not in the sum", ""),
                                      ("bulk", "acknowledgments", "acknowledgments a segment", "")],
                   page.data.variants(self.name), ())
