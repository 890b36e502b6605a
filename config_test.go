// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// TestDefaultConfig repeats what the documentation promises, value for value.
func TestDefaultConfig(t *testing.T) {
	t.Parallel()

	on := metadata.ResourceAttributeConfig{Enabled: true}
	assert.Equal(t, &Config{
		File:    configoptional.Default(FileConfig{Path: "/var/log/audit/audit.log", Follow: true}),
		Netlink: configoptional.Default(NetlinkConfig{Mode: "auto", ReceiveBuffer: 8388608}),
		EBPF:    configoptional.Default(EBPFConfig{RingBuffer: 4194304}),
		Plugin:  configoptional.Default(PluginConfig{Path: "/var/run/audispd_events"}),
		Rules:   RulesConfig{Key: "audit_kill"},
		Signals: []SignalName{
			"SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGSEGV",
			"SIGTERM", "SIGSTOP", "SIGXCPU", "SIGXFSZ", "SIGSYS",
		},
		IncludeFailed: true,
		CommandLine:   "redacted",
		ResourceAttributes: metadata.ResourceAttributesConfig{
			HostID: on, HostName: on, OsType: on, ServiceInstanceID: on, ServiceName: on,
		},
		Correlation: CorrelationConfig{Timeout: 2 * time.Second, MaxPending: 8192},
		Outcome:     OutcomeConfig{Enabled: true, Timeout: 2 * time.Minute},
		Attribution: AttributionConfig{Enabled: true, Timeout: 200 * time.Millisecond},
		RetryOnFailure: configretry.BackOffConfig{
			Enabled:             true,
			InitialInterval:     time.Second,
			MaxInterval:         30 * time.Second,
			Multiplier:          1.5,
			RandomizationFactor: 0.5,
		},
	}, createDefaultConfig())
	assert.NoError(t, confmap.Validate(createDefaultConfig()))
}

func TestLoadConfig(t *testing.T) {
	t.Parallel()

	storageID := component.MustNewIDWithName("file_storage", "checkpoints")
	tests := map[string]func(*Config){
		"null":  func(*Config) {},
		"empty": func(*Config) {},
		"outcome": func(c *Config) {
			c.Outcome = OutcomeConfig{Timeout: 30 * time.Second}
		},
		"attribution": func(c *Config) {
			c.Attribution = AttributionConfig{
				Enabled: true, Timeout: time.Second, Sockets: []SocketPath{"/run/supervisor.sock", "/run/monit.sock"},
			}
		},
		"no_attribution": func(c *Config) { c.Attribution.Enabled, c.Attribution.Timeout = false, 0 },
		"null_file": func(c *Config) {
			c.File = configoptional.Some(defaultFileConfig())
		},
		"empty_file": func(c *Config) {
			c.File = configoptional.Some(defaultFileConfig())
		},
		"full": func(c *Config) {
			c.File = configoptional.Some(FileConfig{Path: "/srv/audit/audit.log", StartAt: "beginning"})
			c.Signals = []SignalName{"SIGKILL", "term", "1", "SIGRTMIN+3", "0"}
			c.Targets = []NameGlob{"mysqld", "postgres*", "/usr/sbin/nginx"}
			c.Senders = []NameGlob{"mykill"}
			c.IncludeFailed = false
			c.CommandLine = "full"
			c.IncludeOriginal = true
			c.Correlation = CorrelationConfig{Timeout: 500 * time.Millisecond, MaxPending: 100}
			c.StorageID = &storageID
			c.RetryOnFailure = configretry.BackOffConfig{
				InitialInterval: 10 * time.Millisecond,
				Multiplier:      2,
				MaxInterval:     time.Minute,
				MaxElapsedTime:  time.Hour,
			}
		},
		"null_lists": func(*Config) {},
		"backfill": func(c *Config) {
			c.File = configoptional.Some(FileConfig{Path: "/var/log/audit/audit.log"})
			c.Correlation.Timeout = 10 * time.Second
			c.RetryOnFailure.MaxInterval = 5 * time.Second
		},
	}
	yes, no := true, false
	tests["null_netlink"] = func(c *Config) { c.Netlink = configoptional.Some(defaultNetlinkConfig()) }
	tests["netlink"] = func(c *Config) {
		c.Netlink = configoptional.Some(NetlinkConfig{Mode: "unicast", ReceiveBuffer: 1048576})
		c.Rules = RulesConfig{Manage: &no, Key: "who_did_it"}
	}
	tests["managed_file"] = func(c *Config) {
		c.File = configoptional.Some(defaultFileConfig())
		c.Rules.Manage = &yes
	}
	tests["null_ebpf"] = func(c *Config) { c.EBPF = configoptional.Some(defaultEBPFConfig()) }
	tests["ebpf"] = func(c *Config) {
		c.EBPF = configoptional.Some(EBPFConfig{RingBuffer: 65536})
		c.Rules.Manage = &no
		c.RootPath = "/hostfs"
	}
	tests["printed_ebpf"] = func(c *Config) { c.EBPF = configoptional.Some(EBPFConfig{RingBuffer: 1 << 30}) }
	tests["null_plugin"] = func(c *Config) { c.Plugin = configoptional.Some(defaultPluginConfig()) }
	tests["plugin"] = func(c *Config) {
		c.Plugin = configoptional.Some(PluginConfig{Path: "/run/audit/audispd_events"})
		c.Rules.Manage = &yes
	}
	tests["printed"] = func(*Config) {}
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	require.Len(t, tests, len(conf.ToStringMap()), "each receiver in the file is a case")
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			section, err := conf.Sub(component.NewIDWithName(metadata.Type, name).String())
			require.NoError(t, err)
			want := createDefaultConfig().(*Config)
			change(want)

			got := NewFactory().CreateDefaultConfig()
			require.NoError(t, section.Unmarshal(&got))
			assert.Equal(t, want, got)
			assert.NoError(t, confmap.Validate(got))
		})
	}
}

// TestConfigSurvivesPrinting covers `print-config`, whose output must be a valid configuration.
func TestConfigSurvivesPrinting(t *testing.T) {
	t.Parallel()

	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id := range conf.ToStringMap() {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			section, err := conf.Sub(id)
			require.NoError(t, err)
			want := NewFactory().CreateDefaultConfig()
			require.NoError(t, section.Unmarshal(&want))

			printed := confmap.New()
			require.NoError(t, printed.Marshal(want))
			got := NewFactory().CreateDefaultConfig()
			require.NoError(t, printed.Unmarshal(&got))
			// They also remember, for themselves, whether they were set.
			got.(*Config).ResourceAttributes = withoutMemory(got.(*Config).ResourceAttributes)
			want.(*Config).ResourceAttributes = withoutMemory(want.(*Config).ResourceAttributes)
			assert.Equal(t, want, got)
		})
	}
}

// withoutMemory copies what users set.
func withoutMemory(all metadata.ResourceAttributesConfig) metadata.ResourceAttributesConfig {
	attributes := reflect.ValueOf(&all).Elem()
	for i := range attributes.NumField() {
		enabled := attributes.Field(i).FieldByName("Enabled").Bool()
		attributes.Field(i).Set(reflect.ValueOf(metadata.ResourceAttributeConfig{Enabled: enabled}))
	}
	return all
}

// TestEnvironment has values that the collector takes from the environment, which YAML reads as
// numbers and lists.
func TestEnvironment(t *testing.T) {
	t.Parallel()

	environment := map[string]string{
		"LOG": "/srv/audit.log", "NUMBER": "123", "SIG": "9", "SIGS": "[KILL, 15]", "NAME": "mysqld", "EMPTY": "",
		"WAIT": "3s", "NO": "false", "UNITLESS": "3", "SIZE": "131072", "ROOT": "/hostfs",
	}
	tests := map[string]struct {
		yaml   string
		change func(*Config)
		want   string
	}{
		"path": {yaml: "file: {path: '${env:LOG}'}", change: func(c *Config) {
			c.File = configoptional.Some(FileConfig{Path: "/srv/audit.log", Follow: true})
		}},
		"a path that looks like a number": {yaml: "file: {path: '${env:NUMBER}'}", change: func(c *Config) {
			c.File = configoptional.Some(FileConfig{Path: "123", Follow: true})
		}},
		"sizes": {yaml: "{ebpf: {ring_buffer: '${env:SIZE}'}, root_path: '${env:ROOT}'}", change: func(c *Config) {
			c.EBPF = configoptional.Some(EBPFConfig{RingBuffer: 131072})
			c.RootPath = "/hostfs"
		}},
		"part of a path": {yaml: "file: {path: '/srv/${env:NUMBER}/audit.log'}", change: func(c *Config) {
			c.File = configoptional.Some(FileConfig{Path: "/srv/123/audit.log", Follow: true})
		}},
		"signal": {yaml: "signals: ['${env:SIG}', 'SIG${env:SIG}']", change: func(c *Config) {
			c.Signals = []SignalName{"9", "SIG9"}
		}},
		"signals": {yaml: "signals: '${env:SIGS}'", change: func(c *Config) {
			c.Signals = []SignalName{"KILL", "15"}
		}},
		"names": {yaml: "{targets: ['${env:NAME}', 'a${env:NUMBER}']}", change: func(c *Config) {
			c.Targets = []NameGlob{"mysqld", "a123"}
		}},
		"others": {
			yaml: "{include_failed: '${env:NO}', correlation: {timeout: '${env:WAIT}', max_pending: '${env:NUMBER}'}}",
			change: func(c *Config) {
				c.IncludeFailed = false
				c.Correlation = CorrelationConfig{Timeout: 3 * time.Second, MaxPending: 123}
			},
		},
		"one signal as list": {yaml: "signals: '${env:SIG}'", want: "signals: 9 must be a list, such as [9]"},
		"no path": {
			yaml: "file: {path: '${env:EMPTY}'}",
			want: "receivers::audit_kill::file: path: must name a log file, such as /var/log/audit/audit.log",
		},
		"no unit": {
			yaml: "correlation: {timeout: '${env:UNITLESS}'}",
			want: "correlation::timeout: 3 must be a duration with its unit, such as 2s",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := load(resolve(t, test.yaml, environment))
			if test.want != "" {
				assert.EqualError(t, err, test.want)
				return
			}
			require.NoError(t, err)
			want := createDefaultConfig().(*Config)
			test.change(want)
			assert.Equal(t, want, got)
		})
	}
}

// check returns the collector's error about the keys of a receiver.
func check(t *testing.T, yaml string) error {
	t.Helper()
	_, err := load(resolve(t, yaml, nil))
	return err
}

// load does what the collector does with a configuration: it decodes it, then validates it.
func load(conf *confmap.Conf) (component.Config, error) {
	config := createDefaultConfig().(*Config)
	if err := config.Unmarshal(conf); err != nil {
		return nil, err
	}
	return config, confmap.Validate(struct {
		Receivers map[component.ID]component.Config `mapstructure:"receivers"`
	}{map[component.ID]component.Config{component.NewID(metadata.Type): config}})
}

// resolve reads YAML as the collector does, with ${env:...} from a map.
func resolve(t *testing.T, yaml string, environment map[string]string) *confmap.Conf {
	t.Helper()
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: []string{"test:" + yaml},
		ProviderFactories: []confmap.ProviderFactory{
			provide("test", func(uri string) string { return uri }),
			provide("env", func(name string) string { return environment[name] }),
		},
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(t.Context())
	require.NoError(t, err)
	return conf
}

func provide(scheme string, get func(string) string) confmap.ProviderFactory {
	return confmap.NewProviderFactory(func(confmap.ProviderSettings) confmap.Provider {
		return provider{scheme: scheme, get: get}
	})
}

type provider struct {
	scheme string
	get    func(string) string
}

func (p provider) Retrieve(_ context.Context, uri string, _ confmap.WatcherFunc) (*confmap.Retrieved, error) {
	return confmap.NewRetrievedFromYAML([]byte(p.get(uri[len(p.scheme)+1:])))
}

func (p provider) Scheme() string { return p.scheme }

func (p provider) Shutdown(context.Context) error { return nil }
