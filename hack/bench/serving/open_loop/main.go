// Open loop: requests are sent at the moments of a Poisson process whatever the answers do, over a fixed number of
// connections. Latency counts from the moment at which a request was due, so a server that stalls is charged for the
// requests that had to wait (no coordinated omission). Prints one line of JSON; latencies in microseconds.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

type headers []string

func (h *headers) String() string         { return strings.Join(*h, ", ") }
func (h *headers) Set(value string) error { *h = append(*h, value); return nil }

type connection struct {
	latencies []float64
	failures  int
}

func main() {
	address := flag.String("address", "", "host:port")
	path := flag.String("path", "/", "path")
	file := flag.String("body", "", "file with the body")
	rate := flag.Float64("rate", 100, "requests a second")
	seconds := flag.Float64("seconds", 5, "how long")
	connections := flag.Int("connections", 64, "keep-alive connections")
	seed := flag.Int64("seed", 1, "of the arrivals")
	var extra headers
	flag.Var(&extra, "header", "name: value; may be repeated")
	flag.Parse()
	runtime.GOMAXPROCS(2) // the dispatcher sleeps in the kernel; somebody must read meanwhile

	body, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", *path, *address, len(body))
	for _, line := range extra {
		head += line + "\r\n"
	}
	request := append([]byte(head+"\r\n"), body...)

	due := make(chan time.Time, 1<<20)
	found := make([]connection, *connections)
	var ready, done sync.WaitGroup
	for index := range found {
		ready.Add(1)
		done.Add(1)
		go found[index].serve(*address, request, due, &ready, &done)
	}
	ready.Wait()
	sent, late := dispatch(due, *rate, *seconds, *seed)
	close(due)
	done.Wait()
	report(found, sent, late, *seconds)
}

// dispatch hands out the moments at which requests are due; late is how many it handed out over a millisecond late.
func dispatch(due chan<- time.Time, rate, seconds float64, seed int64) (sent, late int) {
	runtime.LockOSThread() // nanosleep wakes within some 60 µs, Go's own timers within a millisecond
	random := rand.New(rand.NewSource(seed))
	start := time.Now()
	for at := 0.0; at < seconds; at += random.ExpFloat64() / rate {
		moment := start.Add(time.Duration(at * 1e9))
		if wait := time.Until(moment); wait > 20*time.Microsecond {
			pause := syscall.NsecToTimespec(wait.Nanoseconds())
			_ = syscall.Nanosleep(&pause, nil) // an early return only sends this one early by as much
		}
		if time.Since(moment) > time.Millisecond {
			late++
		}
		due <- moment
		sent++
	}
	return sent, late
}

func (c *connection) serve(address string, request []byte, due <-chan time.Time, ready, done *sync.WaitGroup) {
	defer done.Done()
	stream, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	reader := bufio.NewReader(stream)
	ready.Done()
	for moment := range due {
		if _, err = stream.Write(request); err == nil {
			err = answer(reader)
		}
		if err == nil {
			c.latencies = append(c.latencies, float64(time.Since(moment).Nanoseconds())/1e3)
			continue
		}
		c.failures++
		stream.Close()
		if stream, err = net.Dial("tcp", address); err != nil {
			log.Fatal(err)
		}
		reader.Reset(stream)
	}
	stream.Close()
}

func answer(reader *bufio.Reader) error {
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func report(found []connection, sent, late int, seconds float64) {
	var all []float64
	failures := 0
	for _, one := range found {
		all = append(all, one.latencies...)
		failures += one.failures
	}
	sort.Float64s(all)
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return all[min(int(float64(len(all))*share), len(all)-1)]
	}
	line, err := json.Marshal(map[string]any{
		"requests": sent, "failures": failures, "late": late, "rate": float64(sent) / seconds,
		"p50": at(0.5), "p99": at(0.99), "p999": at(0.999),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}
