# SPDX-License-Identifier: BSD-2-Clause
"""TCP bulk in each direction, at the usual MTU and with large frames."""
from eval_section import Section

WAYS = (("receive", True), ("send", False))
TITLES = {"receive": "to the stack", "send": "from the stack"}


def transfer(lab, lane, to_stack, n_bytes, mtu=1500):
    out = lab.bulk(lane, to_stack, n_bytes)
    # Segments that carry data: 40 bytes of headers and 12 of time stamps in each.
    out["packets_per_second"] = out["mbit_per_second"] * 1e6 / 8 / (mtu - 52)
    return out


class Bulk(Section):
    name = "bulk"
    title = "TCP bulk"
    mtu = 1500
    suffix = ""
    asked = ("How fast one TCP flow is, to the stack and from it, and what processor time a "
             "gibibyte costs.")
    how = ("One connection, one direction, MTU %d; the peer is the kernel in the other namespace. "
           "Payload by the clock of the transmitter, until the receiver has everything. All "
           "stacks take the kernel's CUBIC or their own. Nothing is pinned to a processor. "
           "<i>Processes</i> is the processor time of the stack's processes and of the program "
           "on its side (the kernel's own work is not in it: no comparison with the kernel), "
           "<i>machine</i> that of everything, the peer too.")

    variants = ("factored", "monolithic", "kernel", "kernel-on", "segments")

    def lane(self, variant):
        return variant + self.suffix

    def lanes(self):
        return [self.lane(v) for v in self.variants]

    def n_bytes(self, lab):
        return lab.pick(1 << 30, 128 << 20, 4 << 20)

    def steps(self, lab):
        n = self.n_bytes(lab)
        return [(way, v, lambda v=v, to=to: transfer(lab, self.lane(v), to, n, self.mtu))
                for way, to in WAYS for v in self.variants
                if lab.there_is(self.lane(v))]

    def render(self, page):
        if not page.data.tests(self.name):
            return
        page.text(self.how % self.mtu)
        variants = page.data.variants(self.name)
        for key, label, unit in (("mbit_per_second", "throughput", "Mbit/s"),
                                 ("cpu_s_per_gib", "processor time, processes", "s/GiB"),
                                 ("machine_s_per_gib", "processor time, machine", "s/GiB")):
            page.bars("%s, %s" % (label, unit), self.name,
                      [(w, TITLES[w]) for w, _ in WAYS], variants, key, unit)
        page.table(self.name, [(w, k, "%s: %s" % (TITLES[w], label), unit) for w, _ in WAYS
                               for k, label, unit in
                               (("mbit_per_second", "throughput", "Mbit/s"),
                                ("cpu_s_per_gib", "processes", "s/GiB"),
                                ("machine_s_per_gib", "machine", "s/GiB"))], variants)


class Jumbo(Bulk):
    name = "jumbo"
    title = "TCP bulk at MTU 9000"
    mtu = 9000
    suffix = "-9000"
    most = 5
    most_quick = 1
    asked = "The same with frames of up to 9000 bytes."

    def render(self, page):
        super().render(page)
        if not page.data.variants(self.name, "receive") or \
                "factored" not in page.data.variants(self.name):
            page.text("Bulkhead did not start on an interface of this MTU in this run (see the "
                      "remarks), so only the kernel is shown.")
