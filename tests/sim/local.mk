# Two stacks over a seeded bad wire, in virtual time. To add a Criterion program:
#
#	SIM_TESTS += tests/sim/test_sim_x
#	tests_sim_test_sim_x_SOURCES = tests/sim/test_sim_x.c
#	tests_sim_test_sim_x_LDADD = $(SIM_LIBS)
SIM_TESTS =

# The world, what lives in it, and the composition; all of it in every program.
check_LTLIBRARIES += libsim.la
libsim_la_SOURCES = \
	domains/join.c domains/serve.c domains/serve_call.c domains/serve_event.c domains/serve_standin.c domains/serve_told.c domains/serve_handle.c domains/serve_give.c tests/sim/bulk.c \
	tests/sim/bulk.h tests/sim/crash.c tests/sim/inspect_tcp.c tests/sim/inspect_udp.c \
	tests/sim/load.c tests/sim/load.h tests/sim/load_bytes.c tests/sim/load_dgram.c \
	tests/sim/load_flow.c tests/sim/load_stall.c tests/sim/pair.c tests/sim/pair.h \
	tests/sim/rng.h tests/sim/seeds.c tests/sim/seeds.h tests/sim/seeds_kept.c \
	tests/sim/stack.c tests/sim/stack.h tests/sim/trace.c tests/sim/wire.c \
	tests/sim/wire.h tests/sim/wire_path.c tests/sim/world.c tests/sim/world.h
SIM_LIBS = libsim.la libclient.la $(UNIT_LIBS)

SIM_TESTS += tests/sim/test_sim_transfer
tests_sim_test_sim_transfer_SOURCES = tests/sim/test_sim_transfer.c
tests_sim_test_sim_transfer_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_jumbo
tests_sim_test_sim_jumbo_SOURCES = tests/sim/test_sim_jumbo.c
tests_sim_test_sim_jumbo_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_recovery
tests_sim_test_sim_recovery_SOURCES = tests/sim/test_sim_recovery.c
tests_sim_test_sim_recovery_LDADD = $(SIM_LIBS) -lm
SIM_TESTS += tests/sim/test_sim_crash
tests_sim_test_sim_crash_SOURCES = tests/sim/test_sim_crash.c
tests_sim_test_sim_crash_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_load
tests_sim_test_sim_load_SOURCES = tests/sim/test_sim_load.c
tests_sim_test_sim_load_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_time
tests_sim_test_sim_time_SOURCES = tests/sim/test_sim_time.c
tests_sim_test_sim_time_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_open
tests_sim_test_sim_open_SOURCES = tests/sim/test_sim_open.c
tests_sim_test_sim_open_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_handle
tests_sim_test_sim_handle_SOURCES = tests/sim/test_sim_handle.c
tests_sim_test_sim_handle_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_delegate
tests_sim_test_sim_delegate_SOURCES = tests/sim/test_sim_delegate.c
tests_sim_test_sim_delegate_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_serve
tests_sim_test_sim_serve_SOURCES = tests/sim/test_sim_serve.c
tests_sim_test_sim_serve_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_death
tests_sim_test_sim_death_SOURCES = tests/sim/test_sim_death.c
tests_sim_test_sim_death_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_large
tests_sim_test_sim_large_SOURCES = tests/sim/test_sim_large.c
tests_sim_test_sim_large_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_echo
tests_sim_test_sim_echo_SOURCES = tests/sim/test_sim_echo.c
tests_sim_test_sim_echo_LDADD = $(SIM_LIBS)
SIM_TESTS += tests/sim/test_sim_fair
tests_sim_test_sim_fair_SOURCES = tests/sim/test_sim_fair.c
tests_sim_test_sim_fair_LDADD = $(SIM_LIBS)

if HAVE_CRITERION
# No test: what bench/eval counts the instructions of.
check_PROGRAMS += tests/sim/count
tests_sim_count_SOURCES = tests/sim/count.c
tests_sim_count_LDADD = $(SIM_LIBS)
check_PROGRAMS += $(SIM_TESTS)
TESTS += $(SIM_TESTS)
endif
