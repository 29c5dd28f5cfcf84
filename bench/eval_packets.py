# SPDX-License-Identifier: BSD-2-Clause
"""Packets a second: raw AF_XDP, what every stack has above it, and small UDP datagrams."""
import json
import subprocess
import time

from bench_net import Failure
from eval_section import Section

RAW_PORT, PPS_PORT = 5003, 5004
TAIL = 0.6  # that a sender goes on for beyond the receiver's window: its warm-up, and some
WAYS = (("receive", "to the stack"), ("send", "from the stack"))


def receive_while(lab, lane, receiver, sender, seconds):
    """Start the receiver, then the sender; each is (namespace, command). The receiver counts
    over a window of its own and ends then; so does the sender, later. Both results."""
    rx = lab.start(receiver[0], lane, *receiver[1], stdout=subprocess.PIPE, text=True)
    time.sleep(0.15)
    tx = lab.start(sender[0], lane, *sender[1], stdout=subprocess.PIPE, text=True)
    try:
        got, _ = rx.communicate(timeout=seconds + 15)
        sent, _ = tx.communicate(timeout=seconds + 15)
        if rx.returncode or not got.strip():
            raise Failure("the receiver ended with %d: %s; the sender: %s" %
                          (rx.returncode, lab.said(rx), lab.said(tx)))
        return json.loads(got), json.loads(sent) if sent.startswith("{") else {}
    finally:
        lab.forget(rx, tx)


def addresses(lab, lane):
    """Of the two ends without a kernel's address: .1 and .3; .2 is the peer's kernel."""
    base = lab.addr(lane).rsplit(".", 1)[0]
    return base + ".1", base + ".3"


class Raw(Section):
    name = "raw"
    title = "Raw AF_XDP"
    programs = ("bulkhead-raw", "bulkhead-ttcp")
    serves = False
    asked = ("What the interface and this machine leave to any stack on AF_XDP: the same sockets, "
             "rings and frames with nothing above them.")
    how = ("Frames of 1514 and of 64 bytes over a pair of their own, by the receiver's count. "
           "<i>To the stack</i>: from one AF_XDP socket to another, the receiver looking without "
           "sleeping; from a generator on AF_PACKET instead; or the receiver sleeping in "
           "<code>poll</code>. <i>From the stack</i>: from an AF_XDP "
           "socket to the peer's kernel. As UDP it drops them at a socket filter: a cheap sink, "
           "before any TCP would see them; that is what the interface leaves. On a veth pair the "
           "peer receives inside the sender's <code>sendto</code>, so what its TCP costs more than "
           "a sink slows every sender down. <i>To a TCP peer</i> therefore is one connection to "
           "the program and buffers of the section on bulk: ready-made segments within its "
           "window, its acknowledgments read, no congestion control, asleep where "
           "there is nothing to do; a run in which a frame was lost is repeated, twice at most. That is the limit "
           "of any TCP on AF_XDP. <i>Segments</i>: the same by AF_PACKET, up to 64 KiB for the "
           "kernel to cut, with the code of Bulkhead's own driver for it and offloads on. In "
           "packets, TCP is compared by its data segments alone, though acknowledgments are "
           "packets too.")

    def lanes(self):
        return ("bare",)

    def steps(self, lab):
        out = []
        for frame in lab.pick((1514, 64), (1514,), (1514,)):
            tag = "" if frame == 1514 else "-64"
            out += [("receive" + tag, v, lambda v=v, f=frame: self.receive(lab, f, v))
                    for v in lab.pick(("raw", "raw-generated", "raw-sleep"), ("raw",),
                               ("raw", "raw-generated"))
                    if v != "raw-generated" or lab.have("bulkhead-pps")]
            if lab.have("bulkhead-pps"):
                out.append(("send" + tag, "raw", lambda f=frame: self.send(lab, f)))
            if frame == 1514:
                out.append(("send", "raw-tcp", lambda f=frame: self.send_tcp(lab, f)))
                out.append(("send-segments", "raw-segments", lambda: self.send_segments(lab)))
        return out

    def commands(self, lab, to, frame, seconds, address):
        return (lab.tool("bulkhead-raw"), "--interface", lab.dev("bare"), "--address", address,
                "--transmit", to, "--port", str(RAW_PORT), "--frame", str(frame), "--seconds",
                "%g" % (seconds + TAIL), "--json")

    def receive(self, lab, frame, variant):
        seconds = lab.pick(1.0, 0.4, 0.3)
        one, other = addresses(lab, "bare")
        rx = [lab.tool("bulkhead-raw"), "--interface", lab.dev("bare"), "--address", one,
              "--receive", "--seconds", "%g" % seconds, "--json"]
        if variant == "raw-sleep":
            rx.append("--sleep")
        tx = self.commands(lab, one, frame, seconds, other)
        if variant == "raw-generated":
            tx = (lab.tool("bulkhead-pps"), "--generate", lab.dev("bare"), "--to", one, "--size",
                  str(max(18, frame - 42)), "--seconds", "%g" % (seconds + TAIL))
        r, _ = receive_while(lab, "bare", (lab.ns, rx), (lab.peer, tx), seconds)
        return {"packets_per_second": r["frames_per_second"], "batch": r["mean_batch"],
                "cpu_seconds": r["cpu_seconds"] / r["seconds"]}

    def send(self, lab, frame):
        seconds = lab.pick(1.0, 0.4, 0.3)
        one, _ = addresses(lab, "bare")
        to = lab.addr("bare", True)
        r, s = receive_while(
            lab, "bare",
            (lab.peer, (lab.tool("bulkhead-pps"), "--receive", "--sink", "--via", "kernel",
                        "--address", to, "--port", str(RAW_PORT), "--size",
                        str(max(8, frame - 42)), "--seconds", "%g" % seconds, "--json")),
            (lab.ns, self.commands(lab, to, frame, seconds, one)), seconds)
        return {"packets_per_second": r["packets_per_second"],
                "sent_per_second": s.get("frames_per_second")}

    def send_segments(self, lab):
        lab.set_offloads("bare", "default")
        try:
            r = self.send_tcp(lab, 1514, "--segments")
            return {k: r[k] for k in ("mbit_per_second", "cpu_seconds", "sent_again")}
        finally:
            lab.set_offloads("bare", "off")

    def send_tcp(self, lab, frame, *options):
        for _ in range(3):
            sample = self.send_tcp_once(lab, frame, *options)
            if not sample["sent_again"]:  # a loss is no matter of what the interface can carry
                break
        return sample

    def send_tcp_once(self, lab, frame, *options):
        one, _ = addresses(lab, "bare")
        to = lab.addr("bare", True)
        rx = lab.receiver("bare", "peer", RAW_PORT)
        try:
            lab.wait_server("bare/peer/bulk", rx, to, RAW_PORT)
            r = lab.run(lab.ns, "bare", *self.commands(lab, to, frame, lab.pick(1.0, 0.4, 0.3),
                                                       one), "--tcp", "--sleep", *options)
        finally:
            lab.forget(rx)
        return {"packets_per_second": r["frames_per_second"],
                "mbit_per_second": r["tcp_payload_bits_per_second"] / 1e6,
                "batch": r["acknowledgment_batch"], "sent_again": r["sent_again"],
                "cpu_seconds": r["cpu_seconds"] / r["seconds"]}

    def render(self, page):
        if not page.data.tests(self.name):
            return
        page.text(self.how)
        page.table(self.name, [(w + t, "packets_per_second", "%s, %s bytes" % (title, f), "1/s")
                               for t, f in (("", "1514"), ("-64", "64")) for w, title in WAYS] +
                   [("send-segments", "mbit_per_second", "from the stack, segments", "Mbit/s")],
                   page.data.variants(self.name), ())


class Pps(Section):
    name = "pps"
    title = "UDP, 64-byte packets a second"
    programs = ("bulkhead-pps",)
    serves = False
    asked = "How many small datagrams a program gets, and how many it gets rid of."
    how = ("18 bytes of payload, 64 to a call (<code>recvmmsg</code>, <code>sendmmsg</code> and "
           "the same calls of Bulkhead), counted by the receiver. <i>To the stack</i>: finished "
           "frames from an AF_PACKET generator at the peer, the same for all. <i>From the "
           "stack</i>: the peer's kernel drops them at the socket.")

    def lanes(self):
        return ("factored", "monolithic", "kernel", "kernel-on")

    def steps(self, lab):
        return [(way, v, lambda way=way, v=v: self.measure(lab, way, v)) for way, _ in WAYS
                for v in self.lanes() if lab.there_is(v)]

    def measure(self, lab, way, lane):
        seconds = lab.pick(1.0, 0.4, 0.3)
        via, tool = lab.lanes[lane].via, lab.tool("bulkhead-pps")
        to = lab.addr(lane, way == "send")
        common = ("--port", str(PPS_PORT), "--size", "18", "--json")
        rx = [tool, "--receive", "--address", to, "--seconds", "%g" % seconds, *common, "--via",
              "kernel" if way == "send" else via]
        if way == "send":
            tx = [tool, "--transmit", to, "--via", via]
            rx.append("--sink")
        else:
            tx = [tool, "--generate", lab.dev(lane), "--to", to]
        tx += ["--seconds", "%g" % (seconds + TAIL), *common]
        here, there = (lab.ns, lab.peer) if way == "receive" else (lab.peer, lab.ns)
        r, s = receive_while(lab, lane, (here, rx), (there, tx), seconds)
        return {"packets_per_second": r["packets_per_second"],
                "sent_per_second": s.get("packets_per_second"), "batch": r["mean_batch"]}

    def render(self, page):
        if not page.data.tests(self.name):
            return
        page.text(self.how)
        page.bars("Datagrams a second", self.name, WAYS, page.data.variants(self.name),
                  "packets_per_second", "1/s")
        page.table(self.name, [(w, k, "%s: %s" % (t, label), "1/s") for w, t in WAYS
                               for k, label in (("packets_per_second", "received"),
                                                ("sent_per_second", "sent, by the sender"))],
                   page.data.variants(self.name))
