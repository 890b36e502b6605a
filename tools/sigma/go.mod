// Checks the rules in deploy/sigma. It is a module of its own so that its dependencies stay out of the other tools'.
module github.com/auditkill/auditkillreceiver/tools/sigma

go 1.25.0

require (
	github.com/bradleyjkemp/sigma-go v0.6.6
	go.yaml.in/yaml/v3 v3.0.5
)

require (
	github.com/BobuSumisu/aho-corasick v1.0.3 // indirect
	github.com/PaesslerAG/gval v1.0.0 // indirect
	github.com/PaesslerAG/jsonpath v0.1.1 // indirect
	github.com/alecthomas/participle v0.7.1 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
