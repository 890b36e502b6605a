// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Backends that answer badly, and the shipped configurations in front of them.
// Every record has a serial number of the audit system, by which it is known
// again: what was promised arrives, and what comes twice is the same.

// Arrival is a record in a request.
type Arrival struct {
	Serial int
	Uid    string
}

// arrivals returns the serial and the uid of each record in a request.
func arrivals(r *http.Request, bulk bool) ([]Arrival, error) {
	reader := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		reader = unzipped
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	if bulk {
		return bulkArrivals(body)
	}
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return nil, err
	}
	return ArrivalsOf(otlp.RecordsOf(request.Logs())), nil
}

func ArrivalsOf(records []otlp.Record) []Arrival {
	arrived := make([]Arrival, len(records))
	for i := range records {
		uid, _ := records[i].Attributes["log.record.uid"].(string)
		arrived[i] = Arrival{records[i].Key().Serial, uid}
	}
	return arrived
}

// bulkArrivals reads pairs of an action and a document. The uid is the id of the document.
func bulkArrivals(body []byte) ([]Arrival, error) {
	var arrived []Arrival
	decoder := json.NewDecoder(bytes.NewReader(body))
	for decoder.More() {
		var action struct {
			Create struct {
				ID string `json:"_id"`
			} `json:"create"`
		}
		var document struct {
			Attributes map[string]any `json:"attributes"`
		}
		if err := decoder.Decode(&action); err != nil {
			return nil, err
		}
		if err := decoder.Decode(&document); err != nil {
			return nil, err
		}
		serial, ok := document.Attributes["kill.audit.serial"].(float64)
		if !ok {
			return nil, fmt.Errorf("a document without a serial: %v", document)
		}
		arrived = append(arrived, Arrival{int(serial), action.Create.ID})
	}
	return arrived, nil
}

// BulkItem is what Elasticsearch says to one document.
type BulkItem struct {
	Status int
	Kind   string
}

// AnswerBulk takes the documents of a bulk request, but for those that failed tells of.
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
