// A publisher: each line of standard input is an event. Prints the id of each one when the bus has it on disk.
//
//	go run publisher/main.go TOPIC < LINES
//
// EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants one.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	random "math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

const (
	timeout     = 10 * time.Second // for one try
	maxElapsed  = time.Minute      // for one event in all: longer than a restart of the bus takes
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second // between two tries at most; the first wait doubles up to this
	longestLine = 1 << 20         // bytes: the largest event that a bus takes by default
)

var client = &http.Client{Timeout: timeout}

// failure is a try that went wrong: whether another may help, and how long the bus asks to wait.
type failure struct {
	why   string
	again bool
	after time.Duration
}

func (f *failure) Error() string { return f.why }

// attempt is one try; the event's id.
func attempt(topic string, body []byte, key string) (string, *failure) {
	target := getenv("EVENTBUS_URL", "http://localhost:3000") + "/sendMessage?topic=" + url.QueryEscape(topic)
	request, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return "", &failure{why: err.Error()}
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if token := os.Getenv("EVENTBUS_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", &failure{why: err.Error(), again: true} // the bus is away, or was just now
	}
	defer response.Body.Close()
	return read(response)
}

// read returns the id in the bus's response, or why there is none.
func read(response *http.Response) (string, *failure) {
	text, err := io.ReadAll(response.Body)
	var published struct{ ID string }
	if err == nil && response.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &published)
	}
	if err != nil {
		return "", &failure{why: err.Error(), again: true}
	}
	if response.StatusCode == http.StatusOK {
		return published.ID, nil
	}
	again := response.StatusCode >= 500 || response.StatusCode == 408 || response.StatusCode == 429
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 where it says none
	return "", &failure{fmt.Sprintf("%s: %s", response.Status, text), again, time.Duration(seconds) * time.Second}
}

// publish publishes an event, and returns its id when it is safe.
//
// Where an answer is lost nobody knows whether the event was kept. So each try has the same key: the bus keeps the
// event once, and answers a repetition with the id that it has.
func publish(topic string, body []byte, rng *random.Rand) (string, error) {
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	ends := time.Now().Add(maxElapsed)
	for longest := firstWait; ; longest *= 2 {
		id, failed := attempt(topic, body, hex.EncodeToString(key))
		if failed == nil {
			return id, nil
		}
		if longest > longestWait {
			longest = longestWait
		}
		wait := failed.after + time.Duration(rng.Int63n(int64(longest))) // so that all who wait do not come at once
		if !failed.again || time.Now().Add(wait).After(ends) {
			return "", failed
		}
		time.Sleep(wait)
	}
}

func getenv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("Usage: publisher TOPIC < LINES")
	}
	rng := random.New(random.NewSource(time.Now().UnixNano()))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		id, err := publish(os.Args[1], lines.Bytes(), rng)
		if err != nil {
			log.Fatalf("not published, nor is any line after it: %v", err)
		}
		fmt.Println(id)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
