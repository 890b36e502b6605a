// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package bulk reads requests to Elasticsearch's bulk API.
package bulk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Document is a document that a request asks to create.
type Document struct {
	Index, ID string
	// Source is the document itself.
	Source json.RawMessage
}

// Read returns the documents of a request. Any action other than create is an error, because data
// streams accept no other.
func Read(request *http.Request) ([]Document, error) {
	body, err := harness.Body(request)
	if err != nil {
		return nil, err
	}
	var documents []Document
	for decoder := json.NewDecoder(bytes.NewReader(body)); ; {
		var action map[string]struct {
			Index string `json:"_index"`
			ID    string `json:"_id"`
		}
		if err := decoder.Decode(&action); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		create, found := action["create"]
		if !found || len(action) != 1 {
			return nil, fmt.Errorf("an action other than create: %v", action)
		}
		d := Document{Index: create.Index, ID: create.ID}
		if err := decoder.Decode(&d.Source); err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
}
