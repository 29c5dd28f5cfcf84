# SPDX-License-Identifier: BSD-2-Clause
"""From samples to medians, ratios and their intervals. Pure: no file, no clock.

A ratio is taken within a round, where both were measured seconds apart, and never of two
medians of different rounds; its interval is that of the median of the rounds' ratios by
resampling them (the percentile bootstrap; Efron and Tibshirani, 1993).
"""
import random
import statistics

LEVEL = 0.95
RESAMPLES = 2000
SEED = 20041


def summary(values):
    """None of nothing, else the median and the spread."""
    v = sorted(values)
    if not v:
        return None
    return {"n": len(v), "median": statistics.median(v), "min": v[0], "max": v[-1]}


def quantile(ordered, p):
    """Between the two neighbours, as the ranks lie."""
    at = p * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def interval(values, seed, level=LEVEL, resamples=RESAMPLES):
    """[low, high] of the median. Fewer than three values say nothing about it: None."""
    if len(values) < 3:
        return None
    rng = random.Random("%d %s" % (SEED, seed))
    medians = sorted(statistics.median(rng.choices(values, k=len(values)))
                     for _ in range(resamples))
    tail = (1 - level) / 2
    return [quantile(medians, tail), quantile(medians, 1 - tail)]


def ratio(a, b, seed=""):
    """a, b: {round: value}. The rounds that have both count."""
    paired = [a[n] / b[n] for n in sorted(a) if b.get(n)]
    if not paired:
        return None
    return {"n": len(paired), "median": statistics.median(paired), "min": min(paired),
            "max": max(paired), "interval": interval(paired, seed)}


def holds(value, bound):
    """value: of summary() or ratio(); bound: (">=" or "<=", number). "yes" and "no" where the
    interval, if there is one, lies on one side; else "likely" and "unlikely", by the median."""
    if value is None or bound is None:
        return None
    sense, limit = bound

    def fine(x):
        return x >= limit if sense == ">=" else x <= limit
    ends = value["interval"] if "interval" in value else [value["min"], value["max"]]
    if fine(value["median"]):
        return "yes" if ends and all(fine(x) for x in ends) else "likely"
    return "no" if ends and not any(fine(x) for x in ends) else "unlikely"


class Data:
    """The samples of a run: [{"section", "test", "variant", "round", "values": {key: number}}]."""

    def __init__(self, samples):
        self.index = {}
        self.order = []
        for s in samples:
            at = (s["section"], s["test"], s["variant"])
            if at not in self.index:
                self.index[at] = {}
                self.order.append(at)
            for key, v in s["values"].items():
                if isinstance(v, (int, float)) and not isinstance(v, bool):
                    self.index[at].setdefault(key, {})[s["round"]] = v

    def series(self, section, test, variant, key):
        return self.index.get((section, test, variant), {}).get(key, {})

    def stat(self, section, test, variant, key):
        return summary(self.series(section, test, variant, key).values())

    def median(self, section, test, variant, key):
        s = self.stat(section, test, variant, key)
        return s["median"] if s else None

    def ratio(self, a, b):
        """a, b: (section, test, variant, key)"""
        return ratio(self.series(*a), self.series(*b), "%s|%s" % (a, b))

    def tests(self, section):
        return list(dict.fromkeys(t for s, t, _ in self.order if s == section))

    def variants(self, section, test=None):
        return list(dict.fromkeys(v for s, t, v in self.order
                                  if s == section and test in (None, t)))

    def summaries(self):
        return [{"section": s, "test": t, "variant": v,
                 "values": {k: summary(d.values()) for k, d in self.index[s, t, v].items()}}
                for s, t, v in self.order]
