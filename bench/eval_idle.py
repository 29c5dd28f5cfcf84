# SPDX-License-Identifier: BSD-2-Clause
"""What a stack uses while nothing happens, and what memory it takes."""
import time

from bench_proc import children, resident
from eval_section import Section


class Idle(Section):
    name = "idle"
    title = "Idle"
    asked = "Whether a stack that has nothing to do takes processor time, and how much memory it is."
    how = ("Processor time of all processes of a stack, the supervisor's included, in parts of "
           "one processor, while no stack of the run is used. Memory: the proportional set size "
           "of all its processes, and what one of %s TCP sessions takes in the domain that holds "
           "it (the client pays for its own part).")

    def lanes(self):
        return ("factored", "monolithic")

    def steps(self, lab):
        return [("all", "both", lambda: self.measure(lab))]

    def measure(self, lab):
        seconds = lab.pick(3, 2, 1)
        time.sleep(0.5)  # what was measured before has come to rest
        return {"%s %s" % (name, key): v for name, procs in lab.idle(seconds).items()
                if name in self.lanes() for key, v in
                (("percent", sum(p["cpu_ms"] for p in procs) / seconds / 10),
                 ("domains percent", sum(p["cpu_ms"] for p in procs
                                         if p["name"] != "bulkheadd") / seconds / 10),
                 ("wakeups", sum(p["wakeups"] for p in procs) / seconds))}

    def finish(self, lab):
        n = lab.pick(1000, 200, 20)
        return {name: {"resident": [resident(p) for p in children(lab.daemon[name].pid)],
                       "session": lab.sessions(name, n), "sessions": n}
                for name in self.lanes() if name in lab.daemon}

    def render(self, page):
        once = page.once.get(self.name) or {}
        if not page.data.tests(self.name):
            return
        page.text(self.how % next((str(o["sessions"]) for o in once.values()), "so many"))
        rows = []
        for name in self.lanes():
            get = lambda key: page.data.stat(self.name, "all", "both", "%s %s" % (name, key))
            o = once.get(name)
            if not get("percent"):
                continue
            pss = [p["pss_kib"] for p in o["resident"]] if o else []
            s = o and o["session"]
            rows.append([name, page.spread(get("percent")), page.spread(get("domains percent")),
                         page.spread(get("wakeups")),
                         "%.1f MiB" % (sum(pss) / 1024) if pss and None not in pss else "–",
                         "%.0f + %.0f bytes" % (s["domain_bytes"], s["arena_bytes"]) if s else "–"])
        page.plain(["", "processor, %", "domains alone, %", "wake-ups a second",
                    "memory, all processes", "a TCP session: domain + client's arena"], rows)
