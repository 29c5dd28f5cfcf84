# SPDX-License-Identifier: BSD-2-Clause
"""64-byte packets a second through a row of stages that do nothing: what a boundary costs."""
import json
import subprocess
import time

from bench_net import Failure
from eval_packets import addresses
from eval_section import NAMES, Section

VARIANTS = {"separate": "a process for each stage", "one": "called in one process, behind rings",
            "none": "called by the feeder"}
PORT = 5006


class Stages(Section):
    name = "stages"
    title = "1 to 10 stages"
    programs = ("bulkhead-stages",)
    serves = False
    most = 2
    most_quick = 1
    asked = ("LANA's table: 64-byte packets a second through functional blocks (there: 0.70 to 0.90 "
             "million in threads, 1.30 in the softirq, 1.38 by Linux; through ten blocks 1.18).")
    how = ("<code>bulkhead-stages</code>: a feeder, the stages, and Bulkhead's rings and bells between "
           "them; a stage passes on a descriptor of 8 bytes and does nothing else. <i>Alone</i>: the "
           "same 1024 packets go round. <i>From AF_XDP</i>: 64-byte frames from a generator at "
           "the peer.")

    def lanes(self):
        return ("bare",)

    def steps(self, lab):
        out = []
        for n in lab.pick(range(1, 11), (1, 10), (1, 2)):
            out += [("alone/%d" % n, v, lambda n=n, v=v: self.alone(lab, n, v)) for v in VARIANTS]
        if lab.have("bulkhead-pps"):
            for n in lab.pick((1, 4, 7, 10), (), (1,)):
                out += [("AF_XDP/%d" % n, v, lambda n=n, v=v: self.wire(lab, n, v))
                        for v in VARIANTS]
        return out

    @staticmethod
    def command(lab, n, variant, seconds):
        return (lab.tool("bulkhead-stages"), "--stages", str(n), "--processes", variant,
                "--seconds", "%g" % seconds, "--warmup", "0.1", "--json")

    @staticmethod
    def figures(r):
        ns = r["stage_cpu_ns_per_packet"]
        return {"packets_per_second": r["packets_per_second"], "batch": r["mean_batch"],
                "bells_per_packet": r["bells_per_packet"],
                "ns_a_stage": sum(ns) / len(ns) if ns else None}

    def alone(self, lab, n, variant):
        return self.figures(lab.run(lab.ns, "bare", *self.command(
            lab, n, variant, lab.pick(0.4, 0.3, 0.1)), timeout=60))

    def wire(self, lab, n, variant):
        seconds = lab.pick(0.5, 0.3, 0.2)
        address, _ = addresses(lab, "bare")
        gen = None
        p = lab.start(lab.ns, "bare", *self.command(lab, n, variant, seconds), "--interface",
                      lab.dev("bare"), "--address", address, stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(0.2)
            gen = lab.start(lab.peer, "bare", lab.tool("bulkhead-pps"), "--generate",
                            lab.dev("bare"), "--to", address, "--port", str(PORT), "--seconds",
                            "%g" % (seconds + 0.8), "--json", stdout=subprocess.PIPE, text=True)
            out, _ = p.communicate(timeout=30)
            gen.communicate(timeout=30)
            if p.returncode:
                raise Failure("bulkhead-stages: %s; the generator: %s" % (lab.said(p),
                                                                         lab.said(gen)))
            return self.figures(json.loads(out))
        finally:
            lab.forget(*(x for x in (p, gen) if x))

    def render(self, page):
        tests = page.data.tests(self.name)
        if not tests:
            return
        page.text(self.how)
        NAMES.update(VARIANTS)
        for kind, title in (("alone", "Alone"), ("AF_XDP", "From AF_XDP")):
            mine = sorted((t for t in tests if t.startswith(kind)),
                          key=lambda t: int(t.split("/")[1]))
            if not mine:
                continue
            xs = [int(t.split("/")[1]) for t in mine]
            for key, label, unit in (("packets_per_second", "packets a second", "1/s"),
                                     ("ns_a_stage", "processor time of a stage", "ns a packet")):
                page.lines("%s: %s" % (title, label), [
                    (v, xs, [page.data.stat(self.name, t, v, key) for t in mine])
                    for v in VARIANTS], "stages", unit)
            page.table(self.name, [(t, "packets_per_second", "%s, %s stages" %
                                    (title, t.split("/")[1]), "1/s") for t in mine],
                       list(VARIANTS), (("separate", "one"), ("separate", "none")))
