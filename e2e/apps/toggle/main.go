// Toggle is an HTTP server that can be told to fail: the application of tests, bench and demo.
//
// GET on any path answers 200 with {"version", "pod", "path"}, or what it was told to. Told by env at the start, or by POST while it runs:
//
//	VERSION         its version, in every answer and at /version
//	PORT            default 9898
//	FAIL_PERCENT    POST /fail?percent=100      that share of the requests gets a 500 (0 heals)
//	DELAY           POST /delay?for=500ms       answers are late by so much
//	UNREADY=1       POST /unready, POST /ready  /readyz answers 503 (200)
//	UNHEALTHY=1     POST /unhealthy, /healthy   /healthz answers 503 (200)
//	READY_AFTER     /readyz answers 503 for so long after the start
//	CRASH_AFTER     exits with CRASH_CODE (default 1) so long after the start
//	FAIL_AFTER      FAIL_PERCENT counts only so long after the start
//	                POST /crash?code=1          exits at once
//	LINGER          serves on for so long after SIGTERM, before it drains
//	CAPACITY        requests a second that it can serve: each takes its turn, and gets a 503 where that is more than a second away
//
// /healthz, /readyz, /version and /metrics never fail by FAIL_PERCENT or DELAY. On SIGTERM it lets the requests under way finish.
// A POST that is not one of the above is answered like a GET, so that load tests may post.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type server struct {
	version, pod                string
	started                     time.Time
	readyAfter, failAfter       time.Duration
	failPercent, delayMillis    atomic.Int64
	unready, unhealthy          atomic.Bool
	served, failed, unreadyHits atomic.Int64
	turn                        time.Duration
	queue                       sync.Mutex
	free                        time.Time
}

const patience = time.Second

// waitsItsTurn says whether the request was served within its patience: one at a time, each for 1/CAPACITY seconds.
func (s *server) waitsItsTurn() bool {
	if s.turn == 0 {
		return true
	}
	s.queue.Lock()
	now := time.Now()
	if s.free.Before(now) {
		s.free = now
	}
	wait := s.free.Sub(now) + s.turn
	if wait > patience {
		s.queue.Unlock()
		return false
	}
	s.free = s.free.Add(s.turn)
	s.queue.Unlock()
	time.Sleep(wait)
	return true
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func duration(name string) time.Duration {
	value, err := time.ParseDuration(env(name, "0s"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(2)
	}
	return value
}

func integer(text string, fallback int64) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fallback
	}
	return value
}

func (s *server) state(w http.ResponseWriter, healthy bool) {
	if !healthy {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "no")
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	ready := !s.unready.Load() && time.Since(s.started) >= s.readyAfter
	if !ready {
		s.unreadyHits.Add(1)
	}
	s.state(w, ready)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	if !s.waitsItsTurn() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if delay := s.delayMillis.Load(); delay > 0 {
		time.Sleep(time.Duration(delay) * time.Millisecond)
	}
	s.served.Add(1)
	status := http.StatusOK
	if time.Since(s.started) >= s.failAfter && rand.Int64N(100) < s.failPercent.Load() {
		status = http.StatusInternalServerError
		s.failed.Add(1)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Version", s.version)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"version": s.version, "pod": s.pod, "path": r.URL.Path})
}

func (s *server) metrics(w http.ResponseWriter, _ *http.Request) {
	served, failed := s.served.Load(), s.failed.Load()
	fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total{status=\"200\"} %d\nhttp_requests_total{status=\"500\"} %d\n", served-failed, failed)
}

func (s *server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	told := func(path string, act func(r *http.Request)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			act(r)
			fmt.Fprintln(w, "ok")
		})
	}
	mux.HandleFunc("/", s.answer)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { s.state(w, !s.unhealthy.Load()) })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"version": s.version, "pod": s.pod})
	})
	told("/fail", func(r *http.Request) { s.failPercent.Store(integer(r.URL.Query().Get("percent"), 100)) })
	told("/delay", func(r *http.Request) {
		delay, _ := time.ParseDuration(r.URL.Query().Get("for"))
		s.delayMillis.Store(delay.Milliseconds())
	})
	told("/unready", func(*http.Request) { s.unready.Store(true) })
	told("/ready", func(*http.Request) { s.unready.Store(false) })
	told("/unhealthy", func(*http.Request) { s.unhealthy.Store(true) })
	told("/healthy", func(*http.Request) { s.unhealthy.Store(false) })
	told("/crash", func(r *http.Request) {
		code := int(integer(r.URL.Query().Get("code"), 1))
		time.AfterFunc(10*time.Millisecond, func() { os.Exit(code) })
	})
	return mux
}

func main() {
	hostname, _ := os.Hostname()
	s := &server{version: env("VERSION", "dev"), pod: env("POD_NAME", hostname), started: time.Now()}
	s.readyAfter, s.failAfter = duration("READY_AFTER"), duration("FAIL_AFTER")
	s.failPercent.Store(integer(env("FAIL_PERCENT", "0"), 0))
	s.delayMillis.Store(duration("DELAY").Milliseconds())
	if capacity := integer(env("CAPACITY", "0"), 0); capacity > 0 {
		s.turn = time.Second / time.Duration(capacity)
	}
	s.unready.Store(os.Getenv("UNREADY") != "")
	s.unhealthy.Store(os.Getenv("UNHEALTHY") != "")
	if crashAfter := duration("CRASH_AFTER"); crashAfter > 0 {
		code := int(integer(env("CRASH_CODE", "1"), 1))
		time.AfterFunc(crashAfter, func() { os.Exit(code) })
	}

	listener := &http.Server{Addr: ":" + env("PORT", "9898"), Handler: s.routes()}
	stop, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	finished := make(chan struct{})
	go func() {
		<-stop.Done()
		// a pod is told to end before every proxy knows: serve on for a moment, then drain
		time.Sleep(duration("LINGER"))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = listener.Shutdown(ctx)
		close(finished)
	}()
	if err := listener.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-finished
}
