#!/bin/sh
# Makes a program that takes events by HTTP a member of a group: runs it, and keeps its address registered meanwhile. At
# SIGTERM it leaves the group in order: nothing new comes, what is in flight is answered, and then the program is stopped.
#
#     member.sh GROUP ADDRESS COMMAND [ARGUMENT]...
#
# ADDRESS is the host and port by which the bus reaches this program, and no other one: a replica's own. TOPIC is a
# pattern ('>', every topic). EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants one.
# Needs curl.
set -eu

if [ $# -lt 3 ]; then
	echo "Usage: member.sh GROUP ADDRESS COMMAND [ARGUMENT]..." >&2
	exit 2
fi
group=$1 address=$2
shift 2
url=${EVENTBUS_URL:-http://localhost:3000}
topic=${TOPIC:-'>'}
longest=8 # seconds between two tries
patience=10 # seconds in which what is in flight at the end is answered
stopping=''

# call METHOD PATH PARAMETER...: calls the bus, and prints its answer. The token comes by a here-document: a list of
# processes shows every command line.
call() {
	method=$1 path=$2
	shift 2
	for parameter; do
		set -- "$@" --data-urlencode "$parameter"
		shift
	done
	if ! answer=$(curl -sS -G -X "$method" "$url$path" "$@" --data-urlencode "address=$address" --max-time 10 \
		--fail-with-body -H 'Accept: application/json' -H @/dev/fd/3 3<<-END
			${EVENTBUS_TOKEN:+Authorization: Bearer $EVENTBUS_TOKEN}
		END
	); then
		echo "the bus did not take $method $path: $answer" >&2
		return 1
	fi
	printf '%s\n' "$answer"
}

# With resume the bus keeps, for as long as its journal does, what is published while the group has no member.
register() { call POST /registerAndKeepAlive "group=$group" "topic=$topic" resume=true "$@"; }

# number NAME: a whole number in the answer
number() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"; }

# pause LEAST MOST: waits so many seconds, at random, so that all who wait do not come back at once
pause() {
	sleep $(($1 + $(od -An -N2 -tu2 /dev/urandom) % ($2 - $1 + 1))) &
	wait $! || kill $! 2>/dev/null || true # a signal cuts it short
}

# listens: whether somebody takes connections at the address, as far as can be seen from here
listens() { curl -s -o /dev/null --max-time 2 "http://$address/" || [ $? -ne 7 ]; }

# keep_registered: registers and renews, at a third of the lease, until SIGTERM. Where the bus has forgotten this
# member, a renewal registers it.
keep_registered() {
	ending='' away=1
	trap 'ending=yes' TERM
	for _ in 1 2 3 4 5 6 7 8 9 10; do # an event may come before the registration is answered
		[ -z "$ending" ] && ! listens || break
		pause 1 1
	done
	while [ -z "$ending" ]; do
		if answer=$(register) && seconds=$(printf '%s\n' "$answer" | number renew_after) && [ -n "$seconds" ]; then
			away=1
			pause $((seconds * 4 / 5 > 0 ? seconds * 4 / 5 : 1)) $((seconds > 0 ? seconds : 1))
		else
			pause 0 "$away"
			away=$((away * 2 > longest ? longest : away * 2))
		fi
	done
}

# leave: lets nothing new come, waits until nothing is in flight, and deregisters this address alone. Where the bus is
# away the lease ends by itself.
leave() {
	waited=0
	while answer=$(register drain=true) && [ "$(printf '%s\n' "$answer" | number in_flight)" != 0 ]; do
		[ "$waited" -lt "$patience" ] || break
		waited=$((waited + 1))
		sleep 1
	done
	call DELETE /deregister >/dev/null || true
}

trap 'stopping=yes' TERM INT HUP
"$@" &
program=$!
keep_registered &
keeper=$!

status=0
wait "$program" || status=$? # until it ends, or a signal comes
kill "$keeper" 2>/dev/null || true
while kill -0 "$keeper" 2>/dev/null; do wait "$keeper" || true; done # a renewal after it would end the drain
leave
if [ -n "$stopping" ]; then
	kill "$program" 2>/dev/null || true
	wait "$program" || true
	exit 0
fi
echo "$1 has ended with status $status" >&2
exit "$status"
