# lib/tcp
