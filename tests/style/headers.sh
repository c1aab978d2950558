#!/bin/sh
# Each public header compiles alone, as strict C99 and, where there is a compiler, as C++.
root=$1
shift
n=0 failed=0
echo "1..$(($# * 2))"
for header; do
	for how in 'gcc -x c -std=c99' 'g++ -x c++ -std=c++11'; do
		n=$((n + 1))
		cc=${how%% *}
		if ! command -v "$cc" >/dev/null; then
			echo "ok $n - $header.h # SKIP no $cc here"
		elif echo "#include <kedge/$header.h>" | $how -pedantic -Wall -Wextra -Werror \
			-D_POSIX_C_SOURCE=200809L -I"$root/include" -fsyntax-only - 2>&1 | sed 's/^/# /' | grep .; then
			echo "not ok $n - $header.h: $how"
			failed=1
		else
			echo "ok $n - $header.h: $how"
		fi
	done
done
exit $failed
