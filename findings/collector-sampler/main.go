// A second sampler of 50 % behind one of 50 %: the Collector's probabilistic_sampler, in the mode that is to be used behind
// others, gets spans of which half were sampled by the specification's rule, all with the tracestate of the argument.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
)

const traces = 4000

// sampled makes root spans of traces with random ids, and keeps the half whose last 56 bits are 2^55 or more: what
// TraceIdRatio and ProbabilitySampler at 0.5 keep.
func sampled(state string) ptrace.Traces {
	random := rand.New(rand.NewSource(1))
	all := ptrace.NewTraces()
	spans := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range traces {
		var id [16]byte
		binary.BigEndian.PutUint64(id[:8], random.Uint64())
		binary.BigEndian.PutUint64(id[8:], random.Uint64())
		if id[9] < 0x80 {
			continue
		}
		span := spans.AppendEmpty()
		span.SetTraceID(id)
		span.SetSpanID([8]byte{1})
		span.SetFlags(3)
		span.SetName("GET /")
		span.TraceState().FromRaw(state)
	}
	return all
}

func passed(mode string, failClosed bool, in ptrace.Traces) int {
	factory := probabilisticsamplerprocessor.NewFactory()
	config := factory.CreateDefaultConfig().(*probabilisticsamplerprocessor.Config)
	config.SamplingPercentage = 50
	config.Mode = probabilisticsamplerprocessor.SamplerMode(mode)
	config.FailClosed = failClosed
	out := new(consumertest.TracesSink)
	ctx := context.Background()
	processor, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), config, out)
	if err == nil {
		err = processor.ConsumeTraces(ctx, in)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	return out.SpanCount()
}

func main() {
	for _, mode := range []string{"hash_seed", "proportional", "equalizing"} {
		for closed, name := range map[bool]string{true: mode, false: mode + ", fail open"} {
			in := sampled(os.Args[1])
			count := in.SpanCount()
			fmt.Printf("%s: %d of %d pass\n", name, passed(mode, closed, in), count)
		}
	}
}
