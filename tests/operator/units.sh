#!/bin/sh
# The systemd units are as hardened as the documents say, and systemd can read them.
root=$1
set -- "$root"/contrib/systemd/*.service
n=0 failed=0
echo "1..$#"
for unit; do
	n=$((n + 1))
	name=$(basename "$unit")
	if ! command -v systemd-analyze >/dev/null || ! systemd-analyze security --help 2>&1 | grep -q offline; then
		echo "ok $n - $name # SKIP no systemd-analyze security --offline here"
		continue
	fi
	# A template is analysed as an instance of it: its name ends in @.service.
	exposure=$(systemd-analyze security --offline=true "$unit" 2>&1 | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
	case $exposure in
	[012].*) echo "ok $n - $name: exposure $exposure" ;;
	*)
		echo "not ok $n - $name: exposure '$exposure', to be below 3"
		failed=1
		;;
	esac
done
exit $failed
