# SPDX-License-Identifier: BSD-2-Clause
"""Requests a second of the example HTTP server, and of nginx, unchanged, on every stack."""
import os
import re

from bench_net import Failure, sh
from eval_section import Section

PORT, NGINX_PORT, BODY = 8080, 8081, 1024
CONNECTIONS = (1, 10, 100, 1000)
# variant: lane, server
VARIANTS = {"factored": ("factored", "httpd"), "monolithic": ("monolithic", "httpd"),
            "kernel": ("kernel", "httpd"), "kernel-on": ("kernel-on", "httpd"),
            "nginx": ("kernel", "nginx"), "nginx-on": ("kernel-on", "nginx"),
            "nginx-factored": ("factored", "nginx"), "nginx-monolithic": ("monolithic", "nginx")}
NGINX = """daemon off; master_process off; worker_processes 1; pid %(dir)s/nginx.pid;
error_log stderr; events { worker_connections 8192; }
http { access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
  client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3;
  uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
  server { listen %(addr)s:%(port)d backlog=4096; root %(root)s; } }
"""
UNIT = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


def parse(text):
    """What wrk prints: requests a second, percentiles in us, errors."""
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    if not rate:
        raise ValueError("wrk said: " + text.strip()[-300:])
    out = {"requests_per_second": float(rate.group(1)), "errors": 0}
    for p, v, unit in re.findall(r"^\s*(50|75|90|99)%\s+([\d.]+)(us|ms|s|m)\b", text, re.M):
        out["p%s_us" % p] = float(v) * UNIT[unit]
    for v in re.findall(r"(?:connect|read|write|timeout) (\d+)", text):
        out["errors"] += int(v)
    for v in re.findall(r"Non-2xx or 3xx responses: (\d+)", text):
        out["errors"] += int(v)
    return out


class Http(Section):
    name = "http"
    title = "HTTP"
    tools = ("wrk", "nginx")
    programs = ("bulkhead-httpd", "bulkhead-run")
    serves = False
    most = 4
    most_quick = 1
    asked = ("What the example server does a second on either stack, and how long a request takes, "
             "with 1 to 1000 connections; beside it nginx on the kernel's stack, and on both "
             "compositions, unchanged.")
    how = ("<code>wrk</code>, one thread, on the kernel's side; a file of %d bytes, connections kept. "
           "<code>bulkhead-httpd</code> is one thread, nginx one worker with "
           "<code>sendfile</code> and no log; on Bulkhead it is started by "
           "<code>bulkhead-run</code>." % BODY)

    def lanes(self):
        return ("factored", "monolithic", "kernel", "kernel-on")

    def begin(self, lab):
        root = os.path.join(lab.work, "www")
        os.makedirs(root, exist_ok=True)
        os.chmod(root, 0o755)
        with open(os.path.join(root, "f"), "wb") as f:
            f.write(bytes(65 + i % 26 for i in range(BODY)))
        for lane, server in VARIANTS.values():
            if lab.there_is(lane):
                (self.start_nginx if server == "nginx" else self.start_httpd)(lab, lane, root)

    def start_httpd(self, lab, lane, root):
        p = lab.start(lab.ns, lane, lab.tool("bulkhead-httpd"), "--root", root, "--via",
                      lab.lanes[lane].via, "--address", lab.addr(lane), "--port", str(PORT))
        lab.wait_server(lane + "/httpd", p, lab.addr(lane), PORT)

    def start_nginx(self, lab, lane, root):
        d = os.path.join(lab.work, "nginx-" + lane)
        os.makedirs(d, exist_ok=True)
        conf = os.path.join(d, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(NGINX % {"dir": d, "addr": lab.addr(lane), "port": NGINX_PORT, "root": root})
        run = () if lab.lanes[lane].stack == "kernel" else (lab.tool("bulkhead-run"), "--")
        p = lab.start(lab.ns, lane, *run, "nginx", "-c", conf, "-p", d)
        lab.wait_server(lane + "/nginx", p, lab.addr(lane), NGINX_PORT)

    def steps(self, lab):
        return [(str(n), v, lambda n=n, v=v: self.measure(lab, n, v))
                for n in lab.pick(CONNECTIONS, (10,), (2,)) for v in VARIANTS
                if lab.there_is(VARIANTS[v][0])]

    def measure(self, lab, n, variant):
        lane, server = VARIANTS[variant]
        out = sh("ip", "netns", "exec", lab.peer, "wrk", "-t1", "-c%d" % n,
                 "-d1s", "--timeout", "5s", "--latency",
                 "http://%s:%d/f" % (lab.addr(lane), NGINX_PORT if server == "nginx" else PORT))
        r = parse(out)
        if not r["requests_per_second"]:
            raise Failure("%s answered nothing" % variant)
        return r

    def render(self, page):
        tests = page.data.tests(self.name)
        if not tests:
            return
        page.text(self.how)
        tests.sort(key=int)
        xs = [int(t) for t in tests]
        variants = [v for v in VARIANTS if v in page.data.variants(self.name)]
        for key, title, unit in (("requests_per_second", "Requests a second", "1/s"),
                                 ("p99_us", "99th percentile of a request", "µs")):
            page.lines(title, [(v, xs, [page.data.stat(self.name, t, v, key) for t in tests])
                               for v in variants], "connections", unit, log=True)
        page.table(self.name, [(t, k, "%s connections: %s" % (t, label), unit) for t in tests
                               for k, label, unit in
                               (("requests_per_second", "requests", "1/s"),
                                ("p50_us", "median", "µs"), ("p99_us", "99th percentile", "µs"),
                                ("errors", "errors", ""))], variants,
                   (("factored", "monolithic"), ("factored", "kernel"), ("factored", "nginx"),
                    ("factored", "nginx-on"), ("nginx-factored", "nginx"),
                    ("nginx-monolithic", "nginx")))
