#!/bin/sh
# A publisher: each line of standard input is an event. Prints the id of each one when the bus has it on disk.
#
#     publisher.sh TOPIC < LINES
#
# EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants one. Needs curl.
set -eu

topic=${1:?Usage: publisher.sh TOPIC < LINES}
url=${EVENTBUS_URL:-http://localhost:3000}
tries=16  # for one event, over most of a minute: longer than a restart of the bus takes
longest=8 # seconds between two tries
newline='
'
case $topic in
*[!A-Za-z0-9._-]*)
	echo "a topic with other characters than A-Z a-z 0-9 . _ - has to be escaped for the query: $topic" >&2
	exit 2
	;;
esac

random() { od -An -N2 -tu2 /dev/urandom; }

# header NAME PATTERN: that header of the answer, where it is such; else nothing
header() { printf '%s\n' "$answer" | tr -d '\r' | sed -n "s/^$1: *\($2\)\$/\1/p" | head -n 1; }

# attempt LINE KEY: one try; sets answer to the answer with its headers, and status, which is 000 where none came.
# The token comes by a here-document: who lists the processes sees what stands on a command line.
attempt() {
	answer=$(
		printf '%s' "$1" | curl -sS --http1.1 --max-time 10 "$url/sendMessage?topic=$topic" \
			-H 'Content-Type: application/json' -H "Idempotency-Key: $2" -H @/dev/fd/3 -H 'Expect:' \
			--data-binary @- --dump-header - --write-out '\n%{http_code}' 3<<-END
				${EVENTBUS_TOKEN:+Authorization: Bearer $EVENTBUS_TOKEN}
			END
	) || true # curl prints its own errors; the status has the rest
	status=${answer##*"$newline"}
}

# publish LINE: publishes it once. Where an answer is lost nobody knows whether the event was kept. The same key with
# each try makes that no matter: the bus keeps the event once, and answers a repetition with the id that it has.
publish() {
	key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	left=$tries wait=1
	attempt "$1" "$key"
	while [ "$status" != 200 ]; do
		left=$((left - 1))
		case $status in 000 | 408 | 429 | 5??) ;; *) left=0 ;; esac # other refusals will not change
		if [ "$left" -eq 0 ]; then
			reason=${answer%"$newline"*}
			echo "not published, nor is any line after it: $status ${reason##*"$newline"}" >&2
			exit 1
		fi
		after=$(header Retry-After '[0-9]\{1,4\}')
		sleep $((${after:-0} + $(random) % (wait + 1))) # at random, so that all who wait do not come back at once
		wait=$((wait * 2 > longest ? longest : wait * 2))
		attempt "$1" "$key"
	done
	header Webhook-Id '.*'
}

while IFS= read -r line || [ -n "$line" ]; do
	publish "$line"
done
