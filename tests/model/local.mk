# The protocols of bells and of stand-ins, model-checked.
TESTS += tests/model/run
dist_check_SCRIPTS += tests/model/run
EXTRA_DIST += tests/model/bell.pml tests/model/standin_in.pml tests/model/standin_edge.pml tests/model/standin_out.pml
