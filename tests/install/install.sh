#!/bin/sh
# Install below a directory of our own, and be an author who builds against that. TAP.
# install.sh MESON SOURCE BUILD PREFIX CC [CXX]
meson=$1 source=$2 build=$3 prefix=$4 cc=$5 cxx=${6:-}
here=$source/tests/install
top=$(mktemp -d "${TMPDIR:-/tmp}/kedge install-XXXXXX") || exit 1
trap 'rm -rf "$top"' EXIT
n=0 failed=0

# check WHAT COMMAND...: a row of TAP, with what the command said where it failed.
check() {
	what=$1
	shift
	n=$((n + 1))
	if "$@" >"$top/said" 2>&1; then
		echo "ok $n - $what"
	else
		sed 's/^/# /' "$top/said"
		echo "not ok $n - $what"
		failed=1
	fi
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

is_installed() {
	DESTDIR="$top" "$meson" install --no-rebuild --quiet -C "$build" || return 1
	root=$top$prefix
	test -x "$root/bin/kedge" && "$root/bin/kedge" --version || return 1
	pc=$(find "$root" -name libkedge.pc) lib=$(find "$root" -name libkedge.so)
	test -n "$pc" && test -n "$lib" || return 1
	PKG_CONFIG_PATH=$(dirname "$pc") LD_LIBRARY_PATH=$(dirname "$lib")
	export PKG_CONFIG_PATH LD_LIBRARY_PATH
}

all_headers() {
	diff -r "$source/include/kedge" "$root/include/kedge"
}

# builds PACKAGE SOURCE COMPILER OPTION...: with the flags of pkg-config and no others.
builds() {
	package=$1 text=$2 late=
	shift 2
	flags=$(pkg-config --define-variable=prefix=@ROOT@ --cflags --libs "$package") || return 1
	# The directory's name may have blanks in it, so it is put in after the words are split.
	for flag in $flags; do
		case $flag in
		*@ROOT@*) set -- "$@" "${flag%%@ROOT@*}$root${flag#*@ROOT@}" ;;
		-l*) late="$late $flag" ;;
		*) set -- "$@" "$flag" ;;
		esac
	done
	# shellcheck disable=SC2086 # words of our own
	"$@" -Wall -Werror -o "$top/program" "$text" -x none $late
}

runs() {
	builds "$@" && "$top/program" "$top/x.sock" && test ! -e "$top/x.sock"
}

# What it draws on, and since when that is there.
tells_its_version() {
	builds libkedge "$here/guarded.c" "$cc" -std=c99 -D_DEFAULT_SOURCE &&
		readelf -V "$top/program" | grep -A 1 'File: libkedge.so.1' | grep 'Name: KEDGE_0.1'
}

needs() {
	builds libkedge-uv "$here/served.c" "$cc" -std=gnu99 &&
		readelf -V "$top/program" | grep -A 1 'File: libkedge.so.1' | grep 'Name: KEDGE_0.1' &&
		readelf -V "$top/program" | grep -A 1 'File: libkedge-uv.so.1' | grep 'Name: KEDGE_0.1'
}

needs() {
	test "$(readelf -d "$LD_LIBRARY_PATH/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		sort | tr '\n' ' ')" = "$2 "
}

is_named() {
	readelf -d "$LD_LIBRARY_PATH/$1" | grep -F "soname: [$1.1]"
}

# Two copies of the connection in one process would be two to keep alike.
draws_on_libkedge() {
	nm -D --undefined-only "$LD_LIBRARY_PATH/libkedge-uv.so" | grep -w kedge_conn_new
}

# Whatever was built of the pages is installed: none without scdoc.
pages() {
	set -- "$build"/man/*.[135]
	test -e "$1" || return 0
	for page; do
		cmp "$page" "$root/share/man/man${page##*.}/${page##*/}" || return 1
	done
}

completions() {
	cmp "$source/contrib/completion/kedge.bash" "$root/share/bash-completion/completions/kedge" &&
		cmp "$source/contrib/completion/_kedge" "$root/share/zsh/site-functions/_kedge" &&
		cmp "$source/contrib/completion/kedge.fish" "$root/share/fish/vendor_completions.d/kedge.fish"
}

echo "1..13"
check 'make install fills a directory' is_installed
check 'every public header is installed' all_headers
check 'every page that was built is installed' pages
check 'shells find their completions' completions
check 'a C program guards its path' runs libkedge "$here/guarded.c" "$cc" -std=c99 -D_DEFAULT_SOURCE
check 'a C program serves on libuv' runs libkedge-uv "$here/served.c" "$cc" -std=gnu99
if [ -n "$cxx" ]; then
	check 'a C++ program guards its path' runs libkedge "$here/guarded.c" "$cxx" -x c++
else
	skip 'a C++ program guards its path' 'no C++ compiler here'
fi
check 'a program tells which version it needs' tells_its_version
check 'libkedge needs libc alone' needs libkedge.so 'libc.so.6'
check 'libkedge-uv needs libkedge, libuv and libc' needs libkedge-uv.so \
	'libc.so.6 libkedge.so.1 libuv.so.1'
check 'libkedge-uv draws on libkedge' draws_on_libkedge
check 'libkedge has a soname' is_named libkedge.so
check 'libkedge-uv has a soname' is_named libkedge-uv.so
exit $failed
