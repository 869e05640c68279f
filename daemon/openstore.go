package daemon

import (
	"context"
	"path/filepath"
	"time"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// openStore opens the store, which is in memory while its disk takes no writes.
// replaced is called when it goes there and back, and when a damaged one is replaced.
func openStore(ctx context.Context, cfg *config.Config, log *zap.Logger, reg prometheus.Registerer, replaced func(context.Context, string)) (*store.Store, error) {
	st, err := store.Open(ctx, store.Options{Path: cfg.Store.Path, MaxAge: time.Duration(cfg.Store.Retention), MaxBytes: int64(cfg.Store.MaxSize), Logger: log, Registerer: reg, Replaced: replaced})
	if on := store.FilesystemOf(filepath.Dir(cfg.Store.Path)); on != nil {
		log.Warn("the store is on "+on.Name+": "+on.Risk, zap.String("store", cfg.Store.Path), zap.String("next_step", on.Fix))
	}
	return st, err
}

// openRecorder opens the recorder with its history.
func openRecorder(ctx context.Context, cfg *config.Config, st *store.Store, log *zap.Logger, reg prometheus.Registerer) (*recorder.Recorder, *store.History, error) {
	hist, err := store.OpenHistory(ctx, store.HistoryOptions{Store: cfg.Store.Path, Keep: time.Duration(cfg.History.Retention), MaxBytes: int64(cfg.History.MaxSize),
		Wait: st.InMemory, Logger: log, Registerer: reg})
	if err != nil {
		return nil, nil, err
	}
	rec := recorder.New(recorder.Options{Keeper: hist, Trouble: func(err error) {
		if err != nil {
			log.Error("history is not kept; incidents come first, and it is tried again", zap.Error(err))
		} else {
			log.Info("history is kept again")
		}
	}})
	reg.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "oomwatch_history_refused_total", Help: "Times that history could not be written; it is tried again."},
			func() float64 { return float64(rec.Stats().Refused) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "oomwatch_history_dropped_total", Help: "Readings dropped because they could not be written for too long."},
			func() float64 { return float64(rec.Stats().Dropped) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "oomwatch_recorded_containers", Help: "Containers whose memory is being recorded."},
			func() float64 { return float64(rec.Containers()) }),
	)
	if err := rec.Restore(ctx, hist); err != nil {
		log.Warn("cannot restore the recent readings: forecasts begin anew", zap.Error(err))
	}
	return rec, hist, nil
}
