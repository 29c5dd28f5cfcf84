# SPDX-License-Identifier: BSD-2-Clause
"""From the samples of bench/path to medians, ratios, a table and a picture."""
import math
import statistics

from bench_report import number

COLOUR = {"factored": "#b3400e", "monolithic": "#d99a2b", "kernel": "#2a5d9c"}


def pick(samples, **want):
    return [s for s in samples if all(s[k] == v for k, v in want.items())]


def in_order(values):
    return list(dict.fromkeys(values))


def spread(values):
    return ({"median": statistics.median(values), "min": min(values), "max": max(values)}
            if values else None)


def alone(samples, stacks, congestion, condition):
    row = {"congestion": congestion, "condition": condition}
    here = pick(samples, congestion=congestion, condition=condition)
    row.update({k: here[0][k] for k in ("rtt_ms", "loss", "reorder")})
    per = {s: {x["round"]: x["mbit_per_second"] for x in pick(here, stack=s)
               if x["mbit_per_second"] is not None} for s in stacks}
    for s in stacks:
        row[s] = spread(list(per[s].values()))
        row[s + " rounds"] = len(pick(here, stack=s))
        row[s + " failed"] = row[s + " rounds"] - len(per[s])
    for s in stacks:
        if s != "kernel" and "kernel" in stacks:
            ratios = [v / per["kernel"][n] for n, v in per[s].items() if per["kernel"].get(n)]
            row[s + "/kernel"] = statistics.median(ratios) if ratios else None
    return row


def together(samples, pair, congestion, condition):
    here = [s for s in pick(samples, pair=pair, congestion=congestion, condition=condition)
            if not s["remark"] and sum(s["mbit_per_second"])]
    shares = [s["mbit_per_second"][0] / sum(s["mbit_per_second"]) for s in here]
    # Jain's index: 1 when all have the same, 1/n when one has all.
    jain = [sum(s["mbit_per_second"]) ** 2 / len(pair) / sum(x * x for x in s["mbit_per_second"])
            for s in here]
    return {"congestion": congestion, "condition": condition, "pair": pair,
            "total": spread([sum(s["mbit_per_second"]) for s in here]),
            "first_share": spread(shares), "jain": spread(jain)}


def summarise(result):
    samples, stacks = result["samples"], result["settings"]["stacks"]
    rows = []
    for congestion in in_order(s["congestion"] for s in samples):
        of = pick(samples, congestion=congestion)
        for condition in in_order(s["condition"] for s in of):
            if result["settings"]["fairness"]:
                for pair in map(list, in_order(tuple(s["pair"]) for s in of)):
                    rows.append(together(of, pair, congestion, condition))
            else:
                rows.append(alone(of, stacks, congestion, condition))
    return rows


def remarks(result):
    out, late = [], 0
    for s in result["samples"]:
        who = "%s, %s, round %d" % (s.get("stack") or "+".join(s["pair"]), s["condition"],
                                    s["round"] + 1)
        if s["remark"]:
            out.append("%s: %s" % (who, s["remark"]))
        for way in ("to_right", "to_left"):
            bad = {k: s["wire"][way][k] for k in ("oversize", "no_room", "missed", "send_failed")
                   if s["wire"][way][k]}
            if bad:
                out.append("%s: the wire itself lost frames: %s" % (who, bad))
        late += s["wire"]["late_max_us"] > 5000
    if late:
        out.append("in %d of %d measurements the wire sent a frame more than 5 ms late: the "
                   "machine is busy" % (late, len(result["samples"])))
    if result["host"]["load"] > 0.5:
        out.append("the machine was busy before this began (load %.1f)" % result["host"]["load"])
    return out


# ---- the table ----

def show_alone(result):
    stacks = result["settings"]["stacks"]
    others = [s for s in stacks if s != "kernel" and "kernel" in stacks]
    congestion = None
    for row in result["summary"]:
        if row["congestion"] != congestion:
            congestion = row["congestion"]
            print("\n%s: Mbit/s of payload (median, lowest .. highest; the ratios are medians "
                  "over rounds)" % congestion)
            print("%-24s" % "" + "".join("%25s" % s for s in stacks) +
                  "".join("%20s" % (s + "/kernel") for s in others))
        line = "%-24s" % row["condition"]
        for s in stacks:
            v = row[s]
            text = "-" if v is None else "%s (%s .. %s)" % tuple(
                number(v[k]) for k in ("median", "min", "max"))
            line += "%25s" % (text + (" !%d" % row[s + " failed"] if row[s + " failed"] else ""))
        print(line + "".join("%20s" % number(row[s + "/kernel"]) for s in others))


def show_together(result):
    print("\n%-12s %-20s %-26s %10s %28s %8s" %
          ("", "", "two flows at once", "Mbit/s", "share of the first, %", "Jain"))
    for row in result["summary"]:
        share = row["first_share"]
        print("%-12s %-20s %-26s %10s %28s %8s" % (
            row["congestion"], row["condition"], "+".join(row["pair"]),
            number(row["total"]["median"] if row["total"] else None),
            "-" if share is None else "%.0f (%.0f .. %.0f)" % tuple(
                100 * share[k] for k in ("median", "min", "max")),
            "-" if row["jain"] is None else "%.3f" % row["jain"]["median"]))


def show(result):
    h, s = result["host"], result["settings"]
    print("Linux %s, %s x %s; commit %s%s; %s" %
          (h["kernel"], h["processors"], h["cpu"], (h["commit"] or "unknown")[:12],
           " (modified)" if h["modified"] else "", h["date"]))
    print("a wire of %g Mbit/s, MTU 1500, offloads off; to a peer that is the kernel; %d rounds, "
          "about %g s each; seeds from %d" % (s["rate"] / 1e6, s["rounds"], s["seconds"],
                                              s["seed"]))
    (show_together if s["fairness"] else show_alone)(result)
    for text in result["remarks"]:
        print("! " + text)


# ---- the picture ----

def text_at(x, y, text, anchor="middle", size=12, extra=""):
    return ('<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d"%s>%s</text>' %
            (x, y, anchor, size, extra, text))


def marks(row, stacks, x, y_of):
    """The medians at x, each stack a little beside the others, with their spread."""
    out = []
    for i, s in enumerate(stacks):
        if row[s] is None:
            continue
        at = x + 9 * (i - (len(stacks) - 1) / 2)
        out.append('<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-width="2"/>' %
                   (at, y_of(row[s]["min"]), y_of(row[s]["max"]), COLOUR[s]))
        out.append('<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>' %
                   (at, y_of(row[s]["median"]), COLOUR[s]))
    return out


def panel(rows, stacks, rate, left, top, title):
    """One round-trip time: what gets through against what is lost. Logarithmic."""
    width, height = 240, 260
    low = min([1.0] + [row[s]["min"] for row in rows for s in stacks if row[s]])
    low, high = 10 ** math.floor(math.log10(max(low, 1e-3))), rate / 1e6 * 1.2

    def y_of(v):
        return top + height * (1 - math.log(max(v, low) / low) / math.log(high / low))
    out = ['<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#999"/>' %
           (left, top, width, height), text_at(left + width / 2, top - 8, title, size=14)]
    v = low
    while v <= high:
        out.append('<path d="M%d %.1fh%d" stroke="#ddd"/>' % (left, y_of(v), width))
        out.append(text_at(left - 5, y_of(v) + 4, "%g" % v, "end"))
        v *= 10
    for i, row in enumerate(rows):
        x = left + width * (i + 0.5) / len(rows)
        out.append(text_at(x, top + height + 16, "%g %%" %
                           (100 * (row["reorder"] or row["loss"]))))
        out.append(text_at(x, top + height + 30, "reordered" if row["reorder"] else "lost",
                           size=10))
        out += marks(row, stacks, x, y_of)
    return out


def shares(rows):
    """Two flows: how they share, one bar for each pair."""
    out = []
    for i, row in enumerate(rows):
        y = 60 + 34 * i
        out.append(text_at(250, y + 15, "%s, %s: %s" % (
            row["congestion"], row["condition"], "+".join(row["pair"])), "end"))
        x = 260
        if row["first_share"] is None:
            continue
        first = row["first_share"]["median"]
        for stack, part in zip(row["pair"], (first, 1 - first)):
            out.append('<rect x="%.1f" y="%d" width="%.1f" height="22" fill="%s" stroke="#fff"/>' %
                       (x, y, 500 * part, COLOUR[stack]))
            out.append(text_at(x + 250 * part, y + 15, "%.0f %%" % (100 * part),
                               extra=' fill="#fff"'))
            x += 500 * part
    return out, 800, 80 + 34 * len(rows)


def plot(result, path):
    s = result["settings"]
    if s["fairness"]:
        body, width, height = shares(result["summary"])
    else:
        body, height = [], 40
        kinds = in_order(r["congestion"] for r in result["summary"])
        rtts = in_order(r["rtt_ms"] for r in result["summary"])
        for congestion in kinds:
            for i, rtt in enumerate(rtts):
                rows = pick(result["summary"], congestion=congestion, rtt_ms=rtt)
                body += panel(rows, s["stacks"], s["rate"], 60 + 300 * i, height + 30,
                              "%s, %g ms" % (congestion, rtt))
            height += 350
        width = 60 + 300 * len(rtts)
    x = 60
    body.append(text_at(width - 15, 24, "Mbit/s over %g Mbit/s" % (s["rate"] / 1e6), "end"))
    for stack in s["stacks"]:
        body.append('<circle cx="%d" cy="20" r="5" fill="%s"/>' % (x, COLOUR[stack]))
        body.append(text_at(x + 10, 24, stack, "start"))
        x += 110
    with open(path, "w", encoding="utf-8") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                'font-family="sans-serif"><rect width="100%%" height="100%%" fill="#fff"/>\n%s\n'
                '</svg>\n' % (width, height, "\n".join(body)))
