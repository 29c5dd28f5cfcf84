# SPDX-License-Identifier: BSD-2-Clause
"""TCP over paths of 100 Mbit/s and 1 Gbit/s: what every stack fills, at what cost."""
from types import SimpleNamespace

from bench_net import Failure
from bench_path import STACKS, Condition, Path
from bench_proc import children, cpu_ns
from eval_section import Section

RATES = {"100M": (100e6, 0.2), "1G": (1000e6, 0.2)}  # bit/s, ms there and back
FULL_FRAME = 1448 / 1538  # payload of what a frame of 1500 bytes takes on an Ethernet


class Paths(Section):
    name = "paths"
    title = "Paths of 100 Mbit/s and 1 Gbit/s"
    tools = ("ss",)
    programs = ("bulkhead-wire",)
    serves = False
    most = 3
    most_quick = 1
    asked = ("Whether each stack fills a path of 100 Mbit/s and of 1 Gbit/s (an unlimited one is the "
             "section on bulk), and what processor time that takes it: Siemon's comparison, whose gap "
             "widens with the rate.")
    how = ("<code>bulkhead-wire</code> between the stack and the peer, %.1f ms there and back, a queue "
           "of 128 KiB; offloads off, CUBIC. The wire is a process too and takes part of the "
           "machine. <i>Processor</i>: the stack's processes, in %% of one, while it sends; of the "
           "kernel this says nothing, its program is all there is to see." % RATES["1G"][1])

    def __init__(self):
        self.path = None

    def begin(self, lab):
        opt = SimpleNamespace(bindir=lab.opt.bindir, stacks=list(STACKS), sndbuf=4 << 20)
        self.path = Path(opt)
        lab.others.append(self.path)
        self.path.up()
        for text in self.path.learn(["cubic"]):
            lab.remark("paths: " + text)

    def steps(self, lab):
        return [(rate, s, lambda rate=rate, s=s: self.measure(lab, rate, s)) for rate in RATES
                for s in STACKS]

    def measure(self, lab, rate, stack):
        bits, rtt = RATES[rate]
        daemon = self.path.daemon.get(stack)
        pids = children(daemon.pid) if daemon else []
        used = cpu_ns(pids)
        r = self.path.transfer(stack, "cubic", Condition(bits, rtt), 1, lab.pick(2.0, 0.5, 0.2))
        if r["mbit_per_second"] is None or r["remark"]:
            raise Failure(r["remark"] or "nothing")
        out = {"mbit_per_second": r["mbit_per_second"],
               "of_the_path": r["mbit_per_second"] * 1e6 / bits / FULL_FRAME}
        if daemon:
            out["cpu_percent"] = (cpu_ns(pids) - used) / 1e7 / r["seconds"]
        return out

    def render(self, page):
        tests = self.introduced(page)
        if not tests:
            return
        page.table(self.name, [(t, k, "%s: %s" % (t, label), unit) for t in tests
                               for k, label, unit in
                               (("mbit_per_second", "payload", "Mbit/s"),
                                ("of_the_path", "part of what fits", ""),
                                ("cpu_percent", "processor", "%"))],
                   page.data.variants(self.name))


class Placement(Section):
    name = "placement"
    title = "Protocol work on the application's processor and on another"
    asked = ("What is gained when the stack does not work where the application does (Van Jacobson, "
             "by Faulkner and others: 27 % more utilisation on another core).")
    how = ("Bulk as before. <i>Same</i>: stack and program on one processor, the peer's program on "
           "the other. <i>Other</i>: the program on one, the stack on the other, which it shares "
           "with the peer's program: there are only two. The kernel works where a program or an "
           "interrupt calls it, so it has only the first, with everything else as it falls.")
    VARIANTS = ("factored", "monolithic", "kernel")
    most_quick = 1

    def lanes(self):
        return self.VARIANTS

    def steps(self, lab):
        if not lab.two:
            return []
        return [("%s/%s" % (way, where), v,
                 lambda way=way, where=where, v=v: self.measure(lab, v, way, where))
                for way in ("receive", "send") for where in ("same", "other")
                for v in self.VARIANTS if lab.there_is(v) and (where == "same" or v != "kernel")]

    def measure(self, lab, lane, way, where):
        domains = lab.stack_pids(lane)
        to_stack = way == "receive"
        receiver = lab.server[lane, "stack" if to_stack else "peer", "bulk"]
        stack_cpu = lab.here if where == "same" else lab.there
        lab.place(domains, {stack_cpu})
        lab.place([receiver.pid], {lab.here if to_stack else lab.there})
        try:
            return lab.bulk(lane, to_stack, lab.pick(512 << 20, 64 << 20, 4 << 20),
                            before=lab.on(lab.there if to_stack else lab.here))
        finally:
            lab.unplace()

    def render(self, page):
        tests = self.introduced(page)
        if not tests:
            return
        titles = {"receive": "to the stack", "send": "from the stack"}
        page.table(self.name, [(t, k, "%s, %s: %s" % (titles[t.split("/")[0]], t.split("/")[1],
                                                      label), unit) for t in tests
                               for k, label, unit in
                               (("mbit_per_second", "throughput", "Mbit/s"),
                                ("cpu_s_per_gib", "processes", "s/GiB"))], self.VARIANTS)
        rows = []
        for way in ("receive", "send"):
            for v in ("factored", "monolithic"):
                rows.append(["%s, %s" % (v, titles[way])] + [
                    page.ratio(page.data.ratio((self.name, way + "/other", v, key),
                                               (self.name, way + "/same", v, key)))
                    for key in ("mbit_per_second", "cpu_s_per_gib")])
        page.plain(["other / same", "throughput", "processor time a GiB"], rows)


class Ttcp16(Section):
    name = "ttcp"
    title = "ttcp, 16 MiB from memory to memory"
    asked = ("Maeda and Bershad's table: 16 MB over TCP, in KB/s (there: 1070 in the kernel, 740 by a "
             "server, 1088 by a library). Their protolat table is the section on round trips, as "
             "the scheduler places them.")
    how = ("The same transfer as in the section on bulk, but so short that the beginning of the "
           "connection counts.")
    VARIANTS = ("factored", "monolithic", "kernel", "kernel-on")

    def lanes(self):
        return self.VARIANTS

    def steps(self, lab):
        return [(way, v, lambda way=way, v=v: self.measure(lab, v, way))
                for way in ("receive", "send") for v in self.VARIANTS if lab.there_is(v)]

    @staticmethod
    def measure(lab, lane, way):
        r = lab.bulk(lane, way == "receive", lab.pick(16 << 20, 16 << 20, 1 << 20))
        return {"kb_per_second": r["mbit_per_second"] * 1e3 / 8}

    def render(self, page):
        if not page.data.tests(self.name):
            return
        page.text(self.how)
        page.table(self.name, [("receive", "kb_per_second", "to the stack", "KB/s"),
                               ("send", "kb_per_second", "from the stack", "KB/s")],
                   page.data.variants(self.name))
