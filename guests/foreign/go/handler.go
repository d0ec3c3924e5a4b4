// A handler of wasi:http 0.2 in Go, by the standard compiler and the bindings that wit-bindgen makes: greets, counts with
// a goroutine, echoes a POST, panics at /panic and exits at /exit.
package export_wasi_http_incoming_handler

import (
	"fmt"
	"os"
	"strings"
	"wit_component/wasi_http_types"
	"wit_component/wasi_io_streams"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
)

// What `blocking-write-and-flush` takes at once.
const most = 4096

func Handle(request *wasi_http_types.IncomingRequest, out *wasi_http_types.ResponseOutparam) {
	path, query, _ := strings.Cut(request.PathWithQuery().SomeOr("/"), "?")
	switch {
	case path == "/":
		answer(out, 200, []byte("Hello from Go!\n"))
	case path == "/sum":
		answer(out, 200, fmt.Appendf(nil, "%d\n", sum(len(query))))
	case path == "/echo":
		answer(out, 200, read(request))
	case path == "/panic":
		var nothing map[string]int
		nothing["go is broken on purpose"] = 1
	case path == "/exit":
		os.Exit(3)
	default:
		answer(out, 404, []byte("nothing is here\n"))
	}
}

// The sum of the numbers below a limit, by a goroutine.
func sum(limit int) int {
	numbers := make(chan int)
	go func() {
		defer close(numbers)
		for n := range limit {
			numbers <- n
		}
	}()
	total := 0
	for n := range numbers {
		total += n
	}
	return total
}

func read(request *wasi_http_types.IncomingRequest) []byte {
	body := request.Consume().Ok()
	defer body.Drop()
	stream := body.Stream().Ok()
	defer stream.Drop()
	var all []byte
	for {
		piece := stream.BlockingRead(most)
		if piece.IsErr() {
			return all
		}
		all = append(all, piece.Ok()...)
	}
}

func answer(out *wasi_http_types.ResponseOutparam, status uint16, text []byte) {
	response := wasi_http_types.MakeOutgoingResponse(wasi_http_types.MakeFields())
	response.SetStatusCode(status)
	body := response.Body().Ok()
	wasi_http_types.ResponseOutparamSet(
		out, witTypes.Ok[*wasi_http_types.OutgoingResponse, wasi_http_types.ErrorCode](response))
	stream := body.Write().Ok()
	write(stream, text)
	stream.Drop()
	wasi_http_types.OutgoingBodyFinish(body, witTypes.None[*wasi_http_types.Fields]())
}

func write(stream *wasi_io_streams.OutputStream, text []byte) {
	for len(text) > 0 {
		piece := text[:min(len(text), most)]
		if stream.BlockingWriteAndFlush(piece).IsErr() {
			return
		}
		text = text[len(piece):]
	}
}
