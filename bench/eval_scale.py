# SPDX-License-Identifier: BSD-2-Clause
"""Many TCP sessions: what a packet costs with how many of them there, idle or in use."""
import json
import subprocess

from bench_net import Failure, sh
from bench_proc import children, cpu_ns, machine_busy_ns, process_name
from eval_lab import MANY_ACCOUNT
from eval_section import Section

PORT = 5005
PER_PORT = 12500  # sessions to one port of the server, which may be a process each
BUSY = 64         # requests under way at once
CHURN = 64        # sessions that come and go


class Scale(Section):
    name = "scale"
    title = "Many sessions"
    programs = ("bulkhead-scale",)
    serves = False
    most = 2
    most_quick = 1
    asked = ("What a packet costs with 1 to 50,000 TCP sessions, when one of them is in use and when "
             "all are, and how many connections a second come and go.")
    how = ("<code>bulkhead-scale</code>: requests of 64 bytes and answers of as many, from the kernel's "
           "side. <i>1 of n</i>: n sessions are there and one of them is in use, one request at a time. "
           "<i>n busy</i>: %d requests are under way at once (n, if there are fewer sessions), in turn "
           "over all sessions: so the packets come as densely, and only the sessions differ. In both "
           "everything is bound to one processor as soon as the sessions are there, which makes the "
           "cost of a packet a steady figure, and the requests a second those of one processor. "
           "<i>Come and go</i>, %d at once, is bound to none. The cost is the "
           "processor time of the stack's domains for each packet, by the peer's count of them; "
           "the kernel's own is in the interrupts of others, so for it there is only the whole "
           "machine's." % (BUSY, CHURN))

    VARIANTS = ("factored", "monolithic", "kernel")

    def lanes(self):
        return [v + "-many" for v in self.VARIANTS]

    def sizes(self, lab):
        return lab.pick((1, 10, 100, 1000, 10000, 50000), (1, 1000), (1, 10))

    def begin(self, lab):
        sh("ip", "netns", "exec", lab.peer, "sysctl", "-qw",
           "net.ipv4.ip_local_port_range=10000 60999", "net.ipv4.tcp_max_syn_backlog=16384",
           "net.core.somaxconn=16384")
        sh("ip", "netns", "exec", lab.ns, "sysctl", "-qw", "net.core.somaxconn=16384",
           "net.ipv4.tcp_max_syn_backlog=16384")

    def steps(self, lab):
        kinds = [("1 of %d" % n, n, 1, 1) for n in self.sizes(lab)]
        kinds += [("%d busy" % n, n, n, min(n, BUSY))
                  for n in sorted({BUSY, *self.sizes(lab)}) if n > 1]
        kinds.append(("come and go", CHURN, CHURN, 0))
        return [(test, v, lambda v=v, k=tuple(k): self.measure(lab, v, *k))
                for test, *k in kinds for v in self.VARIANTS if lab.there_is(v + "-many")]

    def measure(self, lab, variant, n, active, outstanding):
        lane = variant + "-many"
        tool, ports = lab.tool("bulkhead-scale"), 1 + (n - 1) // PER_PORT
        common = ("--sessions", str(n), "--port", str(PORT), "--ports", str(ports))
        server = lab.start(lab.ns, lane, tool, "--serve", "--via", lab.lanes[lane].via, "--address",
                           lab.addr(lane), *common)
        how = ("--churn",) if not outstanding else ("--outstanding", str(outstanding))
        client = None
        try:
            lab.wait_server(lane + "/scale", server, lab.addr(lane), PORT)
            client = subprocess.Popen(
                ("ip", "netns", "exec", lab.peer, tool, "--connect", lab.addr(lane), "--via",
                 "kernel", *common, "--active", str(active), *how, "--reset", "--pause", "--json",
                 "--seconds", "%g" % lab.pick(0.7, 0.4, 0.1), "--warmup", "0.1"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=lab.environment(lane))
            return self.drive(lab, lane, client, server, outstanding > 0)
        finally:
            if client and client.poll() is None:
                client.kill()
                client.wait()
            lab.forget(server)
            lab.unplace()

    def drive(self, lab, lane, client, server, together):
        pids = [p for p in children(lab.daemon[lane].pid)
                if process_name(p) != "bulkheadd"] if lane in lab.daemon else []
        at = {}
        for where in ("established", "warm", "done"):
            said = client.stderr.readline().strip()
            if said != where:
                raise Failure("bulkhead-scale: %s" % (said + client.stderr.read()).strip())
            if where == "established" and together:
                lab.place(pids + children(server.pid) + children(client.pid), {lab.here})
            at[where] = (cpu_ns(pids), cpu_ns(children(server.pid)), machine_busy_ns())
            client.stdin.write("\n")
            client.stdin.flush()
        out, err = client.communicate(timeout=60)
        if client.returncode:
            raise Failure("bulkhead-scale: " + err.strip())
        r = json.loads(out)
        result = {"requests_per_second": r["requests_per_second"], "p99_us": r["p99_us"],
                  "establish_per_second": r["establish_per_second"],
                  "connections_per_second": r["connections_per_second"]}
        packets = r["packets_out"] + r["packets_in"]
        if packets and not r["churn"]:
            used = [b - a for a, b in zip(at["warm"], at["done"])]
            if pids:
                result["ns_per_packet"] = used[0] / packets
                result["program_ns_per_packet"] = used[1] / packets
            result["machine_ns_per_packet"] = used[2] / packets
        return result

    def render(self, page):
        tests = page.data.tests(self.name)
        if not tests:
            return
        page.text(self.how)
        variants = page.data.variants(self.name)
        for kind, title in (("of", "one session in use"),
                            ("busy", "all in use, %d requests under way" % BUSY)):
            mine = sorted((t for t in tests if t.split()[1] == kind), key=self.count)
            if len(mine) < 2:
                continue
            page.lines("Cost of a packet in the domains, %s" % title, [
                (v, [self.count(t) for t in mine],
                 [page.data.stat(self.name, t, v, "ns_per_packet") for t in mine])
                for v in variants if v != "kernel"], "sessions", "ns", log=True)
        page.table(self.name, [(t, k, "%s: %s" % (t, label), unit) for t in tests
                               for k, label, unit in
                               (("ns_per_packet", "domains", "ns a packet"),
                                ("machine_ns_per_packet", "machine", "ns a packet"),
                                ("requests_per_second", "requests", "1/s"),
                                ("connections_per_second", "connections", "1/s"))
                               if (k == "connections_per_second") == (t == "come and go")],
                   variants)
        most = max((t for t in tests if t[0].isdigit()), key=self.count)
        page.table(self.name, [(most, "establish_per_second", "opening %d sessions" %
                                self.count(most), "1/s")], variants)

    @staticmethod
    def count(test):
        words = test.split()
        return int(words[2] if words[1] == "of" else words[0])

    def finish(self, lab):
        return {"accounts": MANY_ACCOUNT}
