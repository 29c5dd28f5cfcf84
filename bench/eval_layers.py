# SPDX-License-Identifier: BSD-2-Clause
"""Where the time of a round trip goes, by traced twins of the domains; what a packet costs in one
to four domains, in ticks and in instructions."""
import json
import os
import re
import subprocess

from bench_net import Failure
from bench_proc import children, process_name
from bench_stacks import ECHO_PORT
from eval_section import Section

WAY = ("nic", "ip", "tcp", "mono")
MODES = {"one": "all on one processor", "free": "as the scheduler places them"}


class Layers(Section):
    name = "layers"
    title = "A round trip by layer and by crossing"
    programs = ("bulkhead-layers", "bench/traced/bulkheadd")
    most = 3
    most_quick = 1
    asked = ("Where the time of a round trip goes: in which domain, and in which passage from one to "
             "the next (Maeda and Bershad's Table 4).")
    how = ("Traced twins of the domains note the time-stamp counter before and after each turn in "
           "which something was done; <code>bulkhead-layers</code> puts the notes of each of its "
           "round trips in order (TCP, 100 bytes). <i>Work</i> is a domain's turn, the call that "
           "wakes the next one included; where both share a processor it may hold what the next one "
           "does at once. Medians of parts do not add up to the median of the whole. What tracing "
           "costs is in the last lines: the same round trips on the ordinary domains.")

    def lanes(self):
        return [v + t for v in ("factored", "monolithic") for t in ("", "-traced")]

    def steps(self, lab):
        return [(mode, v, lambda v=v, m=mode: self.measure(lab, v, m)) for mode in MODES
                for v in ("factored", "monolithic") if lab.there_is(v + "-traced")]

    def measure(self, lab, variant, mode):
        out = {}
        count = lab.pick(2000, 1000, 200)
        for lane in (variant + "-traced", variant):
            server = lab.server[lane, "stack", "echo"]
            before = ()
            if mode == "one":
                lab.place(lab.stack_pids(lane, server), {lab.here})
                before = lab.on(lab.here)
            try:
                if lane != variant:
                    out.update(self.parts(lab, lane, count, before))
                key = "ordinary" if lane == variant else "traced"
                out["~ %s: whole" % key] = lab.echo(lane, "tcp", 100, count, before)["p50_us"]
            finally:
                lab.unplace()
        return out

    @staticmethod
    def parts(lab, lane, count, before):
        pid = {process_name(p).replace("bulkhead-", ""): p
               for p in children(lab.daemon[lane].pid)}
        args = [a for d in WAY if d in pid for a in ("--domain", "%s=%d" % (d, pid[d]))]
        r = lab.run(lab.peer, lane, *before, lab.tool("bulkhead-layers"), "--connect",
                    lab.addr(lane), "--port", str(ECHO_PORT), "--size", "100", "--count",
                    str(count), "--json", *args)
        out = {}
        for i, p in enumerate(r["parts"]):
            what = "work: %s, %s" % (p["in"], p["way"]) if p["part"] == "work" else \
                "%s: %s to %s" % (p["part"], p["from"], p["to"])
            out["%02d %s" % (i, what)] = p["median_us"]
        return out

    def render(self, page):
        if not page.data.tests(self.name):
            return
        page.text(self.how)
        for mode in page.data.tests(self.name):
            for v in page.data.variants(self.name, mode):
                page.head("%s, %s" % (v, MODES[mode]))
                keys = sorted(page.data.index[self.name, mode, v])
                page.plain(["part", "µs"], [[k[2:].strip() if k[0] == "~" else k[3:], page.spread(
                    page.data.stat(self.name, mode, v, k))] for k in keys])


class Ticks(Section):
    name = "ticks"
    title = "A packet in one to four domains"
    programs = ("bulkhead-ticks",)
    serves = False
    most = 3
    most_quick = 1
    asked = ("What a packet costs with one, two, three and four domains, at saturation (batches of 64) "
             "and at low load (one at a time), in ticks of the time-stamp counter and in "
             "instructions, as seL4's sDDF tells its domains.")
    how = ("<code>bulkhead-ticks</code>: the domains' own rings and turns in one process, in virtual "
           "time, called in turn: 1 by calls; 2 with the rings to nic; 3 with nic, ip and tcp apart; "
           "4 with udp too. So no kernel, no wake-up, and no cache of another processor is in it "
           "(the section on the running stack has these). Instructions are callgrind's, counted once: "
           "the difference of two lengths of transfer.")

    def __init__(self):
        self.counted = set()

    def steps(self, lab):
        return [("%s/%d" % (side, batch), "%d" % n,
                 lambda n=n, side=side, batch=batch: self.measure(lab, n, side, batch))
                for side in ("receive", "send") for batch in (64, 1)
                for n in lab.pick((1, 2, 3, 4), (1, 2, 3, 4), (1, 3))]

    @staticmethod
    def run(lab, n, side, batch, mib, *before):
        p = subprocess.run((*before, lab.tool("bulkhead-ticks"), "--domains", str(n), "--side", side,
                            "--batch", str(batch), "--mib", str(mib)), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        if p.returncode:
            raise Failure("bulkhead-ticks: " + p.stderr.strip()[-300:])
        return json.loads(p.stdout)

    def measure(self, lab, n, side, batch):
        r = self.run(lab, n, side, batch, lab.pick(64, 16, 1))
        out = {"ticks": r["ticks_a_packet"], "packets_a_turn": r["packets_a_turn"]}
        key = (n, side, batch)
        if key not in self.counted and lab.have_valgrind and not lab.quick:
            self.counted.add(key)
            (i0, p0), (i1, p1) = (self.count(lab, *key, mib) for mib in (1, 2))
            out["instructions"] = (i1 - i0) / (p1 - p0)
        return out

    def count(self, lab, n, side, batch, mib):
        out = os.path.join(lab.work, "callgrind.out")
        r = self.run(lab, n, side, batch, mib, "valgrind", "-q", "--tool=callgrind",
                     "--toggle-collect=ticks_measured", "--callgrind-out-file=" + out)
        with open(out, encoding="utf-8") as f:
            total = re.search(r"^(?:totals|summary): (\d+)", f.read(), re.M)
        if not total:
            raise Failure("callgrind wrote no total")
        return int(total.group(1)), r["packets"]

    def render(self, page):
        tests = page.data.tests(self.name)
        if not tests:
            return
        page.text(self.how)
        variants = sorted(page.data.variants(self.name))
        rows = [(t, key, "%s, batches of %s: %s" % (*t.split("/"), label), "")
                for t in tests for key, label in (("ticks", "ticks"),
                                                  ("instructions", "instructions"),
                                                  ("packets_a_turn", "packets a turn"))]
        page.table(self.name, rows, variants, (("2", "1"), ("3", "1"), ("4", "1")))
