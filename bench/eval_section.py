# SPDX-License-Identifier: BSD-2-Clause
"""What a section of bench/eval is: something to measure in every round, and how it is shown."""

NAMES = {"factored": "factored", "monolithic": "monolithic", "kernel": "kernel, offloads off",
         "kernel-on": "kernel, offloads on", "nginx": "nginx on the kernel, offloads off",
         "nginx-on": "nginx on the kernel, offloads on",
         "nginx-factored": "nginx on factored", "nginx-monolithic": "nginx on monolithic",
         "segments": "factored, taking segments",
         "raw": "raw AF_XDP", "raw-tcp": "raw AF_XDP, to a TCP peer",
         "raw-segments": "raw AF_PACKET, segments to a TCP peer",
         "raw-sleep": "raw AF_XDP, sleeping",
         "raw-hop": "raw AF_XDP and a program in a process of its own",
         "raw-hop-sleep": "raw AF_XDP and a program in a process of its own, sleeping",
         "raw-generated": "raw AF_XDP, from AF_PACKET"}
COMPARED = (("factored", "monolithic"), ("factored", "kernel"), ("monolithic", "kernel"),
            ("factored", "kernel-on"), ("segments", "kernel-on"))


class Section:
    name = ""      # in --sections and in the samples
    title = ""
    asked = ""     # what it is to show; HTML
    how = ""       # how it was measured; HTML
    tools = ()     # programs of others that it needs: without them it is left out
    programs = ()  # the same, of this project
    serves = True  # its lanes need the servers of bench_stacks
    most = 99      # rounds
    most_quick = 99

    def lanes(self):
        return ()

    def begin(self, lab):
        """Once, before the first round."""

    def steps(self, lab):
        """[(test, variant, function that measures it once and returns {key: value})]: one
        round."""
        return []

    def finish(self, lab):
        """Once, after the last round; may return something for the JSON."""

    def introduced(self, page):
        """The tests that were measured; if there are any, how is said on the page."""
        tests = page.data.tests(self.name)
        if tests:
            page.text(self.how)
        return tests

    def render(self, page):
        """page: eval_page.Page"""


def plan(section, lab, n):
    """The steps of round n: every second round backwards, so that none is always after the
    same other."""
    most = section.most_quick if lab.quick else section.most
    steps = section.steps(lab) if n < most else []
    return steps if n % 2 == 0 else steps[::-1]
