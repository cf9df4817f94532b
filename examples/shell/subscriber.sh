#!/bin/sh
# A subscriber with no address: reads the bus's stream of events, and runs a command for each of them, in order.
#
#     subscriber.sh POSITION TOPIC COMMAND [ARGUMENT]...
#
# The command gets an event as a line of JSON on standard input, with its id, topic, headers and body. POSITION is a file
# that keeps the id of the last event that was handled; without it the oldest that the bus has is the first. TOPIC is a
# pattern, '>' for every topic. EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants
# one. Needs curl.
#
# A stream is read from the bus itself, so there is nothing to register and no signature to check: https does both
# for who is not on the bus's own network. The bus does not know this subscriber, and keeps no account of it.
set -eu

if [ $# -lt 3 ]; then
	echo "Usage: subscriber.sh POSITION TOPIC COMMAND [ARGUMENT]..." >&2
	exit 2
fi
position=$1 topic=$2
shift 2
url=${EVENTBUS_URL:-http://localhost:3000}
stream=$position.stream # a pipe
longest=8               # seconds between two tries
stopping='' curl='' data='' id='' status=''

# At a signal the command that runs is let finish, and the position is kept.
trap 'stopping=yes; hang_up' TERM INT HUP
trap 'rm -f "$stream"; hang_up' EXIT
hang_up() { [ -z "$curl" ] || kill "$curl" 2>/dev/null || true; }

# pause LONGEST: waits up to so many seconds, at random, so that all who wait do not come back at once
pause() {
	sleep $(($(od -An -N2 -tu2 /dev/urandom) % ($1 + 1))) &
	wait $! || kill $! 2>/dev/null || true # a signal cuts it short
}

# handle COMMAND...: the event, as often as it takes. The position moves on only when it is handled, so that an event is
# handled at least once; one that was handled just before a crash comes a second time, with the same id.
handle() {
	wait=1
	until printf '%s\n' "$data" | "$@"; do
		[ -z "$stopping" ] || return 0
		echo "event $id: the command failed, and is run again" >&2
		pause "$wait"
		wait=$((wait * 2 > longest ? longest : wait * 2))
	done
	# In one step: a crash leaves the old position or the new one. Where that fails it must stop.
	{ printf '%s\n' "$id" >"$position.new" && mv "$position.new" "$position"; } || exit 1
	away=1
}

# take LINE COMMAND...: one line of the stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)
take() {
	line=$1
	shift
	case $line in
	'id: '*) id=${line#id: } ;;
	'data: '*) data=${line#data: } ;;
	'status: '*) status=${line#status: } ;; # by curl, at the end
	'') [ -z "$data" ] || handle "$@"; data='' ;;
	esac
}

# listen: has curl write the stream into the pipe. The token comes by a here-document: a list of processes shows
# every command line.
listen() {
	last=00000000-0000-7000-8000-000000000000 # a UUIDv7 (RFC 9562) of 1970: before every event
	[ ! -s "$position" ] || last=$(cat "$position")
	rm -f "$stream"
	mkfifo -m 600 "$stream"
	curl -sSN -G "$url/events" --data-urlencode "topic=$topic" --write-out '\nstatus: %{http_code}\n' --fail \
		-H 'Accept: text/event-stream' -H "Last-Event-ID: $last" -H @/dev/fd/3 >"$stream" 3<<-END &
			${EVENTBUS_TOKEN:+Authorization: Bearer $EVENTBUS_TOKEN}
		END
	curl=$!
}

away=1 # seconds to wait at most until the next stream
while [ -z "$stopping" ]; do
	data='' status=000
	listen
	while [ -z "$stopping" ] && IFS= read -r line; do take "$line" "$@"; done <"$stream"
	hang_up
	wait "$curl" 2>/dev/null || true
	curl=''
	case $status in
	400 | 401 | 403 | 404)
		echo "the bus refuses the stream: $status" >&2
		exit 1
		;;
	esac
	[ -n "$stopping" ] || pause "$away" # the bus was away, or ended the stream
	away=$((away * 2 > longest ? longest : away * 2))
done
