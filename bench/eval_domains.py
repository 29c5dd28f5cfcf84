# SPDX-License-Identifier: BSD-2-Clause
"""What separation costs: processor time, switches and batches a packet, domain by domain."""
from bench_proc import children, cpu_ns, process_name, read, status_number
from eval_section import Section

LOADS = {"receive": "saturated, to the stack", "send": "saturated, from the stack",
         "low": "one message of 100 bytes at a time, TCP"}
COUNTS = ("loops", "sleeps", "bells_rung")


def ticks_a_ns():
    """Of the time-stamp counter: it runs at the nominal rate, which a guest is shown as its
    processor's."""
    mhz = [float(line.split(":")[1]) for line in read("/proc/cpuinfo").splitlines()
           if line.startswith("cpu MHz")]
    return max(mhz) / 1e3 if mhz else None


class Domains(Section):
    name = "domains"
    title = "What separation costs"
    asked = ("What a packet costs in each domain, with one domain and with several, under little "
             "load and under all there can be; how often somebody is woken, and how large the "
             "batches are.")
    how = ("Processor time of each process (<code>/proc/PID/schedstat</code>) for each packet that "
           "the driver moved, in either direction; ticks of the time-stamp counter are this time "
           "by its rate (%s GHz here). A packet of TCP meets nic, ip and tcp when factored and "
           "one process when monolithic; the program is one more in both. <i>Packets a turn</i>: "
           "what came through the rings that the domain reads, by the turns of its loop, those "
           "that found nothing included. Wake-ups are voluntary context switches, the others "
           "involuntary ones. For instructions see the next section: many machines have no counter.")

    def lanes(self):
        return ("factored", "monolithic")

    def steps(self, lab):
        return [(load, v, lambda v=v, load=load: self.measure(lab, v, load))
                for load in LOADS for v in self.lanes() if lab.there_is(v)]

    def load(self, lab, lane, load):
        if load == "low":
            return lab.echo(lane, "tcp", 100, lab.pick(4000, 1000, 100))
        return lab.bulk(lane, load == "receive", lab.pick(512 << 20, 64 << 20, 4 << 20))

    def snap(self, lab, lane, load):
        """{process: its figures}"""
        stats = {d["name"]: d for d in lab.ctl(lane, "stats")["domains"]}
        out = {}
        for pid in children(lab.daemon[lane].pid)[1:]:
            name = process_name(pid).replace("bulkhead-", "")
            if name in stats:
                d = stats[name]
                out[name] = dict({k: d["counters"][k] for k in COUNTS}, **self.proc(pid))
                out[name]["passed"] = sum(r["passed"] for r in d["rings"])
                out[name]["packets"] = d["counters"]["nic_rx"] + d["counters"]["nic_tx"]
        if load != "send":
            server = lab.server[lane, "stack", "echo" if load == "low" else "bulk"]
            out["program"] = self.proc(server.pid)
        return out

    @staticmethod
    def proc(pid):
        return {"ns": cpu_ns([pid]), "woken": status_number(pid, "voluntary_ctxt_switches"),
                "moved": status_number(pid, "nonvoluntary_ctxt_switches")}

    def measure(self, lab, lane, load):
        before = self.snap(lab, lane, load)
        self.load(lab, lane, load)
        after = self.snap(lab, lane, load)
        diff = {n: {k: after[n][k] - before[n][k] for k in after[n]} for n in before}
        packets = sum(d.get("packets", 0) for d in diff.values())
        if not packets:
            raise ValueError("no packet was counted")
        out = {"packets": packets}
        for n, d in diff.items():
            for key, per in (("ns", "ns"), ("woken", "wake-ups"), ("moved", "other switches")):
                out["%s %s" % (n, per)] = d[key] / packets
            if d.get("loops"):
                moved = d["passed"] or d["packets"]
                out["%s batch" % n] = moved / d["loops"]
        for per in ("ns", "wake-ups", "other switches"):
            out["all " + per] = sum(out["%s %s" % (n, per)] for n in diff if n != "program")
        return out

    def finish(self, lab):
        waited = {}
        for lane in self.lanes():
            if lab.there_is(lane):
                waited[lane] = [dict(r, reader=d["name"]) for d in
                                lab.ctl(lane, "stats")["domains"] for r in d["rings"]]
        return {"ticks_a_ns": ticks_a_ns(), "rings": waited}

    def render(self, page):
        once = page.once.get(self.name) or {}
        if not page.data.tests(self.name):
            return
        rate = once.get("ticks_a_ns")
        page.text(self.how % ("%.2f" % rate if rate else "unknown"))
        parts = ("nic", "ip", "tcp", "udp", "mono", "all", "program")
        for load in page.data.tests(self.name):
            page.head(LOADS[load][0].upper() + LOADS[load][1:])
            rows = []
            for v in page.data.variants(self.name, load):
                for n in parts:
                    get = lambda key: page.data.stat(self.name, load, v, "%s %s" % (n, key))
                    ns = get("ns")
                    if not ns or not ns["max"] or (n == "all" and v == "monolithic"):
                        continue
                    label = "all domains" if n == "all" else n
                    rows.append(["%s: %s" % (v, label), page.spread(ns),
                                 "%.0f" % (ns["median"] * rate) if rate else "–"] +
                                [page.spread(get(k)) for k in ("wake-ups", "other switches",
                                                               "batch")])
            page.plain(["process", "ns a packet", "ticks a packet", "wake-ups a packet",
                        "other switches a packet", "packets a turn"], rows)
            page.table(self.name, [(load, "all ns", "all domains", "ns a packet")],
                       page.data.variants(self.name, load))
        rings = (once.get("rings") or {}).get("factored") or []
        if rings:
            page.head("The rings over the whole run, factored")
            page.plain(["ring", "from", "read by", "passed", "most that ever waited", "size"],
                       [[r["name"], r["from"], r["reader"], r["passed"], r["most"], r["size"]]
                        for r in rings])
