// Load sends HTTP requests at a constant rate, whatever the answers take (open loop), and says each second what came back.
//
//	load -url http://127.0.0.1:8080/ -host app.example.com -rate 200 [-for 60s] [-timeout 5s] [-header K=V]...
//
// Each line of its output is a JSON object about one second, counted by the second in which the request was SENT and printed once all of that
// second's answers are in: {"at": unix seconds, "sent", "ok", "lost", "codes": {"200": n, ...}, "versions": {"1.0.0": n, ...},
// "errors": {"text": n}, "p50_ms", "p99_ms"}. "lost" is every request without a 2xx or 3xx answer. At the end (-for, SIGINT or SIGTERM)
// comes a last line of the same shape with "total": true. The version is the answer's X-Version header or its body's JSON field "version".
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type second struct {
	At        int64          `json:"at"`
	Total     bool           `json:"total,omitempty"`
	Sent      int            `json:"sent"`
	OK        int            `json:"ok"`
	Lost      int            `json:"lost"`
	Codes     map[string]int `json:"codes"`
	Versions  map[string]int `json:"versions"`
	Errors    map[string]int `json:"errors,omitempty"`
	P50       float64        `json:"p50_ms"`
	P99       float64        `json:"p99_ms"`
	latencies []float64
	pending   int
	closed    bool
}

func newSecond(at int64) *second {
	return &second{At: at, Codes: map[string]int{}, Versions: map[string]int{}, Errors: map[string]int{}}
}

type result struct {
	code    int
	version string
	failure string
	took    time.Duration
}

func (s *second) add(r result) {
	if r.failure != "" {
		s.Errors[r.failure]++
		s.Codes["0"]++
	} else {
		s.Codes[strconv.Itoa(r.code)]++
	}
	if r.version != "" {
		s.Versions[r.version]++
	}
	if r.failure == "" && r.code < 400 {
		s.OK++
	} else {
		s.Lost++
	}
	s.latencies = append(s.latencies, float64(r.took.Microseconds())/1000)
}

func (s *second) print(out *json.Encoder) {
	sort.Float64s(s.latencies)
	if n := len(s.latencies); n > 0 {
		s.P50, s.P99 = s.latencies[n/2], s.latencies[min(n-1, n*99/100)]
	}
	_ = out.Encode(s)
}

// book keeps the seconds that are not printed yet, in order.
type book struct {
	mu    sync.Mutex
	open  []*second
	total *second
	out   *json.Encoder
}

func (b *book) sent(at int64) *second {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.open); n == 0 || b.open[n-1].At != at {
		if n > 0 {
			b.open[n-1].closed = true
		}
		b.open = append(b.open, newSecond(at))
	}
	current := b.open[len(b.open)-1]
	current.Sent++
	current.pending++
	b.total.Sent++
	b.flush()
	return current
}

func (b *book) answered(s *second, r result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.pending--
	s.add(r)
	b.total.add(r)
	b.flush()
}

func (b *book) flush() {
	for len(b.open) > 0 && b.open[0].closed && b.open[0].pending == 0 {
		b.open[0].print(b.out)
		b.open = b.open[1:]
	}
}

func (b *book) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.open {
		s.closed = true
	}
	b.flush()
	b.total.Total = true
	b.total.print(b.out)
}

type headers map[string]string

func (h headers) String() string { return fmt.Sprint(map[string]string(h)) }
func (h headers) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	h[name] = value
	return nil
}

func failure(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "Client.Timeout"), strings.Contains(text, "deadline exceeded"):
		return "timeout"
	case strings.Contains(text, "connection refused"):
		return "connection refused"
	case strings.Contains(text, "connection reset"):
		return "connection reset"
	case strings.Contains(text, "EOF"):
		return "connection closed"
	}
	return text
}

func ask(client *http.Client, url, host string, extra headers) result {
	begin := time.Now()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return result{failure: err.Error()}
	}
	if host != "" {
		request.Host = host
	}
	for name, value := range extra {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return result{failure: failure(err), took: time.Since(begin)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return result{failure: failure(err), took: time.Since(begin)}
	}
	version := response.Header.Get("X-Version")
	if version == "" {
		var answer struct{ Version string }
		_ = json.Unmarshal(body, &answer)
		version = answer.Version
	}
	return result{code: response.StatusCode, version: version, took: time.Since(begin)}
}

func main() {
	url := flag.String("url", "http://127.0.0.1:8080/", "where to")
	host := flag.String("host", "", "Host header")
	rate := flag.Float64("rate", 200, "requests per second")
	length := flag.Duration("for", 0, "how long; 0 is until a signal")
	timeout := flag.Duration("timeout", 5*time.Second, "of one request")
	extra := headers{}
	flag.Var(extra, "header", "NAME=VALUE, repeatable")
	flag.Parse()

	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer release()
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	client := &http.Client{
		Timeout: *timeout,
		Transport: &http.Transport{
			MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000, IdleConnTimeout: 30 * time.Second,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	begin := time.Now()
	b := &book{total: newSecond(begin.Unix()), out: json.NewEncoder(os.Stdout)}
	var waiting sync.WaitGroup
	for count := 0; ; count++ {
		due := begin.Add(time.Duration(float64(count) / *rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			waiting.Wait()
			b.finish()
			return
		case <-time.After(time.Until(due)):
		}
		slot := b.sent(time.Now().Unix())
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			b.answered(slot, ask(client, *url, *host, extra))
		}()
	}
}
