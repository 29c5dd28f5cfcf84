# what domains/ builds

# What every domain process is made of besides its own main.
noinst_LTLIBRARIES += libdomain.la
libdomain_la_SOURCES = \
	domains/confine.c domains/confine.h domains/domain.c domains/domain.h \
	domains/domain_tell.c \
	domains/domain_setup.c domains/filter.c domains/driver.c domains/driver.h domains/nicmap.h \
	domains/packet.c domains/packet.h domains/vnet.c domains/vnet.h domains/guard.c domains/guard.h \
	domains/sanitized.h \
	domains/ip_start.c domains/ip_start.h domains/xsk.c domains/xsk.h domains/xsk_priv.h
nodist_libdomain_la_SOURCES = domains/syscalls.c
libdomain_la_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS) $(CAPNG_CFLAGS)
DOMAIN_LIBS = libdomain.la libipc.la libproto.la $(SECCOMP_LIBS) $(CAPNG_LIBS)

domains/syscalls.c: policy/syscalls.conf policy/syscalls.awk
	$(AM_V_GEN)$(MKDIR_P) domains && $(AWK) -f $(top_srcdir)/policy/syscalls.awk \
		$(top_srcdir)/policy/syscalls.conf >$@.tmp && mv -f $@.tmp $@
CLEANFILES += domains/syscalls.c

if ENABLE_FACTORED
pkglibexec_PROGRAMS += bulkhead-nic
bulkhead_nic_SOURCES = domains/nic_main.c
bulkhead_nic_LDADD = $(DOMAIN_LIBS)
endif

# Clients' requests, in the domain of either transport or in the monolith.
noinst_LTLIBRARIES += libserve.la
libserve_la_SOURCES = \
	domains/join.c domains/join.h domains/serve.c domains/serve.h domains/serve_call.c domains/serve_event.c domains/serve_standin.c domains/serve_told.c domains/serve_handle.c domains/serve_give.c \
	domains/serve_client.c domains/serve_client.h domains/transport.c domains/transport.h
SERVE_LIBS = libserve.la $(DOMAIN_LIBS)

if ENABLE_FACTORED
pkglibexec_PROGRAMS += bulkhead-ip bulkhead-tcp bulkhead-udp
bulkhead_ip_SOURCES = domains/ip_main.c
bulkhead_ip_LDADD = $(DOMAIN_LIBS)
bulkhead_tcp_SOURCES = domains/tcp_main.c
bulkhead_tcp_LDADD = $(SERVE_LIBS)
bulkhead_udp_SOURCES = domains/udp_main.c
bulkhead_udp_LDADD = $(SERVE_LIBS)
endif
if ENABLE_MONOLITHIC
pkglibexec_PROGRAMS += bulkhead-mono
bulkhead_mono_SOURCES = domains/mono_main.c
bulkhead_mono_LDADD = $(SERVE_LIBS)
endif

# The supervisor's side: spawning, the interface, and the XDP program as an array.
noinst_LTLIBRARIES += libnetif.la
libnetif_la_SOURCES = domains/netif.c domains/netif.h domains/netif_packet.c domains/spawn.c domains/spawn.h
nodist_libnetif_la_SOURCES = domains/xdp_prog_object.c
libnetif_la_CFLAGS = $(AM_CFLAGS)
NETIF_LIBS = libnetif.la libipc.la libproto.la $(BPF_LIBS)
EXTRA_DIST += domains/xdp_prog.c domains/embed.awk

domains/xdp_prog.bpf.o: domains/xdp_prog.c
	$(AM_V_GEN)$(MKDIR_P) domains && $(BPF_CLANG) $(BPF_CFLAGS) -fdebug-compilation-dir=. -c -o $@ \
		$(top_srcdir)/domains/xdp_prog.c
domains/xdp_prog_object.c: domains/xdp_prog.bpf.o domains/embed.awk
	$(AM_V_GEN)od -An -v -tx1 domains/xdp_prog.bpf.o | \
		$(AWK) -v name=xdp_prog_object -f $(top_srcdir)/domains/embed.awk >$@.tmp && \
		mv -f $@.tmp $@
CLEANFILES += domains/xdp_prog.bpf.o domains/xdp_prog_object.c

# Configuration files; bench/wire reads its profiles with it too.
noinst_LTLIBRARIES += libconffile.la
libconffile_la_SOURCES = domains/conf_file.c domains/conf_file.h
libconffile_la_CFLAGS = $(AM_CFLAGS) $(CONFUSE_CFLAGS)
CONFFILE_LIBS = libconffile.la $(CONFUSE_LIBS)

# The supervisor, and what asks it.
sbin_PROGRAMS += bulkheadd
bulkheadd_SOURCES = \
	domains/sup_main.c domains/sup.h domains/sup_attach.c domains/sup_standin.c domains/sup_policy.c \
	domains/sup_client.c domains/sup_config.c domains/sup_confine.c domains/sup_config.h domains/sup_control.c \
	domains/sup_domain.c domains/sup_host.c domains/sup_json.c domains/sup_json.h \
	domains/sup_link.c domains/sup_message.c domains/sup_options.c domains/sup_proc.c \
	domains/sup_place.c domains/sup_topology.c domains/sup_value.c domains/sup_watch.c \
	policy/topology.c policy/topology.h
nodist_bulkheadd_SOURCES = domains/syscalls.c
bulkheadd_CPPFLAGS = $(AM_CPPFLAGS) -DPKGLIBEXECDIR='"$(pkglibexecdir)"' \
	-DPACKAGE_VERSION='"$(PACKAGE_VERSION)"'
bulkheadd_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS) $(EVENT_CFLAGS) $(CONFUSE_CFLAGS) $(JANSSON_CFLAGS)
bulkheadd_LDADD = libpolicy.la $(NETIF_LIBS) $(EVENT_LIBS) $(CONFFILE_LIBS) $(JANSSON_LIBS) $(SECCOMP_LIBS) $(CAPNG_LIBS)

bin_PROGRAMS += bulkheadctl
bulkheadctl_SOURCES = \
	domains/bulkheadctl.c domains/ctl_print.c domains/ctl_print.h domains/sandbox.c \
	domains/sandbox.h domains/sandbox_files.c domains/sandbox_memory.c domains/sandbox_print.c
bulkheadctl_CPPFLAGS = $(AM_CPPFLAGS) -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"'
bulkheadctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
bulkheadctl_LDADD = libpolicy.la libipc.la libproto.la $(JANSSON_LIBS)

dist_man_MANS += man/bulkheadd.8 man/bulkheadctl.1 man/bulkhead.conf.5
