# Two stacks over a seeded bad wire, in virtual time. To add a Criterion program: its name to
# SIM_TESTS, and tests_sim_NAME_SOURCES and tests_sim_NAME_LDADD = $(UNIT_LIBS) as for unit tests.
SIM_TESTS =

if HAVE_CRITERION
check_PROGRAMS += $(SIM_TESTS)
TESTS += $(SIM_TESTS)
endif
