/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sandbox.h: what a running process can do, read from the kernel: nothing in here knows what
 * was configured. What is more than a domain should be able to do is a finding.
 */
#ifndef DOMAINS_SANDBOX_H
#define DOMAINS_SANDBOX_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include <jansson.h>

/* As a JSON object: "name", "pid", what was read, and "findings", an array of texts. `name` is
 * of a domain, or "supervisor", which is held to less. `supervisor`: whose namespaces a domain
 * must not share; 0: ours. NULL: there is no such process. */
json_t *sandbox_read(const char *name, pid_t pid, pid_t supervisor);

/* For people. */
void sandbox_print(const json_t *processes);

/* sandbox_memory.c, sandbox_files.c: parts of it, that add to the object j. */
void sandbox_memory(json_t *j, pid_t pid, bool domain);
void sandbox_files(json_t *j, pid_t pid, bool domain);
void sandbox_finding(json_t *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
FILE *sandbox_open(pid_t pid, const char *file);

#endif
