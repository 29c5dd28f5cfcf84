# SPDX-License-Identifier: BSD-2-Clause
"""Pictures, by matplotlib, as SVG text."""
import io

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from eval_section import NAMES

COLOURS = {"factored": "#1b6ca8", "monolithic": "#e08e2b", "kernel": "#8a8a8a",
           "kernel-on": "#3d3d3d", "raw": "#b23a48", "nginx": "#3a8f5c", "nginx-on": "#1f5f3a",
           "nginx-factored": "#7fb800", "nginx-monolithic": "#0d8f8f",
           "segments": "#7b4fa3"}
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bulkhead", "font.size": 9,
                     "axes.spines.top": False, "axes.spines.right": False,
                     "axes.grid": True, "grid.alpha": 0.25, "axes.axisbelow": True})


def colour(variant, i):
    return COLOURS.get(variant, "C%d" % i)


def svg(figure):
    f = io.StringIO()
    figure.savefig(f, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return f.getvalue()


def whiskers(stats):
    return [[s["median"] - s["min"] for s in stats], [s["max"] - s["median"] for s in stats]]


def bars(groups, series, unit):
    """groups: labels; series: [(variant, [summary or None for each group])]. The bars are
    medians, the whiskers reach from the lowest to the highest."""
    fig, ax = plt.subplots(figsize=(6.4, 2.8))
    width = 0.8 / max(1, len(series))
    for i, (variant, stats) in enumerate(series):
        at = [(g + (i - (len(series) - 1) / 2) * width, s) for g, s in enumerate(stats) if s]
        if at:
            ax.bar([x for x, _ in at], [s["median"] for _, s in at], width * 0.92,
                   yerr=whiskers([s for _, s in at]), capsize=2, color=colour(variant, i),
                   error_kw={"elinewidth": 0.8}, label=NAMES.get(variant, variant))
    ax.set_xticks(range(len(groups)), groups)
    ax.set_ylabel(unit)
    ax.grid(axis="x", visible=False)
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg(fig)


def lines(series, xlabel, unit, log=False):
    """series: [(variant, [x], [summary or None])]"""
    fig, ax = plt.subplots(figsize=(6.4, 2.8))
    for i, (variant, xs, stats) in enumerate(series):
        at = [(x, s) for x, s in zip(xs, stats) if s]
        if at:
            ax.errorbar([x for x, _ in at], [s["median"] for _, s in at],
                        yerr=whiskers([s for _, s in at]), marker="o", markersize=3.5,
                        linewidth=1.3, capsize=2, elinewidth=0.8, color=colour(variant, i),
                        label=NAMES.get(variant, variant))
    if log:
        ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(unit)
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg(fig)


def forest(rows):
    """rows: [(label, ratio, must bound or None, aim bound or None)]: each ratio with its
    interval on a logarithmic axis, and the bounds as marks."""
    fig, ax = plt.subplots(figsize=(6.4, 0.6 + 0.26 * len(rows)))
    for y, (_, r, must, aim) in enumerate(reversed(rows)):
        low, high = r.get("interval") or (r["min"], r["max"])
        ax.plot([low, high], [y, y], color="#1b6ca8", linewidth=1.6)
        ax.plot([r["median"]], [y], "o", color="#1b6ca8", markersize=4)
        for b, mark, c in ((must, "|", "#b23a48"), (aim, "d", "#3a8f5c")):
            if b:
                ax.plot([b[1]], [y], mark, color=c, markersize=9 if mark == "|" else 4)
    ax.axvline(1, color="#999999", linewidth=0.7)
    ax.set_xscale("log")
    ticks = [x for x in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)]
    ax.set_xticks(ticks, ["%g" % t for t in ticks])
    ax.minorticks_off()
    ax.set_yticks(range(len(rows)), [r[0] for r in reversed(rows)], fontsize=7)
    ax.set_xlabel("ratio (blue: median and 95 % interval; red: must; green: aim)")
    return svg(fig)
