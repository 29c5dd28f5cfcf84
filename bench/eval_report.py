# SPDX-License-Identifier: BSD-2-Clause
"""From the result of a run (what is in its JSON, and nothing else) to the report."""
import json

import eval_plot
from bench_proc import read
from eval_page import Page, esc, number
from eval_stats import LEVEL, RESAMPLES, SEED, Data
from eval_table import INSTEAD, SAY, bound, why_not

VERDICT = {"yes": "holds", "likely": "holds, not surely", "unlikely": "does not hold, not surely",
           "no": "does not hold", None: "–"}


def measured(page, r):
    v = r["value"]
    if not v:
        return '<span class="small">%s%s</span>' % (INSTEAD, ": " + esc(r["why"]) if r["why"]
                                                    else "")
    ends = v.get("interval") or [v["min"], v["max"]]
    return '<b>%s</b> <span class="small">[%s, %s], n = %d</span>' % (
        number(v["median"]), number(ends[0]), number(ends[1]), v["n"])


def verdict(r, which):
    v = r[which + "_holds"]
    return '<td class="%s" title="%s">%s</td>' % (v or "", esc(SAY[v]), VERDICT[v])


def must_hold(page, rows):
    page.raw("<table><tr><th>what</th><th>must</th><th>aim</th><th>measured [95 % interval]</th>"
             "<th>must holds</th><th>aim reached</th></tr>")
    for r in rows:
        page.raw("<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td>%s%s</tr>" % (
            esc(r["what"]), bound(r["must"]), bound(r["aim"]) if r["aim"] else "",
            measured(page, r), verdict(r, "must"), verdict(r, "aim")))
    page.raw("</table>")


def first_page(page, result):
    h, s = result["host"], result["settings"]
    page.head("Bulkhead: the evaluation", 1)
    page.text("Linux %s, %s × %s, commit %s%s, %s. %d rounds%s, %s." % (
        esc(h["kernel"]), h["processors"], esc(h["cpu"]), esc((h["commit"] or "unknown")[:12]),
        " (modified)" if h["modified"] else "", esc(h["date"]), s["rounds_measured"],
        " of %d" % s["rounds"] if s["rounds_measured"] < s["rounds"] else "",
        "%.0f s" % result["seconds"]), "small")
    if s["effort"] != "full":
        page.text("<b>A %s run: to look at, no figure to quote.</b>" % esc(s["effort"]))
    page.text("Bulkhead's four-domain (<i>factored</i>) and one-process (<i>monolithic</i>) stack "
              "beside the kernel's, by the same programs, over the same kind of veth pair, in one "
              "run: every round measures every variant once, every second round backwards. "
              "<i>Offloads off</i> is the same work for everybody, packet by packet; <i>on</i> is "
              "as Linux sets a veth pair up: pieces of up to 64 KiB, no checksums.")
    page.head("What must hold", 2)
    must_hold(page, result["table"])
    shown = [(r["what"], r["value"], r["must"], r["aim"]) for r in result["table"]
             if r["value"] and r["b"] and r["value"]["min"] > 0]
    if shown:
        page.picture("The ratios", eval_plot.forest(shown))
    page.text("A ratio is the median of the ratios within the rounds. Its interval (%g %%) is the "
              "percentile bootstrap of that median, %d resamples, seed %d; with fewer than three "
              "rounds lowest and highest stand in its place. <i>Not surely</i>: the interval "
              "reaches over the bound." % (100 * LEVEL, RESAMPLES, SEED), "small")
    short = why_not(result["table"])
    if short:
        page.head("Where a bound is not reached", 2)
        page.text("What stands in the way, as far as is known, and what was tried "
                  "(<code>bench/PROFILES.md</code> has the measurements).")
        page.plain(["what", ""], [[esc(what), esc(text)] for what, text in short])
    if result["remarks"]:
        page.head("Remarks", 2)
        page.raw("<ul>%s</ul>" % "".join("<li>%s</li>" % esc(r) for r in result["remarks"]))


def markdown(result):
    """The first page in short, for a README."""
    h, s = result["host"], result["settings"]
    out = ["`%s`: Linux %s, %s x %s, commit %s, %d rounds. Medians of the rounds' ratios with their "
           "95 %% intervals." % (result["command"], h["kernel"], h["processors"], h["cpu"],
                                (h["commit"] or "unknown")[:12], s["rounds_measured"]), "",
           "| what | must | aim | measured | |", "|---|---|---|---|---|"]
    for r in result["table"]:
        v = r["value"]
        if not v:
            text = INSTEAD
        else:
            ends = v.get("interval") or (v["min"], v["max"])
            text = "%s (%s..%s)" % tuple(number(x) for x in (v["median"], *ends))
        out.append("| %s | %s | %s | %s | %s |" % (
            r["what"], bound(r["must"]), bound(r["aim"]) if r["aim"] else "", text,
            VERDICT[r["must_holds"]] if r["must_holds"] else ""))
    short = why_not(result["table"])
    if short:
        out += ["", "Where a bound is not reached:", ""]
        out += ["* *%s.* %s" % pair for pair in short]
    return "\n".join(out) + "\n"


def own_rows(section, table):
    return [r for r in table if section in (r["a"][0], (r["b"] or [None])[0])]


def settings_page(page, result):
    page.head("Settings", 2)
    page.text("To make this report again, on the same commit:")
    page.raw("<pre>%s</pre>" % esc(result["command"]))
    page.plain(["machine", ""], [[esc(k), esc(v)] for k, v in result["host"].items()])
    page.plain(["setting", ""], [[esc(k), "<code>%s</code>" % esc(json.dumps(v))]
                                 for k, v in result["settings"].items() if k != "features"])
    page.text("The interfaces' features in force (<code>ethtool -k</code>), stack's end / peer's "
              "end:")
    names = sorted({f for v in result["settings"]["features"].values() for f in v["peer"]})
    page.plain(["lane"] + names, [[esc(k)] + ["%s / %s" % (v["stack"].get(f, "–"),
                                                           v["peer"].get(f, "–")) for f in names]
                                  for k, v in result["settings"]["features"].items()])


def render(result, sections):
    page = Page(Data(result["samples"]), result["once"])
    first_page(page, result)
    for section in sections:
        if section.name not in result["settings"]["sections"]:
            continue
        page.head(section.title, 2)
        page.text("Asked: " + section.asked, "asked")
        mine = own_rows(section.name, result["table"])
        if mine:
            must_hold(page, mine)
        if section.name in result["left_out"]:
            page.text("Left out: %s." % esc(result["left_out"][section.name]))
        section.render(page)
    settings_page(page, result)
    # The samples come along, so the page can be checked. A "</" would end the element.
    page.raw('<script type="application/json" id="result">%s</script>' %
             json.dumps(result).replace("</", "<\\/"))
    return page.whole("Bulkhead: the evaluation")


def buffers():
    keys = ("net/core/rmem_default", "net/core/wmem_default", "net/core/rmem_max",
            "net/core/wmem_max", "net/ipv4/tcp_congestion_control")
    return {k.replace("/", "."): read("/proc/sys/" + k).split() for k in keys}
