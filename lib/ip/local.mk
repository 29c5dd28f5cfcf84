libproto_la_SOURCES += \
	lib/ip/addr.c lib/ip/arp.c lib/ip/icmp.c lib/ip/icmp_error.c lib/ip/input.c \
	lib/ip/ip.c lib/ip/ip.h lib/ip/loopback.c lib/ip/neigh.c lib/ip/output.c \
	lib/ip/port.c lib/ip/priv.h lib/ip/reasm.c lib/ip/tx.c lib/ip/up.c
