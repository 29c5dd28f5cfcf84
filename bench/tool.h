/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tool.h: what the measuring tools and the HTTP server share: messages, arguments, clocks
 * and the start of a connection.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <netinet/in.h>
#include <stdint.h>

#include "bench/via.h"

/* The name before every message. */
extern const char *tool_name;

void tool_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void tool_die(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* How it is called, for who asked (EXIT_OK) or did not know (EXIT_USAGE). */
_Noreturn void tool_usage(const char *text, int code);

/* A number in [min, max], with K, M or G (powers of 1024) behind it if wanted. Exits with
 * EXIT_USAGE, naming the option, when the text is anything else. */
uint64_t tool_number(const char *option, const char *text, uint64_t min, uint64_t max);

/* Seconds, with a fraction if wanted, in [min, max]. Exits with EXIT_USAGE, naming the option.
 */
double tool_time(const char *option, const char *text, double min, double max);

/* The value of --via. Exits with EXIT_USAGE when there is no such stack. */
const struct via *tool_via(const char *text);

/* HOST: an IPv4 address or a name that has one; NULL: any address. Exits with EXIT_USAGE
 * when it cannot be resolved. */
struct sockaddr_in tool_address(const char *host, unsigned port);

/* Seconds and nanoseconds of CLOCK_MONOTONIC; user and system time of this process. */
double tool_seconds(void);
uint64_t tool_nanoseconds(void);
double tool_cpu_seconds(void);

/* A listening TCP socket, or a bound UDP one; type may hold SOCK_NONBLOCK. backlog is for
 * TCP. Exits with a message when it cannot be had. */
int tool_listen(const struct via *via, int type, const struct sockaddr_in *at, int backlog);

/* SIGINT and SIGTERM end the process at once with EXIT_OK: for servers that hold nothing
 * worth finishing. */
void tool_end_on_signal(void);

#endif
