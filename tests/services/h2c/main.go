// Sends requests that stream over one HTTP/2 connection with Go's standard client, and counts how they ended. client.mjs
// does the same with Node's.
//
//	h2c URL uploads STREAMS PIECES SIZE    all pieces of all streams at once; each answer must be what was sent
//	h2c URL talks   STREAMS PIECES SIZE    the next piece of a stream when the one before has come back, then trailers
//
// It prints one JSON object: {"ok": STREAMS, "failures": {REASON: COUNT}}.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
)

func main() {
	url, mode := os.Args[1], os.Args[2]
	streams, pieces, size := number(3), number(4), number(5)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	run := map[string]func(*http.Client, string, int, int) error{"uploads": upload, "talks": talk}[mode]

	// The connection is there before the first stream needs it, so that all are on one.
	if response, err := client.Get(url); err == nil {
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	ends := make(chan error)
	for range streams {
		go func() { ends <- run(client, url, pieces, size) }()
	}
	ok, failures := 0, map[string]int{}
	for range streams {
		if err := <-ends; err == nil {
			ok++
		} else {
			failures[err.Error()]++
		}
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": ok, "failures": failures})
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

// As gRPC frames a message: not compressed, its length, itself.
func message(size int) []byte {
	framed := make([]byte, 5+size)
	binary.BigEndian.PutUint32(framed[1:], uint32(size))
	for i := range size {
		framed[5+i] = byte('a' + i%26)
	}
	return framed
}

func begin(client *http.Client, url string) (*io.PipeWriter, func() (*http.Response, error), *http.Request) {
	reads, writes := io.Pipe()
	request, err := http.NewRequest("POST", url, reads)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	request.Trailer = http.Header{"Messages": nil}
	type end struct {
		response *http.Response
		err      error
	}
	ended := make(chan end, 1)
	return writes, func() (*http.Response, error) {
		go func() {
			response, err := client.Do(request)
			ended <- end{response, err}
		}()
		end := <-ended
		return end.response, end.err
	}, request
}

func upload(client *http.Client, url string, pieces, size int) error {
	writes, send, request := begin(client, url)
	piece := message(size)
	go func() {
		for range pieces {
			if _, err := writes.Write(piece); err != nil {
				return
			}
		}
		request.Trailer.Set("Messages", strconv.Itoa(pieces))
		writes.Close()
	}()
	response, err := send()
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, bytes.Repeat(piece, pieces)) {
		return fmt.Errorf("status %d, %d bytes", response.StatusCode, len(body))
	}
	return trailers(response, pieces)
}

func talk(client *http.Client, url string, pieces, size int) error {
	writes, send, request := begin(client, url)
	piece := message(size)
	var turn sync.WaitGroup
	turn.Add(1)
	go func() {
		writes.Write(piece)
		turn.Done()
	}()
	response, err := send()
	if err != nil {
		return err
	}
	defer response.Body.Close()
	turn.Wait()
	back := make([]byte, len(piece))
	for sent := 1; ; sent++ {
		if _, err := io.ReadFull(response.Body, back); err != nil {
			return err
		}
		if !bytes.Equal(back, piece) {
			return fmt.Errorf("message %d came back as another", sent)
		}
		if sent == pieces {
			break
		}
		if _, err := writes.Write(piece); err != nil {
			return err
		}
	}
	request.Trailer.Set("Messages", strconv.Itoa(pieces))
	writes.Close()
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		return fmt.Errorf("%d bytes more, %w", len(rest), err)
	}
	return trailers(response, pieces)
}

func trailers(response *http.Response, pieces int) error {
	if said := response.Trailer.Get("Messages"); said != strconv.Itoa(pieces) {
		return fmt.Errorf("status %d, trailers say %q messages", response.StatusCode, said)
	}
	return nil
}
