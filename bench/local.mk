# what bench/ builds: the measuring tools and the example HTTP server
noinst_LTLIBRARIES += libbenchtool.la libhttp.la libbadwire.la

# The table of socket calls and what the tools share.
libbenchtool_la_SOURCES = \
	bench/pattern.c bench/pattern.h bench/tool.c bench/tool.h bench/via.c bench/via.h \
	bench/via_bulkhead.c bench/via_kernel.c bench/window.c bench/window.h
libbenchtool_la_LIBADD = libbulkhead.la

# The HTTP parser: pure.
libhttp_la_SOURCES = bench/http.c bench/http.h bench/http_text.h bench/http_value.c

bin_PROGRAMS += bulkhead-ttcp bulkhead-protolat bulkhead-httpd
bulkhead_ttcp_SOURCES = bench/ttcp.c
bulkhead_ttcp_LDADD = libbenchtool.la

bulkhead_protolat_SOURCES = \
	bench/protolat.c bench/protolat.h bench/protolat_measure.c bench/protolat_serve.c
bulkhead_protolat_LDADD = libbenchtool.la

bulkhead_httpd_SOURCES = \
	bench/evio.c bench/evio.h bench/httpd.c bench/httpd.h bench/httpd_conn.c \
	bench/httpd_reply.c
bulkhead_httpd_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
bulkhead_httpd_LDADD = libhttp.la libbenchtool.la libbulkhead-event.la $(EVENT_LIBS)

# A bad wire to measure on. What it decides is apart from what it does: pure, unit-tested.
libbadwire_la_SOURCES = \
	bench/wire/conf.c bench/wire/conf.h bench/wire/dice.h bench/wire/frame.c \
	bench/wire/frame.h bench/wire/line.c bench/wire/line.h bench/wire/way.c bench/wire/way.h
libbadwire_la_CFLAGS = $(AM_CFLAGS) $(CONFUSE_CFLAGS)
libbadwire_la_LIBADD = libproto.la $(CONFFILE_LIBS)

# A flood, for bench/flood and tests.
noinst_PROGRAMS += bulkhead-flood
bulkhead_flood_SOURCES = bench/flood_send.c
bulkhead_flood_LDADD = libproto.la

noinst_PROGRAMS += bulkhead-wire
bulkhead_wire_SOURCES = \
	bench/wire/main.c bench/wire/port.c bench/wire/port.h bench/wire/wire.c \
	bench/wire/wire.h
bulkhead_wire_LDADD = libbadwire.la libbenchtool.la

# The probes of the evaluation: datagrams a second, frames a second without a stack.
noinst_PROGRAMS += bulkhead-pps bulkhead-raw bulkhead-scale bulkhead-stages
bulkhead_pps_SOURCES = bench/pps.c bench/pps.h bench/pps_generate.c
bulkhead_pps_LDADD = libbenchtool.la libproto.la

bulkhead_raw_SOURCES = \
	bench/raw.c bench/raw_echo.c bench/raw_echo.h bench/raw_tcp.c bench/raw_tcp.h \
	bench/rawport.c bench/rawport.h
bulkhead_raw_LDADD = libbenchtool.la $(DOMAIN_LIBS) $(NETIF_LIBS)

bulkhead_stages_SOURCES = bench/stages.c bench/chain.c bench/chain.h bench/rawport.c bench/rawport.h
bulkhead_stages_LDADD = libbenchtool.la $(DOMAIN_LIBS) $(NETIF_LIBS)

bulkhead_scale_SOURCES = bench/loop.c bench/loop.h bench/hist.h bench/scale.c bench/scale.h \
	bench/scale_connect.c bench/scale_drive.c bench/scale_serve.c
bulkhead_scale_LDADD = libbenchtool.la

# Needs the simulation, which make check builds, or: make bulkhead-ticks
if HAVE_CRITERION
check_PROGRAMS += bulkhead-ticks
bulkhead_ticks_SOURCES = bench/ticks_main.c bench/ticks.h bench/ticks_ip.c bench/ticks_join.c bench/ticks_plain.c
bulkhead_ticks_LDADD = $(SIM_LIBS) $(SERVE_LIBS)
endif

# Where the time of a round trip goes: the domains once more, with a trace (trace.h).
noinst_PROGRAMS += bulkhead-layers
bulkhead_layers_SOURCES = bench/layers.c bench/trace.h
bulkhead_layers_LDADD = libbenchtool.la
TRACED = bench/trace.c bench/trace.h
WRAP_RUN = $(AM_LDFLAGS) -Wl,--wrap=domain_run
# A daemon takes the domains that lie beside it.
noinst_DATA = bench/traced/bulkheadd
bench/traced/bulkheadd: bulkheadd
	$(AM_V_GEN)$(MKDIR_P) bench/traced && cp bulkheadd $@.tmp && mv -f $@.tmp $@
CLEANFILES += bench/traced/bulkheadd
if ENABLE_FACTORED
noinst_PROGRAMS += bench/traced/bulkhead-nic bench/traced/bulkhead-ip bench/traced/bulkhead-tcp bench/traced/bulkhead-udp
bench_traced_bulkhead_nic_SOURCES = domains/nic_main.c $(TRACED)
bench_traced_bulkhead_nic_LDFLAGS = $(WRAP_RUN)
bench_traced_bulkhead_nic_LDADD = $(DOMAIN_LIBS)
bench_traced_bulkhead_ip_SOURCES = domains/ip_main.c $(TRACED)
bench_traced_bulkhead_ip_LDFLAGS = $(WRAP_RUN)
bench_traced_bulkhead_ip_LDADD = $(DOMAIN_LIBS)
bench_traced_bulkhead_tcp_SOURCES = domains/tcp_main.c $(TRACED)
bench_traced_bulkhead_tcp_LDFLAGS = $(WRAP_RUN)
bench_traced_bulkhead_tcp_LDADD = $(SERVE_LIBS)
bench_traced_bulkhead_udp_SOURCES = domains/udp_main.c $(TRACED)
bench_traced_bulkhead_udp_LDFLAGS = $(WRAP_RUN)
bench_traced_bulkhead_udp_LDADD = $(SERVE_LIBS)
endif
if ENABLE_MONOLITHIC
noinst_PROGRAMS += bench/traced/bulkhead-mono
bench_traced_bulkhead_mono_SOURCES = domains/mono_main.c $(TRACED)
bench_traced_bulkhead_mono_LDFLAGS = $(WRAP_RUN)
bench_traced_bulkhead_mono_LDADD = $(SERVE_LIBS)
endif

dist_man_MANS += man/bulkhead-httpd.1 man/bulkhead-protolat.1 man/bulkhead-ttcp.1
dist_noinst_SCRIPTS += bench/attack bench/demo.sh bench/eval bench/flood bench/path bench/run bench/ticks
EXTRA_DIST += \
	bench/README.md bench/PROFILES.md bench/path.svg bench/bench_net.py bench/bench_path.py bench/bench_path_report.py \
	bench/bench_proc.py bench/bench_report.py bench/bench_stacks.py \
	bench/eval_bulk.py bench/eval_domains.py bench/eval_http.py bench/eval_idle.py bench/eval_instructions.py \
	bench/eval_lab.py bench/eval_latency.py bench/eval_layers.py bench/eval_packets.py bench/eval_page.py \
	bench/eval_paths.py bench/eval_plot.py bench/eval_report.py bench/eval_run.py bench/eval_scale.py bench/eval_section.py \
	bench/eval_stages.py bench/eval_stats.py bench/eval_table.py
