// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/bulk"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Arrival is a record in a request.
type Arrival struct {
	Serial int
	UID    string
}

// arrivals returns the serial and the uid of each record in a request.
func arrivals(r *http.Request, isBulk bool) ([]Arrival, error) {
	if isBulk {
		return bulkArrivals(r)
	}
	body, err := harness.Body(r)
	if err != nil {
		return nil, err
	}
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return nil, err
	}
	return ArrivalsOf(otlp.RecordsOf(request.Logs())), nil
}

// ArrivalsOf returns the serial and the uid of each record.
func ArrivalsOf(records []otlp.Record) []Arrival {
	arrived := make([]Arrival, len(records))
	for i := range records {
		arrived[i] = Arrival{records[i].Key().Serial, records[i].Text("log.record.uid")}
	}
	return arrived
}

// bulkArrivals returns the serial and the uid of each document. The uid is its id.
func bulkArrivals(r *http.Request) ([]Arrival, error) {
	documents, err := bulk.Read(r)
	if err != nil {
		return nil, err
	}
	arrived := make([]Arrival, len(documents))
	for i, d := range documents {
		var source struct {
			Attributes map[string]any `json:"attributes"`
		}
		if err := json.Unmarshal(d.Source, &source); err != nil {
			return nil, err
		}
		serial, ok := source.Attributes["kill.audit.serial"].(float64)
		if !ok {
			return nil, fmt.Errorf("a document without a serial: %s", d.Source)
		}
		arrived[i] = Arrival{int(serial), d.ID}
	}
	return arrived, nil
}

// BulkItem is Elasticsearch's response to one document.
type BulkItem struct {
	Status int
	Kind   string
}

// AnswerBulk answers a bulk request. It accepts the documents for which failed returns nil, and returns these.
func AnswerBulk(w http.ResponseWriter, arrived []Arrival, failed func(serial int) *BulkItem) (taken []Arrival) {
	var items []string
	for _, a := range arrived {
		if failure := failed(a.Serial); failure != nil {
			items = append(items, fmt.Sprintf(`{"create":{"_index":"i","status":%d,"error":{"type":%q,"reason":"because"}}}`,
				failure.Status, failure.Kind))
			continue
		}
		taken = append(taken, a)
		items = append(items, `{"create":{"_index":"i","status":201}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"took":1,"errors":%t,"items":[%s]}`, len(taken) < len(arrived), strings.Join(items, ","))
	return taken
}
