#!/bin/sh
# Plays a serf. Started as one (`pretend-serf.sh serf PIER ...`) it runs the shell script that PIER is; asked for its
# version (`-R`) it runs the script beside it whose name ends with `.answer`. Scripts that a test writes are so only read,
# never executed: executing a file that was just written can fail while another thread forks.
case "$1" in
serf) exec /bin/sh "$2" ;;
-R) exec /bin/sh "$0.answer" ;;
esac
