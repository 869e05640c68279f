package daemon

import (
	"io"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger logs to w: for people on a terminal, else JSON. Repeats of a message
// are thinned out, so that a storm does not fill a disk. The level can be changed
// while it runs.
func newLogger(w io.Writer, cfg config.Log) (*zap.Logger, zap.AtomicLevel) {
	level := zap.NewAtomicLevelAt(zapLevel(cfg.Level))
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	ec.EncodeDuration = zapcore.StringDurationEncoder
	enc := zapcore.NewJSONEncoder(ec)
	if cfg.Format == "console" || cfg.Format == "" && terminal.Is(w) {
		ec.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		ec.EncodeLevel = zapcore.CapitalLevelEncoder
		if terminal.Colour(w) {
			ec.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		enc = zapcore.NewConsoleEncoder(ec)
	}
	core := zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(zapcore.NewSamplerWithOptions(core, samplePeriod, sampleFirst, sampleThen)), level
}

func zapLevel(l config.LogLevel) zapcore.Level {
	level, err := zapcore.ParseLevel(string(l))
	if err != nil {
		return zapcore.InfoLevel // logLevel takes no other words
	}
	return level
}

// Of one message, sampleFirst per samplePeriod are logged and then every
// sampleThen-th.
const (
	samplePeriod = 10e9 // nanoseconds
	sampleFirst  = 20
	sampleThen   = 100
)
