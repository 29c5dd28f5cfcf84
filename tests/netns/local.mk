# Tests against a real Linux peer, in network namespaces of their own. They need root and
# skip, saying so, without it. To add one: NETNS_TESTS += tests/netns/test_x.sh
NETNS_TESTS = \
	tests/netns/test_bulk.sh tests/netns/test_checksum.sh tests/netns/test_driver.sh tests/netns/test_host.sh \
	tests/netns/test_hand_over.sh tests/netns/test_http.sh tests/netns/test_jumbo.sh tests/netns/test_misuse.sh tests/netns/test_path.sh \
	tests/netns/test_ping.sh tests/netns/test_place.sh tests/netns/test_policy.sh tests/netns/test_probes.sh tests/netns/test_restart.sh tests/netns/test_udp.sh \
	tests/netns/test_wire.sh
dist_noinst_DATA += tests/netns/lib.sh

# A sanitizer's run-time does not live inside a domain's system-call filter.
if !SANITIZERS
TESTS += $(NETNS_TESTS)
endif
dist_check_SCRIPTS += $(NETNS_TESTS)

# The nic domain, confined and killed.
if ENABLE_FACTORED
NETNS_TESTS += tests/netns/test_nic.sh
check_PROGRAMS += tests/netns/nic_harness
tests_netns_nic_harness_SOURCES = tests/netns/nic_harness.c
tests_netns_nic_harness_LDADD = $(NETIF_LIBS)
endif

# What a hostile domain can try.
NETNS_TESTS += tests/netns/test_confine.sh
check_PROGRAMS += tests/netns/confine_probe
tests_netns_confine_probe_SOURCES = tests/netns/confine_probe.c tests/netns/probe.h \
	tests/netns/probe_attempts.c domains/spawn.c
tests_netns_confine_probe_LDADD = $(DOMAIN_LIBS)

# Every system call on a domain's list is made, and no other.
NETNS_TESTS += tests/netns/test_calls.sh
check_PROGRAMS += tests/netns/call_trace tests/netns/want_wakeup
tests_netns_call_trace_SOURCES = tests/netns/call_trace.c
tests_netns_call_trace_LDADD = $(SECCOMP_LIBS)
tests_netns_want_wakeup_SOURCES = tests/netns/want_wakeup.c

# What the kernel says that they can do.
NETNS_TESTS += tests/netns/test_sandbox.sh

# Domains that somebody took over, in a running stack.
NETNS_TESTS += tests/netns/test_rogue.sh
check_PROGRAMS += tests/netns/inject tests/netns/rogue
tests_netns_inject_SOURCES = tests/netns/inject.c
tests_netns_rogue_SOURCES = tests/netns/rogue.c
tests_netns_rogue_LDADD = $(DOMAIN_LIBS)

# The tools by themselves, on the kernel's stack.
NETNS_TESTS += tests/netns/test_tools_kernel.sh

# Many connections with the stack as the client.
NETNS_TESTS += tests/netns/test_many.sh
NETNS_TESTS += tests/netns/test_standin.sh tests/netns/test_loopback.sh
check_PROGRAMS += tests/netns/hand_over
tests_netns_hand_over_SOURCES = tests/netns/hand_over.c
tests_netns_hand_over_LDADD = libbulkhead.la
check_PROGRAMS += tests/netns/many_conns tests/netns/standin
tests_netns_standin_SOURCES = tests/netns/standin.c
tests_netns_standin_LDADD = libbulkhead.la
tests_netns_many_conns_SOURCES = tests/netns/many_conns.c
tests_netns_many_conns_LDADD = libbulkhead.la

# Packet scripts against the running stack.
NETNS_TESTS += tests/netns/test_packet.sh

# A SYN flood.
NETNS_TESTS += tests/netns/test_flood.sh
check_PROGRAMS += tests/netns/syn_flood
tests_netns_syn_flood_SOURCES = tests/netns/syn_flood.c
tests_netns_syn_flood_LDADD = libproto.la

# Socket options beside those of the kernel's own sockets, and their effects with a real peer.
NETNS_TESTS += tests/netns/test_sockopt.sh
check_PROGRAMS += tests/netns/sockopt_compare tests/netns/sockopt_behave
tests_netns_sockopt_compare_SOURCES = tests/netns/sockopt_compare.c
tests_netns_sockopt_compare_LDADD = libbulkhead.la
tests_netns_sockopt_behave_SOURCES = tests/netns/sockopt_behave.c
tests_netns_sockopt_behave_LDADD = libbulkhead.la

# Domains that are made to hang.
NETNS_TESTS += tests/netns/test_hang.sh
check_PROGRAMS += tests/netns/hang
tests_netns_hang_SOURCES = tests/netns/hang.c

# Attacks of a client on a running stack, while others use it.
NETNS_TESTS += tests/netns/test_hostile.sh
check_PROGRAMS += tests/hostile/foe
tests_hostile_foe_SOURCES = tests/hostile/foe.c tests/hostile/chan.c tests/hostile/chan.h \
	tests/hostile/attack_memory.c tests/hostile/attack_request.c \
	tests/hostile/attack_control.c tests/hostile/attack_death.c
tests_hostile_foe_LDADD = libclient.la libipc.la libproto.la -lpthread

# A domain that an attacker took over.
if ENABLE_FACTORED
NETNS_TESTS += tests/netns/test_bad_domain.sh
check_PROGRAMS += tests/hostile/bad_domain
tests_hostile_bad_domain_SOURCES = tests/hostile/bad_domain.c
tests_hostile_bad_domain_LDADD = $(DOMAIN_LIBS)
endif

# The evaluation, small.
NETNS_TESTS += tests/netns/test_eval.sh

# Floods of all kinds.
NETNS_TESTS += tests/netns/test_floods.sh

# Names, asked for over the stack.
NETNS_TESTS += tests/netns/test_resolve.sh
check_PROGRAMS += tests/netns/resolve_plain tests/netns/resolve_try
dist_noinst_SCRIPTS += tests/netns/dns_server.py
tests_netns_resolve_plain_SOURCES = tests/netns/resolve_try.c
tests_netns_resolve_try_SOURCES = tests/netns/resolve_rules.c tests/netns/resolve_try.c
tests_netns_resolve_try_LDADD = libnames.la librules.la libbulkhead.la -lpthread

# Other people's programs, unchanged.
NETNS_TESTS += tests/netns/test_programs.sh
dist_noinst_DATA += tests/netns/programs.tab tests/netns/programs.sh \
	tests/netns/programs.differences \
	tests/netns/programs/close.lua tests/netns/programs/echo_client.py \
	tests/netns/programs/echo_server.py tests/netns/programs/HttpFiles.java \
	tests/netns/programs/memcached_client.py tests/netns/programs/node_http.js \
	tests/netns/programs/pgbench.sh
