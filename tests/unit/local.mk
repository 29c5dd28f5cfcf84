# Criterion tests of single parts. To add one, two lines here:
#
#	UNIT_TESTS += tests/unit/test_x
#	tests_unit_test_x_LDADD = $(UNIT_LIBS)
#
# (its source is tests/unit/test_x.c unless tests_unit_test_x_SOURCES says otherwise; what
# drives a kernel goes to tests/netns instead).
UNIT_TESTS =
UNIT_LIBS = libipc.la libproto.la $(CRITERION_LIBS)
EXTRA_DIST += tests/unit/rnd.h

UNIT_TESTS += tests/unit/test_ring
tests_unit_test_ring_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_bell
tests_unit_test_bell_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_serve
tests_unit_test_serve_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_serve_fair
tests_unit_test_serve_fair_LDADD = libserve.la $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_link
tests_unit_test_link_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_handle
tests_unit_test_handle_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_handle_tree
tests_unit_test_handle_tree_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_region
tests_unit_test_region_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_ctl
tests_unit_test_ctl_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_rules
tests_unit_test_rules_LDADD = librules.la $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_names
tests_unit_test_names_SOURCES = tests/unit/test_names.c lib/preload/names.c
tests_unit_test_names_CFLAGS = $(AM_CFLAGS) $(CARES_CFLAGS)
tests_unit_test_names_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c domains/sup_config.c \
	domains/sup_value.c policy/topology.c
tests_unit_test_config_LDADD = libpolicy.la $(UNIT_LIBS) $(CONFFILE_LIBS)
UNIT_TESTS += tests/unit/test_place
tests_unit_test_place_SOURCES = tests/unit/test_place.c domains/sup_place.c
tests_unit_test_place_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
tests_unit_test_place_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_policy
tests_unit_test_policy_LDADD = libpolicy.la $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_preload
tests_unit_test_preload_SOURCES = tests/unit/test_preload.c lib/preload/close.c \
	lib/preload/control.c lib/preload/exec.c lib/preload/more.c lib/preload/netif.c lib/preload/real.c lib/preload/replay.c lib/preload/say.c \
	lib/preload/shim.c lib/preload/wild.c
tests_unit_test_preload_LDADD = librules.la $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_preload_addr
tests_unit_test_preload_addr_SOURCES = tests/unit/test_preload_addr.c lib/preload/addr.c \
	lib/preload/say.c lib/preload/wild.c
tests_unit_test_preload_addr_LDADD = librules.la $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_preload_wild
tests_unit_test_preload_wild_SOURCES = tests/unit/test_preload_wild.c lib/preload/wild.c
tests_unit_test_preload_wild_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_account
tests_unit_test_account_SOURCES = tests/unit/test_account.c
tests_unit_test_account_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_clients
tests_unit_test_clients_SOURCES = tests/unit/test_clients.c
tests_unit_test_clients_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_account
tests_unit_test_tcp_account_SOURCES = tests/unit/test_tcp_account.c $(TCP_KIT)
tests_unit_test_tcp_account_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_udp_given
tests_unit_test_udp_given_SOURCES = tests/unit/test_udp_given.c tests/unit/udp_test.h $(UDP_KIT)
tests_unit_test_udp_given_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_jumbo
tests_unit_test_tcp_jumbo_SOURCES = tests/unit/test_tcp_jumbo.c $(TCP_KIT)
tests_unit_test_tcp_jumbo_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_tcp_segments
tests_unit_test_tcp_segments_SOURCES = tests/unit/test_tcp_segments.c $(TCP_KIT)
tests_unit_test_tcp_segments_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_udp_account
tests_unit_test_udp_account_SOURCES = tests/unit/test_udp_account.c tests/unit/udp_test.h $(UDP_KIT)
tests_unit_test_udp_account_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_http
tests_unit_test_http_LDADD = libhttp.la $(CRITERION_LIBS)
BADWIRE_LIBS = libbadwire.la libproto.la $(CONFUSE_LIBS) $(CRITERION_LIBS)
UNIT_TESTS += tests/unit/test_badwire
tests_unit_test_badwire_LDADD = $(BADWIRE_LIBS) -lm
UNIT_TESTS += tests/unit/test_badwire_line
tests_unit_test_badwire_line_LDADD = $(BADWIRE_LIBS)
UNIT_TESTS += tests/unit/test_csum
tests_unit_test_csum_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_wire
tests_unit_test_wire_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_frame
tests_unit_test_frame_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_xsk
tests_unit_test_xsk_SOURCES = tests/unit/test_xsk.c domains/xsk.c domains/guard.c
tests_unit_test_xsk_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_packet
tests_unit_test_packet_SOURCES = tests/unit/test_packet.c domains/packet.c domains/vnet.c
tests_unit_test_packet_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_dir
tests_unit_test_dir_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_fifo
tests_unit_test_fifo_LDADD = $(UNIT_LIBS)

REQUEST_KIT = tests/unit/kit_request.c tests/unit/kit_request.h
UDP_KIT = tests/unit/udp_kit.c tests/unit/udp_kit.h $(REQUEST_KIT)
UNIT_TESTS += tests/unit/test_udp
tests_unit_test_udp_SOURCES = tests/unit/test_udp.c tests/unit/udp_test.h $(UDP_KIT)
tests_unit_test_udp_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_udp_send
tests_unit_test_udp_send_SOURCES = tests/unit/test_udp_send.c tests/unit/udp_test.h $(UDP_KIT)
tests_unit_test_udp_send_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_udp_life
tests_unit_test_udp_life_SOURCES = tests/unit/test_udp_life.c tests/unit/udp_test.h $(UDP_KIT)
tests_unit_test_udp_life_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_udp_port
tests_unit_test_udp_port_SOURCES = tests/unit/test_udp_port.c tests/unit/udp_test.h $(UDP_KIT)
tests_unit_test_udp_port_LDADD = $(UNIT_LIBS)

IP_KIT = tests/unit/test_ip_kit.c tests/unit/test_ip_kit.h
UNIT_TESTS += tests/unit/test_ip
tests_unit_test_ip_SOURCES = tests/unit/test_ip.c $(IP_KIT)
tests_unit_test_ip_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_ip_output
tests_unit_test_ip_output_SOURCES = tests/unit/test_ip_output.c $(IP_KIT)
tests_unit_test_ip_output_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_ip_jumbo
tests_unit_test_ip_jumbo_SOURCES = tests/unit/test_ip_jumbo.c $(IP_KIT)
tests_unit_test_ip_jumbo_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_ip_segments
tests_unit_test_ip_segments_SOURCES = tests/unit/test_ip_segments.c $(IP_KIT)
tests_unit_test_ip_segments_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_ip_reset
tests_unit_test_ip_reset_SOURCES = tests/unit/test_ip_reset.c $(IP_KIT)
tests_unit_test_ip_reset_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_ip_port
tests_unit_test_ip_port_SOURCES = tests/unit/test_ip_port.c $(IP_KIT)
tests_unit_test_ip_port_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_demux
tests_unit_test_demux_SOURCES = tests/unit/test_demux.c $(IP_KIT)
tests_unit_test_demux_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_ip_hostile
tests_unit_test_ip_hostile_SOURCES = tests/unit/test_ip_hostile.c $(IP_KIT)
tests_unit_test_ip_hostile_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_arp
tests_unit_test_arp_SOURCES = tests/unit/test_arp.c $(IP_KIT)
tests_unit_test_arp_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_arp_share
tests_unit_test_arp_share_SOURCES = tests/unit/test_arp_share.c $(IP_KIT)
tests_unit_test_arp_share_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_acd
tests_unit_test_acd_SOURCES = tests/unit/test_acd.c $(IP_KIT)
tests_unit_test_acd_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_frag
tests_unit_test_frag_SOURCES = tests/unit/test_frag.c $(IP_KIT)
tests_unit_test_frag_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_icmp
tests_unit_test_icmp_SOURCES = tests/unit/test_icmp.c $(IP_KIT)
tests_unit_test_icmp_LDADD = $(UNIT_LIBS)

TCP_KIT = tests/unit/tcp_conn.c tests/unit/tcp_kit.c tests/unit/tcp_kit.h $(REQUEST_KIT)
UNIT_TESTS += tests/unit/test_tcp_open
tests_unit_test_tcp_open_SOURCES = tests/unit/test_tcp_open.c $(TCP_KIT)
tests_unit_test_tcp_open_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_close
tests_unit_test_tcp_close_SOURCES = tests/unit/test_tcp_close.c $(TCP_KIT)
tests_unit_test_tcp_close_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_input
tests_unit_test_tcp_input_SOURCES = tests/unit/test_tcp_input.c $(TCP_KIT)
tests_unit_test_tcp_input_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_data
tests_unit_test_tcp_data_SOURCES = tests/unit/test_tcp_data.c $(TCP_KIT)
tests_unit_test_tcp_data_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_path
tests_unit_test_tcp_path_SOURCES = tests/unit/test_tcp_path.c $(TCP_KIT)
tests_unit_test_tcp_path_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_model
tests_unit_test_tcp_model_SOURCES = tests/unit/test_tcp_model.c tests/unit/tcp_model.c \
	tests/unit/tcp_model.h $(TCP_KIT)
tests_unit_test_tcp_model_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_rtt
tests_unit_test_tcp_rtt_SOURCES = tests/unit/test_tcp_rtt.c $(TCP_KIT)
tests_unit_test_tcp_rtt_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_timer
tests_unit_test_tcp_timer_SOURCES = tests/unit/test_tcp_timer.c $(TCP_KIT)
tests_unit_test_tcp_timer_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_runs
tests_unit_test_tcp_runs_SOURCES = tests/unit/test_tcp_runs.c
tests_unit_test_tcp_runs_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_sack
tests_unit_test_tcp_sack_SOURCES = tests/unit/test_tcp_sack.c $(TCP_KIT)
tests_unit_test_tcp_sack_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_loss
tests_unit_test_tcp_loss_SOURCES = tests/unit/test_tcp_loss.c $(TCP_KIT)
tests_unit_test_tcp_loss_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_crash
tests_unit_test_tcp_crash_SOURCES = tests/unit/test_tcp_crash.c $(TCP_KIT)
tests_unit_test_tcp_crash_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_port
tests_unit_test_tcp_port_SOURCES = tests/unit/test_tcp_port.c $(TCP_KIT)
tests_unit_test_tcp_port_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_syn
tests_unit_test_tcp_syn_SOURCES = tests/unit/test_tcp_syn.c $(TCP_KIT)
tests_unit_test_tcp_syn_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_cookie
tests_unit_test_tcp_cookie_SOURCES = tests/unit/test_tcp_cookie.c $(TCP_KIT)
tests_unit_test_tcp_cookie_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_attack
tests_unit_test_tcp_attack_SOURCES = tests/unit/test_tcp_attack.c $(TCP_KIT)
tests_unit_test_tcp_attack_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_past
tests_unit_test_tcp_past_SOURCES = tests/unit/test_tcp_past.c $(TCP_KIT)
tests_unit_test_tcp_past_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_unfair
tests_unit_test_tcp_unfair_SOURCES = tests/unit/test_tcp_unfair.c $(TCP_KIT)
tests_unit_test_tcp_unfair_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_option
tests_unit_test_tcp_option_SOURCES = tests/unit/test_tcp_option.c $(TCP_KIT)
tests_unit_test_tcp_option_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_listen
tests_unit_test_tcp_listen_SOURCES = tests/unit/test_tcp_listen.c $(TCP_KIT)
tests_unit_test_tcp_listen_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_sent
tests_unit_test_tcp_sent_SOURCES = tests/unit/test_tcp_sent.c $(TCP_KIT)
tests_unit_test_tcp_sent_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_tcp_info
tests_unit_test_tcp_info_SOURCES = tests/unit/test_tcp_info.c $(TCP_KIT)
tests_unit_test_tcp_info_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_wheel
tests_unit_test_wheel_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_cc
tests_unit_test_cc_LDADD = $(UNIT_LIBS) -lm
UNIT_TESTS += tests/unit/test_cc_flow
tests_unit_test_cc_flow_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_cc_vegas
tests_unit_test_cc_vegas_LDADD = $(UNIT_LIBS)

CLIENT_TEST_LIBS = libclient.la $(UNIT_LIBS)
CLIENT_KIT = tests/unit/client_kit.c tests/unit/client_kit.h tests/unit/client_kit_run.c
UNIT_TESTS += tests/unit/test_client
tests_unit_test_client_SOURCES = tests/unit/test_client.c $(CLIENT_KIT)
tests_unit_test_client_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_connect
tests_unit_test_client_connect_SOURCES = tests/unit/test_client_connect.c $(CLIENT_KIT)
tests_unit_test_client_connect_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_option
tests_unit_test_client_option_SOURCES = tests/unit/test_client_option.c $(CLIENT_KIT)
tests_unit_test_client_option_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_share
tests_unit_test_share_SOURCES = tests/unit/test_share.c
tests_unit_test_share_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_pressure
tests_unit_test_client_pressure_SOURCES = tests/unit/test_client_pressure.c $(CLIENT_KIT)
tests_unit_test_client_pressure_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_threads
tests_unit_test_client_threads_SOURCES = tests/unit/test_client_threads.c $(CLIENT_KIT)
tests_unit_test_client_threads_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_dgram
tests_unit_test_client_dgram_SOURCES = tests/unit/test_client_dgram.c $(CLIENT_KIT)
tests_unit_test_client_dgram_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_event
tests_unit_test_client_event_SOURCES = tests/unit/test_client_event.c $(CLIENT_KIT)
tests_unit_test_client_event_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
tests_unit_test_client_event_LDADD = $(CLIENT_TEST_LIBS)
UNIT_TESTS += tests/unit/test_client_wait
tests_unit_test_client_wait_SOURCES = tests/unit/test_client_wait.c $(CLIENT_KIT)
tests_unit_test_client_wait_LDADD = $(CLIENT_TEST_LIBS)

# What the evaluation computes: Python.
TESTS += tests/unit/test_eval_stats.py
dist_check_SCRIPTS += tests/unit/test_eval_stats.py

# What runs unchanged programs.
TESTS += tests/unit/test_run.sh
dist_check_SCRIPTS += tests/unit/test_run.sh
tests/unit/test_run.log: bulkhead-run libbulkhead.la

# Without Criterion: it does not run under ThreadSanitizer.
RACE_TESTS = tests/unit/race_ring tests/unit/race_serve
tests_unit_race_ring_LDADD = libipc.la libproto.la -lpthread
tests_unit_race_serve_LDADD = libserve.la libclient.la libipc.la libproto.la -lpthread
check_PROGRAMS += $(RACE_TESTS)
TESTS += $(RACE_TESTS)

if HAVE_CRITERION
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS) tests/unit/segments.sh
tests/unit/segments.log: $(UNIT_TESTS)
endif

dist_check_SCRIPTS += tests/unit/segments.sh
