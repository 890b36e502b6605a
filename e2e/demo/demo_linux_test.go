// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/browser"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Flags of `make demo`.
var (
	stay    = flag.Bool("stay", false, "keep the fleet until Ctrl-C")
	picture = flag.String("picture", "", "write a picture of the page to this file")
)

// told is the incident that the fleet's kills become.
const told = "probably sudo systemctl restart nginx of alice restarted nginx.service on 4 hosts in "

func TestDemo(t *testing.T) {
	address := harness.FreeAddress(t)
	if *stay {
		address = "127.0.0.1:9428"
	}
	f := startFleet(t, address)
	f.play()
	query := savedQuery(t)
	var row map[string]string
	harness.Until(t, func() bool { return strings.HasPrefix(row["_msg"], told) && row["kill.incident.state"] == "closed" }, func() {
		for _, row = range f.logs.Ask(query) {
			if strings.HasPrefix(row["_msg"], told) {
				break
			}
		}
	}, "the incident is over")
	assert.Equal(t, `["bastion1","web1","web2","web3"]`, row["kill.incident.path"])
	rows, err := f.logs.TryAsk(query + "| stats by (kill.incident.id) count() as records | filter records:>1")
	require.NoError(t, err)
	assert.Empty(t, rows, "incidents that are there twice")
	page := "http://" + f.logs.Address + "/select/vmui/#/?" + url.Values{"query": {query}}.Encode()
	if *stay {
		wait(row["_msg"], page)
		return
	}
	const size = "--window-size=1200,640"
	if *picture != "" {
		browser.Picture(t, page, *picture, size)
	}
	assert.Contains(t, browser.Show(t, page, size), told, "the page shows the incident")
}

// savedQuery returns the query for incidents.
func savedQuery(t *testing.T) string {
	t.Helper()
	var file struct {
		Queries []struct {
			Name  string `json:"name"`
			Query string `json:"query"`
		} `json:"queries"`
	}
	harness.ReadYAML(t, "deploy/queries/victorialogs/incidents.yaml", &file)
	for _, saved := range file.Queries {
		if saved.Name == "incidents" {
			return saved.Query
		}
	}
	t.Fatal("there is no query for incidents")
	return ""
}

// wait prints where to look, and waits for Ctrl-C.
func wait(incident, page string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	fmt.Printf(`
The fleet is up: bastion1, web1, web2, web3 and db1, each with an agent, a gateway, and VictoriaLogs. This has happened:

  %s

Look at it, and at the kills themselves (query: event.name:="kill.signal"), in VictoriaLogs:

  %s

Ctrl-C ends it all.
`, incident, page)
	<-stop
}
