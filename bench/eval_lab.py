# SPDX-License-Identifier: BSD-2-Clause
"""What the sections of bench/eval measure with: the lanes, where processes run, programs."""
import json
import os
import shutil
import subprocess

from bench_net import Failure, sh
from bench_stacks import STACKS, Lane, Stacks

SPIN_US = 1000  # in the lanes that spin: longer than any round trip
SPIN = ("--spin", str(SPIN_US))
# What a TCP socket may buffer at first to send and to receive, and at most: of every stack.
SNDBUF, RCVBUF, BUFFER_MAX = 524288, 1000000, 16777216
KERNEL = {"net.ipv4.tcp_wmem": "4096 %d %d" % (SNDBUF, BUFFER_MAX),
           "net.ipv4.tcp_rmem": "4096 %d %d" % (RCVBUF, BUFFER_MAX)}
MANY = 131072  # sessions of the lanes that have many
MANY_ACCOUNT = """account "all" {
    ports = {"any"}
    listen = {"any"}
    peers = {"any"}
    accept = {"any"}
    congestion = {"any"}
    sessions = %d
    half_open = 1024
    arena = "2G"
}
""" % MANY


def lanes():
    """Every lane that a section may ask for. "kernel" has its offloads off, as the peers of all
    others have; "kernel-on" is as Linux sets an interface up, and so is its peer."""
    out = [Lane("factored", "factored"), Lane("monolithic", "monolithic"),
           Lane("kernel", "kernel"), Lane("kernel-on", "kernel"),
           Lane("kernel-sleep", "kernel"),
           Lane("kernel-spin", "kernel", echo=SPIN), Lane("bare", "bare"),
           Lane("segments", "factored", conf='driver = "packet"\n')]
    for stack in ("factored", "monolithic"):
        out += [Lane(stack + "-sleep", stack, conf="spin_us = 0\n"),
                Lane(stack + "-spin", stack, conf="spin_us = %d\n" % SPIN_US, echo=SPIN),
                Lane(stack + "-traced", stack, program="bench/traced/bulkheadd"),
                Lane(stack + "-many", stack, slots=MANY, conf='accounts = "%s"\n'),
                Lane(stack + "-9000", stack, mtu=9000)]
    out += [Lane("kernel-many", "kernel"), Lane("kernel-9000", "kernel", mtu=9000),
            Lane("kernel-on-9000", "kernel", mtu=9000), Lane("bare-9000", "bare", mtu=9000)]
    return {lane.name: lane for lane in out}


class Lab(Stacks):
    def __init__(self, opt, wanted):
        every = lanes()
        super().__init__(opt, "bheval", [every[n] for n in every if n in wanted])
        self.quick, self.tiny = opt.quick or opt.tiny, opt.tiny
        self.remarks = []
        self.have_valgrind = not lacking("valgrind")
        self.others = []  # set-ups of sections that need one of their own
        self.was = {}  # thread: where it was allowed to run before place()
        cpus = sorted(os.sched_getaffinity(0))
        self.here, self.there = cpus[-1], cpus[-2] if len(cpus) > 1 else cpus[-1]
        self.two = len(cpus) > 1

    def pick(self, full, quick, tiny):
        return tiny if self.tiny else quick if self.quick else full

    def remark(self, text):
        if text not in self.remarks:
            self.remarks.append(text)

    # ---- the set-up ----

    def space(self, name):
        ns = super().space(name)
        self.sysctl(ns, *("%s=%s" % kv for kv in KERNEL.items()))
        return ns

    def lane_up(self, lane):
        lane.conf += "sndbuf = %d\nrcvbuf = %d\nbuffer_max = %d\n" % (SNDBUF, RCVBUF, BUFFER_MAX)
        if lane.stack != "bare":
            super().lane_up(lane)
            self.cubic(lane)
            return
        dev = self.dev(lane.name)
        sh("ip", "link", "add", "name", dev, "netns", self.ns, "type", "veth", "peer", "name",
           dev, "netns", self.peer)
        for ns in (self.ns, self.peer):
            self.sysctl(ns, "net.ipv6.conf.%s.disable_ipv6=1" % dev, check=False)
            sh("ip", "-n", ns, "link", "set", dev, "mtu", str(lane.mtu), "up")
        sh("ip", "-n", self.peer, "addr", "add", self.addr(lane.name, True) + "/24", "dev", dev)

    def cubic(self, lane):
        """For what does not choose its congestion control: that of Bulkhead. By the route,
        because in a namespace not every one may be the default."""
        net = self.addr(lane.name).rsplit(".", 1)[0] + ".0/24"
        for ns, peer in ((self.ns, False), (self.peer, True)):
            if peer or lane.stack == "kernel":
                out = sh("ip", "-n", ns, "route", "change", net, "dev", self.dev(lane.name),
                         "proto", "kernel", "scope", "link", "src", self.addr(lane.name, peer),
                         "congctl", "cubic", check=False)
                if out.strip():
                    self.remark("CUBIC is not the kernel's default: " + out.strip())

    def wait_answer(self, name):
        if self.lanes[name].stack == "bare":
            return
        try:
            super().wait_answer(name)
        except Failure as e:
            if name in STACKS:  # nothing works without it
                raise
            self.remark("%s is left out: %s" % (name, e))
            self.forget(self.daemon.pop(name))

    def up(self):
        if "segments" in self.lanes and "--driver" not in sh(self.tool("bulkheadd"), "--help",
                                                             check=False):
            del self.lanes["segments"]
            self.remark("this bulkheadd has no back end that takes segments (--driver)")
        for name in [n for n, lane in self.lanes.items() if not self.have(lane.program)]:
            if name not in STACKS:
                del self.lanes[name]  # its section is left out, too
        accounts = os.path.join(self.work, "many.accounts")
        with open(accounts, "w", encoding="utf-8") as f:
            f.write(MANY_ACCOUNT)
        for name, lane in self.lanes.items():
            if name.endswith("-many"):
                lane.conf = lane.conf.replace("%s", accounts)
        super().up()
        for name in self.lanes:
            if self.there_is(name):
                on = name.startswith("kernel-on") or name == "segments"
                self.set_offloads(name, "default" if on else "off")

    def down(self):
        for other in self.others:
            other.down()
        super().down()

    def there_is(self, name):
        return name in self.daemon or (name in self.lanes and
                                       self.lanes[name].stack in ("kernel", "bare"))

    def environment(self, stack):
        env = super().environment(stack)
        if stack.endswith("-spin"):
            env["BULKHEAD_SPIN_US"] = str(SPIN_US)
        elif stack.endswith("-sleep"):
            env["BULKHEAD_SPIN_US"] = "0"
        elif stack.endswith("-traced"):
            env.pop("BULKHEAD_LIBEXEC_DIR", None)  # the twins are beside their daemon
        return env

    def have(self, program):
        try:
            return self.tool(program)
        except Failure:
            return None

    # ---- where things run ----

    def place(self, pids, cpus):
        for pid in pids:
            try:
                for tid in map(int, os.listdir("/proc/%d/task" % pid)):
                    self.was.setdefault(tid, os.sched_getaffinity(tid))
                    os.sched_setaffinity(tid, cpus)
            except OSError:
                pass  # it has ended

    def unplace(self):
        for tid, cpus in self.was.items():
            try:
                os.sched_setaffinity(tid, cpus)
            except OSError:
                pass
        self.was = {}

    @staticmethod
    def on(cpu):
        return ("taskset", "-c", str(cpu))

    # ---- asking the daemon ----

    def ctl(self, name, what):
        p = subprocess.run((self.tool("bulkheadctl"), "--instance", "bench-" + name, "--json",
                            what), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           env=self.environment(name), timeout=20)
        if p.returncode:
            raise Failure("bulkheadctl %s: %s" % (what, p.stderr.strip()))
        return json.loads(p.stdout)


def lacking(*tools):
    return [t for t in tools if not shutil.which(t)]
