package config

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// Masked is the configuration as YAML, defaults included. Secrets are masked, and what
// was read from a file or the environment is left to its file or variable.
func (c *Config) Masked() ([]byte, error) {
	shown := *c
	shown.Receivers = append([]Receiver(nil), c.Receivers...)
	for i := range shown.Receivers {
		r := &shown.Receivers[i]
		for _, from := range r.sources() {
			if from.file+from.env != "" {
				*from.value = ""
			}
		}
		if r.TemplateFile != "" {
			r.Template = ""
		}
		r.Command = maskCommand(r.Command)
	}
	shown.Warnings.OnWarning.Exec = maskCommand(c.Warnings.OnWarning.Exec)
	b, err := yaml.Marshal(&shown)
	if err != nil {
		return nil, fmt.Errorf("print the configuration: %w", err)
	}
	return b, nil
}
