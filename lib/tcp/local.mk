libproto_la_SOURCES += \
	lib/tcp/ack.c lib/tcp/autotune.c lib/tcp/cc.c lib/tcp/cc.h lib/tcp/cc_reno.c lib/tcp/demux.c lib/tcp/ecn.c lib/tcp/handshake.c \
	lib/tcp/input.c lib/tcp/isn.c lib/tcp/option.c lib/tcp/output.c lib/tcp/pace.c lib/tcp/plpmtud.c lib/tcp/priv.h \
	lib/tcp/prr.c lib/tcp/rack.c lib/tcp/recovery.c lib/tcp/rtt.c lib/tcp/runs.c lib/tcp/runs.h \
	lib/tcp/sack.c lib/tcp/segment.c lib/tcp/sent.c lib/tcp/undo.c \
	lib/tcp/reasm.c lib/tcp/request.c lib/tcp/slot.c lib/tcp/tcb.c lib/tcp/tcp.c \
	lib/tcp/tcp.h lib/tcp/timer.c lib/tcp/validate.c lib/tcp/wheel.c lib/tcp/wheel.h
libproto_la_SOURCES += \
	lib/tcp/cc_cubic.c lib/tcp/cc_vegas.c lib/tcp/hystart.c lib/tcp/hystart.h
