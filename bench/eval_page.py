# SPDX-License-Identifier: BSD-2-Clause
"""The report as one HTML page that needs nothing else: texts, tables, pictures inlined."""
import base64
import html

import eval_plot
from eval_section import COMPARED, NAMES

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 66em; margin: 2em auto; padding: 0 1em;
       color: #222 }
h1 { margin-bottom: 0 } h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0 }
td, th { padding: 3px 9px; text-align: right; border-bottom: 1px solid #e4e4e4;
         vertical-align: top }
td:first-child, th:first-child { text-align: left }
th { background: #f4f4f4; font-weight: 600 }
.yes { background: #dff3e3 } .likely { background: #eff8e6 } .unlikely { background: #fdf0da }
.no { background: #fbdfdf } .small { color: #666; font-size: 12px } .asked { font-style: italic }
td.left { text-align: left }
img { max-width: 100% } pre { background: #f6f6f6; padding: 0.8em; overflow-x: auto }
"""


def esc(text):
    return html.escape(str(text))


def number(v):
    if v is None:
        return "–"
    a = abs(v)
    return ("%.0f" if a >= 100 else "%.1f" if a >= 10 else "%.2f" if a >= 0.095 else
            "%.3g" if a else "%.0f") % v


class Page:
    def __init__(self, data, once):
        self.data, self.once = data, once
        self.parts = []

    def raw(self, text):
        self.parts.append(text)

    def text(self, markup, cls=""):
        self.raw('<p%s>%s</p>' % (' class="%s"' % cls if cls else "", markup))

    def head(self, text, level=3):
        self.raw("<h%d>%s</h%d>" % (level, esc(text), level))

    def picture(self, title, svg):
        self.raw('<p><b>%s</b><br><img alt="%s" src="data:image/svg+xml;base64,%s"></p>' %
                 (esc(title), esc(title), base64.b64encode(svg.encode()).decode()))

    def plain(self, heads, rows):
        """rows: lists of texts, already markup where they are to be."""
        self.raw("<table><tr>%s</tr>" % "".join("<th>%s</th>" % h for h in heads))
        for r in rows:
            self.raw("<tr>%s</tr>" % "".join("<td>%s</td>" % c for c in r))
        self.raw("</table>")

    def spread(self, s):
        if not s:
            return "–"
        return number(s["median"]) + ("" if s["n"] < 2 else '<br><span class="small">%s..%s</span>'
                                      % (number(s["min"]), number(s["max"])))

    def ratio(self, r):
        if not r:
            return "–"
        i = r["interval"]
        return "%.2f" % r["median"] + ('<br><span class="small">%.2f..%.2f</span>' % tuple(i)
                                       if i else "")

    def table(self, section, rows, variants, compared=COMPARED):
        """rows: [(test, key, label, unit)]: medians with spread, and the ratios of interest."""
        pairs = [p for p in compared if set(p) <= set(variants)]
        body = []
        for test, key, label, unit in rows:
            cells = [self.spread(self.data.stat(section, test, v, key)) for v in variants]
            if set(cells) == {"–"}:
                continue
            body.append(["%s, %s" % (esc(label), esc(unit)) if unit else esc(label)] + cells +
                        [self.ratio(self.data.ratio((section, test, a, key),
                                                    (section, test, b, key))) for a, b in pairs])
        self.plain([""] + [esc(NAMES.get(v, v)) for v in variants] +
                   [esc("%s / %s" % (NAMES.get(a, a), NAMES.get(b, b))) for a, b in pairs], body)

    def bars(self, title, section, tests, variants, key, unit):
        """tests: [(test, label)]"""
        self.picture(title, eval_plot.bars(
            [label for _, label in tests],
            [(v, [self.data.stat(section, t, v, key) for t, _ in tests]) for v in variants], unit))

    def lines(self, title, series, xlabel, unit, log=False):
        self.picture(title, eval_plot.lines(series, xlabel, unit, log))

    def whole(self, title):
        return ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<title>%s</title><style>%s</style></head><body>\n%s\n</body></html>\n" %
                (esc(title), STYLE, "\n".join(self.parts)))
