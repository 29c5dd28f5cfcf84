# SPDX-License-Identifier: BSD-2-Clause
"""The rounds of bench/eval: what is measured when, how long it will take, what failed."""
import subprocess
import sys
import time

from bench_net import Failure
from eval_lab import lacking
from eval_section import plan
from eval_stats import Data
from eval_table import evaluate

GUESS_S = 0.5  # a step that nobody has done yet
TRIES = 2      # a step that failed so often is left out


def clock(seconds):
    return "%d:%02d" % divmod(int(max(0, seconds)), 60)


class Progress:
    """How long each step took, and so how long the rest will take."""

    def __init__(self, begun, budget):
        self.begun, self.budget = begun, budget
        self.took = {}
        self.tty = sys.stderr.isatty()

    def estimate(self, keys):
        """Seconds; keys: steps. One that was never done is as long as its section's others."""
        by_section = {}
        for (section, *_), t in self.took.items():
            by_section.setdefault(section, []).append(t)
        mean = {s: sum(v) / len(v) for s, v in by_section.items()}
        return sum(self.took.get(k, mean.get(k[0], GUESS_S)) for k in keys)

    def elapsed(self):
        return time.monotonic() - self.begun

    def done(self, key, seconds):
        old = self.took.get(key)
        self.took[key] = seconds if old is None else (old + seconds) / 2

    def show(self, text, left, end=False):
        line = "[%s, about %s left] %s" % (clock(self.elapsed()), clock(left), text)
        if self.tty:
            sys.stderr.write("\r\033[K%.110s%s" % (line, "\n" if end else ""))
        elif end:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


class Run:
    def __init__(self, lab, opt, sections, progress):
        self.lab, self.opt, self.sections, self.progress = lab, opt, sections, progress
        self.samples, self.once, self.left_out, self.failed = [], {}, {}, {}
        self.done = 0

    def begin(self):
        for s in list(self.sections):
            missing = lacking(*s.tools) + [p for p in s.programs if not self.lab.have(p)]
            if missing:
                self.leave_out(s, "there is no " + ", ".join(missing))
        names = {n for s in self.sections if s.serves for n in s.lanes()}
        self.lab.serve([n for n, lane in self.lab.lanes.items()
                        if n in names and lane.stack != "bare" and self.lab.there_is(n)])
        for s in list(self.sections):
            try:
                s.begin(self.lab)
            except (Failure, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as e:
                self.leave_out(s, str(e))

    def leave_out(self, section, why):
        self.left_out[section.name] = why
        self.lab.remark("section %s is left out: %s" % (section.name, why))
        self.sections.remove(section)

    def keys(self, n):
        return [(s.name, test, v) for s in self.sections for test, v, _ in plan(s, self.lab, n)
                if self.failed.get((s.name, test, v), 0) < TRIES]

    def left(self, n, todo):
        """todo: what this round still has."""
        return self.progress.estimate(todo) + sum(self.progress.estimate(self.keys(m))
                                                  for m in range(n + 1, self.opt.rounds))

    def rounds(self):
        for n in range(self.opt.rounds):
            if n and self.progress.elapsed() + self.progress.estimate(self.keys(n)) > \
                    self.progress.budget:
                self.lab.remark("%d rounds of %d: the next one would have ended after the %g "
                                "minutes of --minutes" % (n, self.opt.rounds, self.opt.minutes))
                break
            self.one_round(n)
            self.done = n + 1
        for s in self.sections:
            try:
                self.once[s.name] = s.finish(self.lab)
            except (Failure, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as e:
                self.lab.remark("%s: %s" % (s.name, e))

    def one_round(self, n):
        todo = self.keys(n)
        for s in self.sections:
            text = "round %d of %d: %s" % (n + 1, self.opt.rounds, s.name)
            steps = plan(s, self.lab, n)
            for test, variant, measure in steps:
                key = (s.name, test, variant)
                if self.failed.get(key, 0) >= TRIES:
                    continue
                self.progress.show("%s, %s, %s" % (text, test, variant), self.left(n, todo))
                self.step(n, key, measure)
                todo.remove(key)
            if steps:
                self.progress.show(text, self.left(n, todo), end=True)

    def step(self, n, key, measure):
        t0 = time.monotonic()
        try:
            values = measure()
        except (Failure, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as e:
            self.failed[key] = self.failed.get(key, 0) + 1
            self.lab.remark("%s, %s, %s failed: %s" % (*key, e))
            return
        self.progress.done(key, time.monotonic() - t0)
        self.samples.append({"section": key[0], "test": key[1], "variant": key[2], "round": n,
                             "seconds": round(time.monotonic() - t0, 3), "values": values})

    def result(self):
        return {"samples": self.samples, "summary": Data(self.samples).summaries(),
                "table": evaluate(self.samples), "once": self.once, "left_out": self.left_out,
                "remarks": self.lab.remarks}
