# SPDX-License-Identifier: BSD-2-Clause
"""Namespaces and the programs that run in them, for the runners in this folder."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from bench_proc import read


class Failure(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def sh(*cmd, check=True, timeout=60):
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=timeout, stdin=subprocess.DEVNULL)
    if check and p.returncode:
        raise Failure("%s: %s" % (" ".join(cmd), p.stdout.strip()))
    return p.stdout


def size(text):
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    return int(text[:-1] if shift else text) << shift


def default_bindir():
    here = os.path.dirname(os.path.abspath(__file__))
    for d in (os.getcwd(), os.path.dirname(here), os.path.join(os.path.dirname(here), "build")):
        if os.access(os.path.join(d, "bulkhead-ttcp"), os.X_OK):
            return d
    return os.path.dirname(shutil.which("bulkhead-ttcp") or "") or os.getcwd()


def parser(name, description):
    p = argparse.ArgumentParser(prog=name, description=description.split("\n\n")[0])
    p.add_argument("--bindir", default=default_bindir(), help="where the programs are")
    p.add_argument("--rounds", type=int)
    p.add_argument("--quick", action="store_true", help="fewer and smaller: a look, no figure")
    p.add_argument("--json", metavar="FILE", help="everything, every sample too")
    return p


class Net:
    """Namespaces, processes and a directory, all of which down() removes."""

    def __init__(self, opt, tag):
        self.opt = opt
        self.tag = "%s%d" % (tag, os.getpid())
        self.spaces = []
        self.work = tempfile.mkdtemp(prefix="bulkhead-bench.")
        os.chmod(self.work, 0o755)
        self.procs = []
        self.n_logs = 0
        self.env = dict(os.environ, BULKHEAD_RUN_DIR=self.work + "/run")

    def space(self, name):
        ns = "%s-%s" % (self.tag, name)
        sh("ip", "netns", "add", ns)
        self.spaces.append(ns)
        sh("ip", "-n", ns, "link", "set", "lo", "up")
        return ns

    def sysctl(self, ns, *settings, check=True):
        sh("ip", "netns", "exec", ns, "sysctl", "-qw", *settings, check=check)

    def tool(self, name):
        for d in (self.opt.bindir, os.path.join(self.opt.bindir, "bench"),
                  os.path.join(self.opt.bindir, "domains")):
            path = os.path.join(d, name)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                return path
        raise Failure("no %s in %s (--bindir)" % (name, self.opt.bindir))

    def environment(self, stack):
        return dict(self.env, BULKHEAD_INSTANCE="bench-" + stack)

    def start(self, ns, stack, *cmd, **kw):
        log = open(os.path.join(self.work, "log.%d" % self.n_logs), "w+", encoding="utf-8")
        self.n_logs += 1
        p = subprocess.Popen(("ip", "netns", "exec", ns) + cmd, stdout=kw.pop("stdout", log),
                             stderr=log, env=self.environment(stack),
                             stdin=kw.pop("stdin", subprocess.DEVNULL), **kw)
        p.log = log
        self.procs.append(p)
        return p

    def said(self, p):
        p.log.flush()
        return read(p.log.name).strip()[-4000:]

    def run(self, ns, stack, *cmd, timeout=120):
        p = subprocess.run(("ip", "netns", "exec", ns) + cmd, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=timeout,
                           env=self.environment(stack), stdin=subprocess.DEVNULL)
        if p.returncode:
            raise Failure("%s: exit %d: %s" % (" ".join(cmd), p.returncode, p.stderr.strip()))
        return json.loads(p.stdout)

    def end(self, *procs):
        """Ends what start() started. One that ends by itself on SIGTERM may say a last word."""
        live = [p for p in procs if p.poll() is None]
        for p in live:
            p.terminate()
        until = time.monotonic() + 5
        for p in live:
            try:
                p.wait(max(0.05, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def forget(self, *procs):
        """End them, and let go of their logs."""
        self.end(*procs)
        for p in procs:
            p.log.close()
            os.unlink(p.log.name)
            self.procs.remove(p)

    def down(self):
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.SIG_IGN)
        self.end(*self.procs)
        for ns in self.spaces:
            subprocess.run(("ip", "netns", "del", ns), stderr=subprocess.DEVNULL)
        shutil.rmtree(self.work, ignore_errors=True)
