# SPDX-License-Identifier: BSD-2-Clause
"""Runs one module of Python's own tests on a given address and writes down how each case ends.

    python_case.py [--host ADDRESS] [--network] [--only ID]... MODULE[:CLASS,...] RESULT

The tests talk to 127.0.0.1 and localhost. With --host each string constant in their source with
the former has ADDRESS instead, when the module is loaded: nothing on disk is changed. What
localhost means is for the caller, by /etc/hosts: it stands in certificates.

RESULT gets a line for each case, "pass ID", "fail ID" or "skip ID", in the order in which they end.
With --all it watches another of itself that does so: a case after which that process does not
exist any more, or that does not end in half a minute, is a "hang", and one more process goes on
after it. With --jobs there are as many of these beside each other, each with its part of the cases:
most of these wait for most of their time. What failed and why is on stderr.
"""
import argparse
import ast
import faulthandler
import importlib
import importlib.machinery
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import unittest

LOCAL = re.compile(r"\b127\.0\.0\.1\b")
CASE_SECONDS = 30
# Wants a virtual machine, and waits for it for ever.
LEFT_OUT = {"ThreadedVSOCKSocketStreamTest"}
HANGS = 20  # then the rest is left


class Renamed(ast.NodeTransformer):
    def __init__(self, host):
        self.host = host

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            text = LOCAL.sub(self.host, node.value)
        elif isinstance(node.value, bytes):
            text = LOCAL.sub(self.host, node.value.decode("latin-1")).encode("latin-1")
        else:
            return node
        return ast.copy_location(ast.Constant(text), node)


class Loader(importlib.machinery.SourceFileLoader):
    host = None

    def get_code(self, fullname):
        tree = ast.parse(self.get_data(self.path), self.path)
        tree = ast.fix_missing_locations(Renamed(self.host).visit(tree))
        return compile(tree, self.path, "exec", dont_inherit=True)


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith("test."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


class Result(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.bad = False

    def say(self, how, test):
        print(how, test.id().replace(" ", "_"), file=self.out, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.bad = False
        self.say("start", test)

    def wrong(self, test, err):
        self.bad = True
        self.say("fail", test)
        print("==", test.id(), file=sys.stderr)
        traceback.print_exception(*err)

    def addSubTest(self, test, subtest, err):
        if err is not None and not self.bad:
            self.wrong(test, err)

    def addError(self, test, err):
        if not self.bad:
            self.wrong(test, err)

    addFailure = addError

    def addSkip(self, test, reason):
        if not self.bad and not self.shouldStop:
            self.say("skip", test)

    def addSuccess(self, test):
        if not self.bad:
            self.say("pass", test)

    def addExpectedFailure(self, test, err):
        self.say("pass", test)

    def addUnexpectedSuccess(self, test):
        self.say("fail", test)


def cases(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from cases(one)
        else:
            yield one


def run(args):
    sys.dont_write_bytecode = True
    if args.host:
        Loader.host = args.host
        sys.meta_path.insert(0, Finder)
    from test import support

    support.use_resources = ["network"] if args.network else []
    name, _, classes = args.module.partition(":")
    module = importlib.import_module("test." + name)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    done = set()
    if os.path.exists(args.result):
        with open(args.result) as f:
            done = {line.split()[1] for line in f}
    chosen = unittest.TestSuite()  # nested by class, so that class and module fixtures work
    for number, test in enumerate(cases(suite)):
        known = test.id().replace(" ", "_")
        if number % args.jobs != args.part or known in done:
            continue
        if args.only and known not in args.only:
            continue
        if type(test).__name__ in LEFT_OUT:
            continue
        if not classes or type(test).__name__ in classes.split(","):
            chosen.addTest(test)
    faulthandler.enable()
    with open(args.result, "a") as out:
        chosen.run(Result(out))
        print("end -", file=out)


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def watched(command, result):
    """Runs it until it ends or has nothing to say for too long."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    last, since = size(result), time.monotonic()
    while child.poll() is None:
        time.sleep(0.1)
        if size(result) != last:
            last, since = size(result), time.monotonic()
        elif time.monotonic() - since > CASE_SECONDS:
            child.send_signal(signal.SIGABRT)  # says where each thread is
            try:
                child.wait(2)
            except subprocess.TimeoutExpired:
                child.kill()
    if child.returncode != 0:
        print("== exit status", child.returncode, file=sys.stderr)


def run_part(part, result, lines):
    """Until a process came to the end of its part of the module."""
    if os.path.exists(result):
        os.unlink(result)
    command = [sys.executable, __file__, "--part", str(part), *sys.argv[1:-1], result]
    command.remove("--all")
    for _ in range(HANGS):
        watched(command, result)
        if size(result) == 0:
            return  # not even loaded
        with open(result) as f:
            lines[:] = f.read().splitlines()
        if not lines[-1].startswith("start "):
            return
        with open(result, "a") as f:
            print(lines[-1].replace("start", "hang", 1), file=f)
            lines.append(lines[-1].replace("start", "hang", 1))


def run_all(args):
    """All parts; one line for each case is left."""
    parts = [[] for _ in range(args.jobs)]
    threads = [
        threading.Thread(target=run_part, args=(i, f"{args.result}.{i}", lines))
        for i, lines in enumerate(parts)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    lines = [line for part in parts for line in part]
    seen = {}
    for line in lines:
        how, name = line.split()
        if how not in ("start", "end"):
            seen.setdefault(name, how)  # "fail" may be followed by the class's own
    with open(args.result, "w") as f:
        f.writelines(f"{how} {name}\n" for name, how in seen.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--network", action="store_true", help="it asks for this resource")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--part", type=int, default=0, help="of the jobs, from 0")
    parser.add_argument("module")
    parser.add_argument("result")
    args = parser.parse_args()
    if args.all:
        run_all(args)
    else:
        run(args)


if __name__ == "__main__":
    main()
