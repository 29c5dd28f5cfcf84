# SPDX-License-Identifier: BSD-2-Clause
"""What must hold, as data: each row a ratio of two series of one run (or one figure)."""
from eval_stats import Data, holds

INSTEAD = "not measured in this run"


def row(what, must, aim, a, b=None, why=""):
    """must, aim: (">=" or "<=", number) or None; a, b: (section, test, variant, key).
    why: what it needs, for the case that it is missing."""
    return {"what": what, "must": must, "aim": aim, "a": a, "b": b, "why": why}


def bulk(what, a, b, must, aim, key="mbit_per_second", section="bulk", why=""):
    return [row("%s, %s" % (what, way), must, aim, (section, test, a, key), (section, test, b, key),
                why) for test, way in (("receive", "to the stack"), ("send", "from the stack"))]


def trip(what, a, b, must, aim, mode):
    return [row("1-byte round trip, %s, %s: %s" % (proto.upper(), mode[1], what), must, aim,
                ("latency", "%s-1/%s" % (proto, mode[0]), a, "p50_us"),
                ("latency", "%s-1/%s" % (proto, mode[0]), b, "p50_us"),
                "needs two processors" if mode[0] != "one" else "") for proto in ("tcp", "udp")]


def packets():
    """What AF_XDP leaves, to the stack and from it. From it that is what a raw sender gets
    through to a real TCP, as the stack has one at its peer: frames for a cheap sink cost the
    peer, and so on veth the sender, less than any TCP can have it; that is reported beside."""
    must, aim = (">=", 0.8), (">=", 0.95)

    def one(test, way, to, variant, must, aim):
        return row("TCP bulk in packets, %s: factored / raw AF_XDP%s" % (way, to), must, aim,
                   ("bulk", test, "factored", "packets_per_second"),
                   ("raw", test, variant, "packets_per_second"), "section raw")
    return [one("receive", "to the stack", "", "raw", must, aim),
            one("send", "from the stack", "", "raw", None, None),
            one("send", "from the stack", " to a TCP peer", "raw-tcp", must, aim)]


def limit(what, raw, kernel):
    """What AF_XDP leaves to any stack above it, as a ratio to the kernel's own: nothing to hold,
    but what a bound beside it has to be read with."""
    return row("the limit here, %s: raw AF_XDP / kernel" % what, None, None,
               raw + ("packets_per_second",), kernel + ("packets_per_second",), "section raw")


def trip_limit():
    """What AF_XDP leaves of a round trip: with nothing above it, and to a stack whose programs
    are processes of their own. Both look for more, giving way, before they sleep: that is less
    than sleeping at once."""
    return [row("the limit here, 1-byte round trip, UDP, all on one processor: %s / kernel" % what,
                None, None, ("latency", "udp-1/one", raw, "p50_us"),
                ("latency", "udp-1/one", "kernel", "p50_us"), "bulkhead-raw")
            for what, raw in (("raw AF_XDP", "raw"),
                              ("raw AF_XDP and a program in a process of its own", "raw-hop"))]


ONE, SLEEP, SPIN = (("one", "all on one processor"), ("sleep", "split over two, sleeping"),
                    ("spin", "split over two, spinning"))


def rows():
    out = bulk("TCP bulk, MTU 1500: factored / monolithic", "factored", "monolithic",
               (">=", 0.95), (">=", 1.05))
    out += packets()
    out += bulk("TCP bulk, MTU 1500: factored / kernel, offloads off", "factored", "kernel", None,
                (">=", 1.0))
    out += [limit("TCP bulk, MTU 1500, to the stack", ("raw", "receive", "raw"),
                  ("bulk", "receive", "kernel")),
            limit("TCP bulk, MTU 1500, from the stack", ("raw", "send", "raw-tcp"),
                  ("bulk", "send", "kernel"))]
    out += bulk("TCP bulk, MTU 9000: factored / kernel, offloads off", "factored", "kernel", None,
                (">=", 1.0), section="jumbo", why="Bulkhead on an MTU of 9000")
    out += bulk("TCP bulk, segment-taking back end: factored / kernel, offloads on", "segments",
                "kernel-on", (">=", 0.5), (">=", 1.0), why="a back end that takes segments")
    out.append(row("the limit here, TCP bulk, segments, from the stack: raw AF_PACKET / kernel, "
                   "offloads on", None, None, ("raw", "send-segments", "raw-segments", "mbit_per_second"),
                   ("bulk", "send", "kernel-on", "mbit_per_second"), "section raw"))
    out += trip("factored / monolithic", "factored", "monolithic", ("<=", 1.8), ("<=", 1.3), ONE)
    out += trip("monolithic / kernel", "monolithic", "kernel", ("<=", 1.4), ("<=", 1.0), ONE)
    out += trip_limit()
    for mode in (SLEEP, SPIN):
        out += trip("factored / kernel", "factored", "kernel", None, ("<=", 1.0), mode)
        out += trip("factored / monolithic", "factored", "monolithic", None, None, mode)
    for test, way, raw in (("receive", "to the stack", "raw-generated"),
                           ("send", "from the stack", "raw")):
        out.append(row("UDP, 64-byte packets a second, %s: factored / kernel" % way,
                       (">=", 1.5), (">=", 2.0), ("pps", test, "factored", "packets_per_second"),
                       ("pps", test, "kernel", "packets_per_second"), "section pps"))
        out.append(limit("UDP, 64-byte packets a second, " + way, ("raw", test + "-64", raw),
                         ("pps", test, "kernel")))
    out.append(row("nginx, unchanged, 100 connections, requests a second: factored / kernel, "
                   "offloads off", (">=", 0.8), (">=", 1.0),
                   ("http", "100", "nginx-factored", "requests_per_second"),
                   ("http", "100", "nginx", "requests_per_second"), "section http"))
    out += bulk("CPU time a GiB at saturation: factored / monolithic", "factored", "monolithic",
                ("<=", 1.25), ("<=", 1.1), key="cpu_s_per_gib")
    out.append(row("one active flow among 50k idle / alone, cost a packet, factored", ("<=", 1.1),
                   ("<=", 1.0), ("scale", "1 of 50000", "factored", "ns_per_packet"),
                   ("scale", "1 of 1", "factored", "ns_per_packet"), "section scale"))
    # One session has one request under way: with as many under way the baseline is 64 sessions.
    out.append(row("50k active sessions / 64, as many requests under way, cost a packet, factored",
                   None, ("<=", 1.5), ("scale", "50000 busy", "factored", "ns_per_packet"),
                   ("scale", "64 busy", "factored", "ns_per_packet"), "section scale"))
    for v in ("factored", "monolithic"):
        out.append(row("idle CPU, all domains, %s, %%" % v, ("<=", 0.05), None,
                       ("idle", "all", "both", v + " domains percent")))
    return out


def evaluate(samples):
    """Every row with what was measured: for the JSON and for the first page."""
    data = Data(samples)
    out = []
    for r in rows():
        value = data.ratio(r["a"], r["b"]) if r["b"] else data.stat(*r["a"])
        out.append(dict(r, value=value, must_holds=holds(value, r["must"]),
                        aim_holds=holds(value, r["aim"])))
    return out


# Where a bound was not reached when this was written: what stands in the way, and what was tried.
# The measurements behind it are in bench/PROFILES.md.
LIMITS = (
    ("TCP bulk, MTU 1500: factored / monolithic, to the stack",
     "Four domains and the program have what the sender leaves of two processors. Tried: all on one "
     "processor while receiving, headers fetched ahead (both kept); looking longer and shorter before "
     "sleeping, letting arrivals wait as a card's interrupt moderation does (no)."),
    ("CPU time a GiB at saturation: factored / monolithic, to the stack",
     "The same: domains that have time left spend it giving way to each other."),
    ("TCP bulk in packets, to the stack",
     "The sender, its veth and AF_XDP's copy take one processor in both. The raw receiver looks at "
     "headers; the stack and its program copy all of it twice on the other processor, out of the first "
     "one's cache. Tried: as for factored / monolithic."),
    ("TCP bulk in packets, from the stack",
     "Each frame costs a pass through veth and the peer's TCP inside the sender's system call; the raw "
     "sender to a TCP peer pays for the same and for nothing else. Tried: where ip and tcp run."),
    ("TCP bulk, segment-taking back end",
     "Copies, most from one processor's cache to the other's: three on the way in and out, where the "
     "kernel has one. Tried: fewer copies by the zero-copy calls (a fifth more from the stack, nothing "
     "to it), domains where the scheduler likes (kept: a quarter more to the stack). "
     "What AF_PACKET itself leaves of the way from the stack is in the row below."),
    ("1-byte round trip, TCP, all on one processor: monolithic / kernel",
     "A program in a process of its own costs two switches and a wake-up more than a socket in the "
     "kernel. Tried: no acknowledgment of its own beside an answer, and a library that gives way "
     "instead of sleeping while it is answered at once (both kept)."),
    ("1-byte round trip, TCP, all on one processor: factored / monolithic",
     "The work is the same; the chain has 14 switches of process a round trip where the monolith has "
     "6. Of the domains' twelve six are for nothing: who gives way cannot say to whom. Tried: each "
     "subset of them asleep instead (no faster), a program that gives way too (slower), no restartable "
     "sequences in the domains (kept)."),
    ("1-byte round trip, UDP, all on one processor: factored / monolithic", "As for TCP."),
    ("1-byte round trip, UDP, all on one processor: monolithic / kernel",
     "As for TCP. See the limit in the next rows: of what the bound allows, AF_XDP and a program in a "
     "process of its own take most with no stack between them, if that program gives way instead of "
     "sleeping; with one that sleeps (in the section) it is no less than the monolith's round trip."),
    ("UDP, 64-byte packets a second",
     "See the limit in the next row: raw AF_XDP itself, with no stack above. Sending, nic spends nine "
     "tenths of its time inside the system call that sends. Tried: ip, tcp and udp elsewhere."),
)


def why_not(rows_measured):
    """(what, text) of each measured row that did not reach its bound and of which more is known."""
    return [(r["what"], text) for r in rows_measured if r["must_holds"] in ("no", "unlikely")
            for prefix, text in LIMITS if r["what"].startswith(prefix)]


def bound(b):
    return "reported" if b is None else "%s %g" % ("≥" if b[0] == ">=" else "≤", b[1])


SAY = {"yes": "holds", "likely": "holds by the median; the interval does not exclude that it does "
       "not", "unlikely": "not by the median, but within the interval", "no": "does not hold",
       None: ""}
