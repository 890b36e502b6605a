// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"io"
	"net/http"
)

// Behavior answers a request, and returns the records that it accepts.
type Behavior func(w http.ResponseWriter, r *http.Request, arrived []Arrival) (taken []Arrival)

// Answers responds with a status and headers.
func Answers(status int, headers ...string) Behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ []Arrival) []Arrival {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		return nil
	}
}

// Says responds with a body.
func Says(contentType, body string) Behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ []Arrival) []Arrival {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
		return nil
	}
}

// Hangs never answers.
func (b *Backend) Hangs(_ http.ResponseWriter, r *http.Request, _ []Arrival) []Arrival {
	select {
	case <-r.Context().Done():
	case <-b.released:
	}
	return nil
}

// BreaksOff closes the connection after a part of a response.
func BreaksOff(part string) Behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ []Arrival) []Arrival {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return nil
		}
		_, _ = io.WriteString(connection, part)
		_ = connection.Close()
		return nil
	}
}
