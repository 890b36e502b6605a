// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package consoleexporter

import (
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/auditkill/auditkillreceiver/internal/settings"
)

// Config is the configuration of the exporter.
type Config struct {
	// Attributes says whether a record's attributes follow its body.
	Attributes bool `mapstructure:"attributes"`
	// QueueConfig is the queue in front of the exporter. Without one, the default, a sender waits until its records are written.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	_ struct{} // prevent unkeyed literal initialization
}

func createDefaultConfig() component.Config {
	return &Config{Attributes: true, QueueConfig: configoptional.Default(exporterhelper.NewDefaultQueueConfig())}
}

// Unmarshal implements confmap.Unmarshaler. Its errors say what would be right where the collector's only say what is wrong.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := errors.Join(settings.Check("", conf.ToStringMap(), reflect.TypeFor[Config]())...); err != nil {
		return err
	}
	return conf.Unmarshal(c)
}
