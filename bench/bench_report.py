# SPDX-License-Identifier: BSD-2-Clause
"""From the samples of bench/run to medians, ratios and a table."""
import os
import statistics
import subprocess
import time

from bench_proc import read

SIZES = (1, 64, 1460)


def host():
    cpu = [x.split(":", 1)[1].strip() for x in read("/proc/cpuinfo").splitlines()
           if x.startswith("model name")]
    here = os.path.dirname(os.path.abspath(__file__))

    def git(*a):
        p = subprocess.run(("git", "-C", here) + a, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
        return p.stdout.strip() if p.returncode == 0 else None
    return {"kernel": os.uname().release, "cpu": cpu[0] if cpu else os.uname().machine,
            "processors": os.cpu_count(), "commit": git("rev-parse", "HEAD"),
            "modified": bool(git("status", "--porcelain", "--untracked-files=no")),
            "congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control").strip(),
            "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


ROWS = ([("TCP to the stack", "bulk_receive", "mbit_per_second", "Mbit/s"),
         ("  its processes", "bulk_receive", "cpu_s_per_gib", "s/GiB"),
         ("  whole machine", "bulk_receive", "machine_s_per_gib", "s/GiB"),
         ("TCP from the stack", "bulk_send", "mbit_per_second", "Mbit/s"),
         ("  its processes", "bulk_send", "cpu_s_per_gib", "s/GiB"),
         ("  whole machine", "bulk_send", "machine_s_per_gib", "s/GiB")] +
        [("%s round trip, %d B" % (p.upper(), s), "%s_%d" % (p, s), "p50_us", "us")
         for p in ("tcp", "udp") for s in SIZES] +
        [("  99th percentile, 64 B " + p.upper(), p + "_64", "p99_us", "us")
         for p in ("tcp", "udp")] +
        [("  lost, all UDP sizes", None, "lost", "")])


def value(sample, test, key):
    if test is None:
        return sum(sample["udp_%d" % s][key] for s in SIZES)
    return sample[test][key]


def summarise(samples, stacks, offloads):
    """Medians with their spread, and medians of the ratios within a round."""
    out = []
    for o in offloads:
        for label, test, key, unit in ROWS:
            row = {"offloads": o, "what": label.strip(), "test": test, "key": key, "unit": unit}
            per = {s: {x["round"]: value(x, test, key) for x in samples
                       if x["stack"] == s and x["offloads"] == o} for s in stacks}
            per = {s: {n: v for n, v in d.items() if v is not None} for s, d in per.items()}
            for s in stacks:
                v = list(per[s].values())
                row[s] = ({"median": statistics.median(v), "min": min(v), "max": max(v)}
                          if v else None)
            for a, b in (("factored", "monolithic"), ("factored", "kernel"),
                         ("monolithic", "kernel")):
                if a in per and b in per:
                    r = [per[a][n] / per[b][n] for n in per[a] if per[b].get(n)]
                    row[a + "/" + b] = statistics.median(r) if r else None
            out.append(row)
    return out


def number(v):
    return "-" if v is None else "%.0f" % v if v >= 100 else "%.1f" % v if v >= 10 else "%.2f" % v


def show(result, stacks):
    h = result["host"]
    print("Linux %s, %s x %s; commit %s%s; %s" %
          (h["kernel"], h["processors"], h["cpu"], (h["commit"] or "unknown")[:12],
           " (modified)" if h["modified"] else "", h["date"]))
    s = result["settings"]
    print("MTU 1500, one flow, %d MiB a transfer, %d messages a size, %d rounds, %s congestion "
          "control in every sender, domains placed by default" %
          (s["bytes"] >> 20, s["count"], s["rounds"], s["congestion_control"]))
    ratios = [r for r in ("factored/monolithic", "factored/kernel", "monolithic/kernel")
              if all(x in stacks for x in r.split("/"))]
    title = None
    for row in result["summary"]:
        if row["offloads"] != title:
            title = row["offloads"]
            print("\nOffloads %s (median, lowest .. highest; the ratios are medians over rounds)" %
                  ("off: every stack and every peer works packet by packet" if title == "off" else
                   "as Linux sets them up: the kernel, also as a peer, hands over big pieces"))
            print("%-34s" % "" + "".join("%25s" % x for x in stacks) +
                  "".join("%21s" % r for r in ratios))
        line = "%-27s%7s" % (("  " if row["unit"] == "s/GiB" else "") + row["what"], row["unit"])
        for x in stacks:
            v = row[x]
            line += "%25s" % ("-" if v is None else "%s (%s .. %s)" %
                              tuple(number(v[k]) for k in ("median", "min", "max")))
        print(line + "".join("%21s" % number(row.get(r)) for r in ratios))
    for stack, procs in result["resident"].items():
        print("\n%s, idle for %d s:%21s %9s %9s %9s %9s %9s" %
              (stack, s["idle_seconds"], "RssAnon", "RssShmem", "RssFile", "Pss", "CPU ms",
               "wake-ups"))
        for p, i in zip(procs, result["idle"][stack]):
            print("  %-16s uid %-12d %7d K %7d K %7d K %7s K %9.2f %9d" %
                  (p["name"], p["uid"], p["rss_anon_kib"], p["rss_shmem_kib"],
                   p["rss_file_kib"], p["pss_kib"], i["cpu_ms"], i["wakeups"]))
        n = result["sessions"].get(stack)
        if n:
            print("  a TCP session: %.0f bytes in the domain, %.0f in the client's arena "
                  "(%d connections)" % (n["domain_bytes"], n["arena_bytes"], n["connections"]))
    for text in result["remarks"]:
        print("! " + text)


def remarks(result):
    out = []
    limit_ms = result["settings"]["idle_seconds"]  # a thousandth
    for stack, procs in result["idle"].items():
        for p in procs:
            if p["cpu_ms"] > limit_ms:
                out.append("%s: %s used %.1f ms of processor time while idle" %
                           (stack, p["name"], p["cpu_ms"]))
    if result["host"]["load"] > 0.5:
        out.append("the machine was busy before this began (load %.1f)" % result["host"]["load"])
    return out
