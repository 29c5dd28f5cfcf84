#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Protects: what the evaluation says of its figures. Ratios are of pairs in one round; an interval
# covers what it says it covers, and is the same for the same samples; a bound is said to hold only
# if the interval says so; what was not measured is not judged.
import os
import random
import statistics
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "bench"))
from eval_http import parse
from eval_stats import Data, holds, interval, quantile, ratio, summary
from eval_table import LIMITS, evaluate, rows, why_not


def sample(section, test, variant, n, **values):
    return {"section": section, "test": test, "variant": variant, "round": n, "values": values}


class Stats(unittest.TestCase):
    def test_summary(self):
        self.assertIsNone(summary([]))
        self.assertEqual(summary([3, 1, 2]), {"n": 3, "median": 2, "min": 1, "max": 3})

    def test_quantile(self):
        self.assertEqual(quantile([1, 2, 3], 0.5), 2)
        self.assertEqual(quantile([1, 2, 3], 0), 1)
        self.assertEqual(quantile([1, 2, 3], 1), 3)
        self.assertAlmostEqual(quantile([0, 10], 0.25), 2.5)

    def test_ratio_is_of_pairs(self):
        # The machine slowed down in round 1: the ratio is 2 all the same. Of the medians of what
        # each has it would be 1.1.
        a, b = {0: 20, 1: 2, 2: 20, 3: 2}, {0: 10, 1: 1, 2: 10, 3: 1, 4: 90, 5: 90, 6: 90}
        r = ratio(a, b)
        self.assertEqual((r["median"], r["min"], r["max"], r["n"]), (2, 2, 2, 4))
        self.assertEqual(r["interval"], [2, 2])

    def test_ratio_needs_a_pair(self):
        self.assertIsNone(ratio({}, {}))
        self.assertIsNone(ratio({0: 1}, {1: 1}))
        self.assertIsNone(ratio({0: 1}, {0: 0}))
        self.assertIsNone(ratio({0: 1, 1: 1}, {0: 1, 1: 1})["interval"])  # two say nothing

    def test_interval_is_seeded(self):
        v = [1.0, 1.1, 0.9, 1.3, 0.8, 1.05, 1.0]
        many = [random.Random(n).random() for n in range(40)]
        self.assertEqual(interval(many, "x", resamples=30), interval(many, "x", resamples=30))
        low, high = interval(v, "x")
        self.assertTrue(min(v) <= low <= statistics.median(v) <= high <= max(v))
        self.assertLess(low, high)

    def test_interval_covers(self):
        # Drawn from a distribution of median 1, the interval has it inside about as often as it
        # says: with so few values a little less often is usual for this bootstrap.
        rng = random.Random(7)
        inside = 0
        for k in range(200):
            low, high = interval([rng.lognormvariate(0, 0.2) for _ in range(15)], k,
                                 resamples=400)
            inside += low <= 1 <= high
        self.assertGreater(inside, 170)
        self.assertLess(inside, 200)

    def test_interval_narrows(self):
        rng = random.Random(3)

        def width(n):
            low, high = interval([rng.gauss(1, 0.1) for _ in range(n)], n)
            return high - low
        self.assertLess(width(100), width(5))

    def test_holds(self):
        def r(median, low, high):
            return {"median": median, "min": low, "max": high, "interval": [low, high]}
        self.assertEqual(holds(r(1.0, 0.96, 1.1), (">=", 0.95)), "yes")
        self.assertEqual(holds(r(1.0, 0.90, 1.1), (">=", 0.95)), "likely")
        self.assertEqual(holds(r(0.9, 0.80, 1.1), (">=", 0.95)), "unlikely")
        self.assertEqual(holds(r(0.9, 0.80, 0.94), (">=", 0.95)), "no")
        self.assertEqual(holds(r(1.3, 1.2, 1.4), ("<=", 1.25)), "unlikely")
        self.assertEqual(holds(r(1.2, 1.1, 1.25), ("<=", 1.25)), "yes")
        # Too few rounds for an interval: never sure.
        few = {"median": 2.0, "min": 1.9, "max": 2.1, "interval": None}
        self.assertEqual(holds(few, (">=", 1)), "likely")
        self.assertEqual(holds(few, ("<=", 1)), "unlikely")
        self.assertIsNone(holds(None, (">=", 1)))
        self.assertIsNone(holds(few, None))
        self.assertEqual(holds(summary([0.0, 0.01]), ("<=", 0.05)), "yes")


class Table(unittest.TestCase):
    def samples(self):
        out = []
        for n in range(5):
            for v, mbit, cpu in (("factored", 9500 + n, 1.2), ("monolithic", 10000, 1.0)):
                out.append(sample("bulk", "receive", v, n, mbit_per_second=mbit,
                                  cpu_s_per_gib=cpu, packets_per_second=mbit * 80))
            out.append(sample("raw", "receive", "raw", n, packets_per_second=1e6))
            out.append(sample("bulk", "send", "factored", n, packets_per_second=9e5))
            out.append(sample("raw", "send", "raw", n, packets_per_second=2e6))
            out.append(sample("raw", "send", "raw-tcp", n, packets_per_second=1e6))
        return out

    def test_rows(self):
        table = {r["what"]: r for r in evaluate(self.samples())}
        self.assertEqual(len(table), len(rows()))  # no two rows of one name
        bulk = table["TCP bulk, MTU 1500: factored / monolithic, to the stack"]
        self.assertAlmostEqual(bulk["value"]["median"], 0.9502)
        self.assertEqual((bulk["must_holds"], bulk["aim_holds"]), ("yes", "no"))
        raw = table["TCP bulk in packets, to the stack: factored / raw AF_XDP"]
        self.assertEqual(raw["must_holds"], "no")
        # From the stack the bound is on what a raw sender gets through to a TCP; the one with a
        # sink at its peer is reported.
        sink = table["TCP bulk in packets, from the stack: factored / raw AF_XDP"]
        self.assertAlmostEqual(sink["value"]["median"], 0.45)
        self.assertIsNone(sink["must_holds"])
        peer = table["TCP bulk in packets, from the stack: factored / raw AF_XDP to a TCP peer"]
        self.assertAlmostEqual(peer["value"]["median"], 0.9)
        self.assertEqual((peer["must_holds"], peer["aim_holds"]), ("yes", "no"))
        cpu = table["CPU time a GiB at saturation: factored / monolithic, to the stack"]
        self.assertEqual((cpu["must_holds"], cpu["aim_holds"]), ("yes", "no"))

    def test_a_bound_missed_is_explained(self):
        # Whatever has a bound and can be missed has its text, or is known to hold; names that no
        # row has would be texts about nothing.
        names = [r["what"] for r in rows()]
        for prefix, text in LIMITS:
            self.assertTrue(text.endswith("."))
            self.assertTrue([n for n in names if n.startswith(prefix)], prefix)
        missed = [{"what": n, "must_holds": "no"} for n in names]
        self.assertEqual(len(why_not(missed)), sum(n.startswith(p) for n in names for p, _ in LIMITS))
        self.assertEqual(why_not([{"what": n, "must_holds": v} for n in names
                                  for v in ("yes", "likely", None)]), [])

    def test_what_is_missing_is_not_judged(self):
        for r in evaluate([]):
            self.assertIsNone(r["value"])
            self.assertIsNone(r["must_holds"])

    def test_data(self):
        d = Data(self.samples() + [sample("bulk", "receive", "kernel", 0, mbit_per_second=None,
                                          fine=True)])
        self.assertEqual(d.variants("bulk"), ["factored", "monolithic", "kernel"])
        self.assertIsNone(d.stat("bulk", "receive", "kernel", "mbit_per_second"))
        self.assertIsNone(d.stat("bulk", "send", "factored", "mbit_per_second"))
        self.assertEqual(d.tests("raw"), ["receive", "send"])


class Wrk(unittest.TestCase):
    SAID = """Running 1s test @ http://10.98.1.1:8080/f
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms    2.24ms  27.07ms   89.51%
  Latency Distribution
     50%  174.00us
     75%    1.00ms
     90%    3.07ms
     99%    1.02s
  45317 requests in 1.10s, 56.44MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 3
Requests/sec:  41212.34
Transfer/sec:     51.33MB
"""

    def test_parse(self):
        self.assertEqual(parse(self.SAID), {
            "requests_per_second": 41212.34, "errors": 6, "p50_us": 174.0, "p75_us": 1000.0,
            "p90_us": 3070.0, "p99_us": 1020000.0})
        self.assertRaises(ValueError, parse, "unable to connect")


class Tap(unittest.TestResult):
    def say(self, good, test, text=""):
        print("%sok %d - %s" % ("" if good else "not ", self.testsRun, test.id().split(".", 1)[1]))
        for line in text.splitlines():
            print("# " + line)

    def addSuccess(self, test):
        self.say(True, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(False, test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.say(False, test, self.errors[-1][1])


suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
print("1..%d" % suite.countTestCases())
result = Tap()
suite.run(result)
sys.exit(not result.wasSuccessful())
