# SPDX-License-Identifier: BSD-2-Clause
"""Processes as /proc shows them: who they are, what they use."""
import os


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def children(pid):
    """pid and everything below it."""
    parent = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = read("/proc/%s/stat" % name).rpartition(")")[2].split()
            if stat:
                parent.setdefault(int(stat[1]), []).append(int(name))
    found = [pid]
    for p in found:
        found += parent.get(p, [])
    return found


def cpu_ns(pids):
    """Time on a processor, user and system, of all threads."""
    total = 0
    for pid in pids:
        try:
            for tid in os.listdir("/proc/%d/task" % pid):
                total += int((read("/proc/%d/task/%s/schedstat" % (pid, tid)) or "0").split()[0])
        except OSError:
            pass
    return total


def ready_ns(pid):
    """Time that a process's first thread had a processor or waited for one."""
    return sum(int(x) for x in (read("/proc/%d/schedstat" % pid) or "0 0").split()[:2])


def process_cpu_ns(pids):
    """The same, to a tick, of threads and children that have ended too."""
    ticks = 0
    for pid in pids:
        stat = read("/proc/%d/stat" % pid).rpartition(")")[2].split()
        ticks += sum(int(x) for x in stat[11:15])
    return ticks * 1000000000 // os.sysconf("SC_CLK_TCK")


def machine_busy_ns():
    """Time that all processors were not idle, interrupts included."""
    v = [int(x) for x in read("/proc/stat").split("\n", 1)[0].split()[1:9]]
    return (sum(v) - v[3] - v[4]) * 1000000000 // os.sysconf("SC_CLK_TCK")


def process_name(pid):
    argv = read("/proc/%d/cmdline" % pid).split("\0")
    return os.path.basename(argv[0]) if argv[0] else str(pid)


def status_number(pid, key):
    for line in read("/proc/%d/status" % pid).splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def resident(pid):
    pss = [int(x.split()[1]) for x in read("/proc/%d/smaps_rollup" % pid).splitlines()
           if x.startswith("Pss:")]
    return {"name": process_name(pid), "pid": pid, "uid": status_number(pid, "Uid"),
            "rss_anon_kib": status_number(pid, "RssAnon"),
            "rss_shmem_kib": status_number(pid, "RssShmem"),
            "rss_file_kib": status_number(pid, "RssFile"), "pss_kib": pss[0] if pss else None}


def resident_by_use(pid):
    """Bytes of the mappings that hold sessions: resident ones of clients' arenas; the whole of
    the domain's store, which has room for a fixed number of sessions and is there from the
    start; and what is resident of everything else that can grow (not files)."""
    use = {"arena": 0, "store": 0, "other": 0}
    kind, counted = None, ""
    for line in read("/proc/%d/smaps" % pid).splitlines():
        word = line.split()
        if "-" in word[0] and not word[0].endswith(":"):
            name = " ".join(word[5:])
            kind, counted = "other", "Rss:"
            if "memfd:" in name and "client" in name:
                kind = "arena"
            elif "memfd:" in name and "store" in name:
                kind, counted = "store", "Size:"
            elif name.startswith("/") and "memfd:" not in name:
                kind = None
        elif kind and word[0] == counted:
            use[kind] += int(word[1]) * 1024
    return use
