#!/bin/sh
# check-symbols.sh ARCHIVE ALLOWED: the sentry may need nothing from outside but what ALLOWED lists, one symbol a line.
set -eu
undefined=$(nm --undefined-only "$1" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u)
defined=$(nm --defined-only "$1" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
bad=0
for s in $undefined; do
	printf '%s\n' "$defined" | grep -qxF "$s" && continue
	grep -qxF "$s" "$2" && continue
	echo "$1 needs the symbol '$s', which $2 does not allow" >&2
	bad=1
done
exit $bad
