// A subscriber: keeps itself registered, checks that what comes is from the bus, and handles each event once.
//
//	go run subscriber/main.go PORT [TOPIC]...
//
// EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants one, ADDRESS the host and port
// by which the bus reaches this program (localhost:PORT). With GROUP it is one of several replicas, each with an address
// of its own: an event goes to one of them. EVENTBUS_SIGNING_SECRETS are the bus's: without them nothing is checked, and
// whoever reaches the port can make up events.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	window     = 300      // seconds that a delivery's time may be off: an old one, caught on its way, is refused
	remembered = 100_000  // ids of events that were handled
	largest    = 16 << 20 // bytes of a body

	finish = 10 * time.Second       // for what is in flight at the end to be answered; in a group twice, at most
	poll   = 100 * time.Millisecond // between two questions whether that is so
)

// errReject is for an event that can never be handled: no other try would help, so it becomes a dead letter at once.
var errReject = errors.New("rejected")

// handle is what your service does with an event. Any error but errReject makes the bus try again later.
func handle(body []byte) error {
	if !json.Valid(body) {
		return fmt.Errorf("%w: the body is not JSON", errReject)
	}
	_, err := fmt.Printf("%s\n", body)
	return err
}

// keysOf are the bytes of secrets. A wrong secret stops the start: by an empty key anybody could sign.
func keysOf(secrets string) (keys [][]byte) {
	for _, secret := range strings.FieldsFunc(secrets, func(r rune) bool { return r == ',' || r == ' ' }) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < 24 || !strings.HasPrefix(secret, "whsec_") {
			log.Fatal("EVENTBUS_SIGNING_SECRETS: each is whsec_ and the Base64 of 24 bytes or more")
		}
		keys = append(keys, key)
	}
	return keys
}

// isSigned goes by Standard Webhooks, v1: the bus signs by each of its secrets, and one that is known here is enough.
func isSigned(keys [][]byte, header http.Header, body []byte) bool {
	id, stamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-seconds)) > window {
		return false
	}
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
		wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, given := range strings.Fields(header.Get("Webhook-Signature")) {
			if hmac.Equal([]byte(given), []byte(wanted)) {
				return true
			}
		}
	}
	return false
}

// seen remembers events by id. The bus delivers at least once; this makes it once, until a restart: to be sure for
// longer keep ids in a database.
type seen struct {
	sync.Mutex
	events map[string]*event
	order  []string // the oldest first
}

type event struct {
	sync.Mutex // held while it is being handled: a duplicate waits for what becomes of it
	done       bool
}

func (s *seen) event(id string) *event {
	s.Lock()
	defer s.Unlock()
	if s.events[id] == nil {
		s.events[id] = &event{}
		if s.order = append(s.order, id); len(s.order) > remembered {
			delete(s.events, s.order[0])
			s.order = s.order[1:]
		}
	}
	return s.events[id]
}

// take handles an event, once; the status: 2xx is delivered, 5xx is tried again later, other 4xx become dead letters.
func (e *event) take(id string, body []byte) int {
	e.Lock()
	defer e.Unlock()
	if e.done {
		return http.StatusNoContent
	}
	err := handle(body)
	if e.done = err == nil; e.done {
		return http.StatusNoContent
	}
	log.Printf("event %s: %v", id, err)
	if errors.Is(err, errReject) {
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}

// registration is what the bus says of this subscriber: the seconds after which to renew, and the deliveries in flight.
type registration struct {
	RenewAfter float64 `json:"renew_after"`
	InFlight   int     `json:"in_flight"`
}

// call calls the bus about this subscriber.
func call(method, path string, query url.Values) (found registration, err error) {
	request, err := http.NewRequest(method, getenv("EVENTBUS_URL", "http://localhost:3000")+path+"?"+query.Encode(), nil)
	if err != nil {
		return found, err
	}
	request.Header.Set("Accept", "application/json")
	if token := os.Getenv("EVENTBUS_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return found, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	return found, err
}

// keepRegistered registers and renews, at a third of the lease, until the program ends. Where the bus has forgotten this
// subscriber, a renewal registers it.
func keepRegistered(stopped context.Context, query url.Values) {
	rand.Seed(time.Now().UnixNano()) // Go before 1.20 does not by itself
	for longest := 0.5; ; {
		var wait float64
		found, err := call(http.MethodPost, "/registerAndKeepAlive", query)
		if err == nil {
			wait, longest = found.RenewAfter*(0.8+0.2*rand.Float64()), 0.5 // so that a hundred services do not all come at once
		} else {
			log.Printf("not registered: %v", err)
			wait, longest = longest*rand.Float64(), math.Min(10, longest*2)
		}
		select {
		case <-time.After(time.Duration(wait * float64(time.Second))):
		case <-stopped.Done():
			return
		}
	}
}

// leave leaves the group: nothing new comes, what is in flight is answered meanwhile, and the others go on.
func leave(query url.Values) {
	query.Set("drain", "true")
	found, err := call(http.MethodPost, "/registerAndKeepAlive", query)
	for ends := time.Now().Add(finish); err == nil && found.InFlight > 0 && time.Now().Before(ends); {
		time.Sleep(poll)
		found, err = call(http.MethodPost, "/registerAndKeepAlive", query)
	}
	if err == nil {
		_, err = call(http.MethodDelete, "/deregister", url.Values{"address": query["address"]})
	}
	if err != nil {
		log.Printf("not deregistered, so that the lease has to end: %v", err)
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
	if len(os.Args) < 2 {
		log.Fatal("Usage: subscriber PORT [TOPIC]...")
	}
	keys, events := keysOf(os.Getenv("EVENTBUS_SIGNING_SECRETS")), &seen{events: map[string]*event{}}
	http.HandleFunc("/event", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
		id := r.Header.Get("Webhook-Id")
		switch {
		case r.Method == http.MethodOptions: // the bus asks whether it may deliver: EVENTBUS_VERIFY=handshake
			w.Header().Set("WebHook-Allowed-Origin", "*")
			w.WriteHeader(http.StatusNoContent)
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case err != nil:
			w.WriteHeader(http.StatusRequestEntityTooLarge) // or it broke, and nobody hears this
		case len(keys) > 0 && !isSigned(keys, r.Header, body): // the bytes as they came, before anything reads them
			w.WriteHeader(http.StatusUnauthorized)
		case id == "":
			w.WriteHeader(http.StatusBadRequest)
		default:
			w.WriteHeader(events.event(id).take(id, body))
		}
	})
	listener, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{ReadTimeout: time.Minute, IdleTimeout: 75 * time.Second}
	go server.Serve(listener) // before it registers: an event may come before the registration is answered

	// With resume the bus keeps, for as long as its journal does, what is published while this program is away.
	query := url.Values{"address": {getenv("ADDRESS", "localhost:"+os.Args[1])}, "topic": os.Args[2:], "resume": {"true"}}
	group := os.Getenv("GROUP")
	if group != "" {
		query.Set("group", group)
	}
	stopped, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	renewing := make(chan struct{})
	go func() {
		keepRegistered(stopped, query)
		close(renewing)
	}()
	<-stopped.Done()
	// Renew no more, answer what is in flight, and take nothing new. Nothing is discarded, and the bus delivers what comes
	// meanwhile to the rest of the group, or when this program is back. One that is in no group and never comes back calls
	// DELETE /deregister?address=ADDRESS.
	if group != "" {
		<-renewing // a renewal after it would end the drain
		leave(query)
	}
	ending, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	server.Shutdown(ending)
}
