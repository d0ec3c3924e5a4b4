// What Datadog calls spans: its own translation, with no agent around it.
package main

import (
	"fmt"

	"github.com/DataDog/datadog-agent/pkg/trace/transform"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func main() {
	for _, attributes := range []map[string]string{
		{},
		{"http.route": "/items/{id}"},
		{"resource.name": "read an item"},
	} {
		traces := ptrace.NewTraces()
		resource := traces.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", "shop")
		span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName("GET /items/7")
		span.SetKind(ptrace.SpanKindServer)
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutStr("url.path", "/items/7")
		for key, value := range attributes {
			span.Attributes().PutStr(key, value)
		}
		fmt.Printf("%v: operation %s, resource %s\n", attributes,
			transform.GetOTelOperationNameV2(span, resource.Resource()),
			transform.GetOTelResourceV2(span, resource.Resource()))
	}
}
