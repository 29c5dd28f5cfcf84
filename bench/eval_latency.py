# SPDX-License-Identifier: BSD-2-Clause
"""Round trips, with everything on one processor and split over two, sleeping and spinning."""
import time

from bench_net import Failure
from bench_proc import children
from bench_stacks import ECHO_PORT
from eval_lab import SPIN
from eval_section import Section

SIZES = {"tcp": (1, 100, 512, 1024, 1460), "udp": (1, 100, 512, 1024, 1472)}
VARIANTS = ("factored", "monolithic", "kernel", "kernel-on")
EXIT_BUSY = 11  # lib/base/exit_codes.h
RAW_SPIN = ("--spin", "20")  # as long as a domain does by default
# Without a stack: the variants' options.
RAW = {"raw": RAW_SPIN, "raw-sleep": (), "raw-hop": ("--hop", *RAW_SPIN),
       "raw-hop-sleep": ("--hop",)}
MODES = {"one": "all on one processor", "free": "as the scheduler places them",
         "sleep": "split over two, sleeping", "spin": "split over two, spinning"}


class Latency(Section):
    name = "latency"
    title = "Round trips"
    asked = ("How long a message takes there and back, one at a time, and what is left of it when "
             "nobody has to be woken on another processor.")
    how = ("<code>bulkhead-protolat</code> from the kernel's side to an echo server on the stack "
           "under test; the medians of a run's messages. <i>All on one processor</i>: the stack, "
           "both programs and with them the kernel's own work are bound to one. <i>Split</i>: the "
           "stack and its program on one, the peer on the other. <i>Sleeping</i>: nobody looks "
           "for more before it sleeps (<code>spin_us = 0</code>, <code>BULKHEAD_SPIN_US=0</code>); "
           "<i>spinning</i>: everybody does, the programs on either stack included, giving way "
           "to others on its processor at each look. In the other two Bulkhead has its defaults. "
           "<i>Raw AF_XDP</i> has no stack: a datagram of 1 byte, answered where the frame "
           "arrives. <i>And a program in a process of its own</i>: its payload goes to a second "
           "process and back, through shared memory, with the domains' bells. They look for more "
           "for 20 µs, giving way, as the domains do; <i>sleeping</i>, not at all.")

    def lanes(self):
        return list(VARIANTS) + [v + m for v in ("factored", "monolithic", "kernel")
                                 for m in ("-sleep", "-spin")] + ["bare"]

    def modes(self, lab):
        """mode: the variants and their lanes"""
        plain = {v: v for v in VARIANTS}
        out = {"one": plain, "free": plain}
        if lab.two:
            for m in ("sleep", "spin"):
                out[m] = {v: "%s-%s" % (v, m) for v in VARIANTS[:3]}
        return out

    def steps(self, lab):
        out = []
        for mode, lanes in self.modes(lab).items():
            if lab.tiny and mode != "one":
                continue
            for proto, sizes in SIZES.items():
                for size in sizes[:lab.pick(9, 1, 1)]:
                    out += [("%s-%d/%s" % (proto, size, mode), v,
                             lambda a=(lab, lane, mode, proto, size): self.measure(*a))
                            for v, lane in lanes.items() if lab.there_is(lane)]
                    if (mode, proto, size) == ("one", "udp", 1) and lab.have("bulkhead-raw"):
                        out += [("udp-1/one", v, lambda v=v: self.measure_raw(lab, v))
                                for v in RAW]
        return out

    def measure(self, lab, lane, mode, proto, size):
        count = lab.pick(2000, 500, 100)
        pids = lab.stack_pids(lane, lab.server[lane, "stack", "echo"])
        before, after = (), ()
        if mode != "free":
            lab.place(pids, {lab.here})
            before = lab.on(lab.here if mode == "one" else lab.there)
        if mode == "spin":
            after = SPIN
        try:
            return lab.echo(lane, proto, size, count, before, after)
        finally:
            lab.unplace()

    def start_raw(self, lab, options):
        """An echo server without a stack, once it answers. The kernel lets go of the last one's
        socket some time after its end."""
        end = time.monotonic() + 10
        while True:
            p = lab.start(lab.ns, "bare", lab.tool("bulkhead-raw"), "--interface", lab.dev("bare"),
                          "--address", lab.addr("bare"), "--echo", "--port", str(ECHO_PORT),
                          *options)
            while p.poll() is None and time.monotonic() < end:
                if lab.said(p) == "ready":
                    return p
                time.sleep(0.02)
            said = lab.said(p)
            lab.forget(p)
            if p.returncode != EXIT_BUSY or time.monotonic() >= end:
                raise Failure("bulkhead-raw --echo: " + said)
            time.sleep(0.1)

    def measure_raw(self, lab, variant):
        p = self.start_raw(lab, RAW[variant])
        try:
            lab.place(children(p.pid), {lab.here})
            return lab.echo("bare", "udp", 1, lab.pick(2000, 500, 100), lab.on(lab.here))
        finally:
            lab.unplace()
            lab.forget(p)

    def render(self, page):
        tests = self.introduced(page)
        if not tests:
            return
        for mode, title in MODES.items():
            mine = [t for t in tests if t.endswith("/" + mode)]
            if not mine:
                continue
            page.head(title[0].upper() + title[1:])
            for proto in ("tcp", "udp"):
                sizes = [int(t.split("/")[0][4:]) for t in mine if t.startswith(proto)]
                if len(sizes) > 1:
                    page.lines("%s, median of a round trip, µs" % proto.upper(), [
                        (v, sizes, [page.data.stat(self.name, "%s-%d/%s" % (proto, s, mode), v,
                                                   "p50_us") for s in sizes])
                        for v in page.data.variants(self.name, mine[0])], "bytes", "µs")
            page.table(self.name, [(t, "p50_us", "%s, %s B" %
                                    (t[:3].upper(), t.split("/")[0][4:]), "µs") for t in mine] +
                       [(t, "p99_us", "%s, %s B, 99th percentile" %
                         (t[:3].upper(), t.split("/")[0][4:]), "µs") for t in mine
                        if t[4:].startswith("1/")],
                       list(dict.fromkeys(v for t in mine
                                          for v in page.data.variants(self.name, t))))
