# what bench/ builds: the measuring tools and the example HTTP server
noinst_LTLIBRARIES += libhttp.la
libhttp_la_SOURCES = bench/http.c bench/http.h bench/http_text.h bench/http_value.c
