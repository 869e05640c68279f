package trace

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkSignal is what one signal costs its sender: without tracing, with an
// instance that passes it by, and with one that keeps it.
func BenchmarkSignal(b *testing.B) {
	send := func(b *testing.B, sig syscall.Signal) {
		deaf, _, _ := start(b, "hold")
		if err := syscall.Kill(deaf.Process.Pid, unix.SIGSTOP); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := syscall.Kill(deaf.Process.Pid, sig); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("untraced", func(b *testing.B) { send(b, unix.SIGUSR1) })
	b.Run("passed by", func(b *testing.B) {
		in := open(b, Options{})
		send(b, unix.SIGUSR1)
		b.ReportMetric(float64(in.Stats().Rounds), "rounds")
	})
	b.Run("kept", func(b *testing.B) {
		open(b, Options{})
		send(b, unix.SIGTERM)
	})
}

// BenchmarkSwitch is a byte to another process and back: the kernel keeps the
// names of tasks that were traced, and looks at each switch whether this is one.
func BenchmarkSwitch(b *testing.B) {
	bounce := func(b *testing.B) {
		cat := exec.Command("cat")
		in, err := cat.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := cat.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cat.Start(); err != nil {
			b.Fatal(err)
		}
		one := []byte{'x'}
		for b.Loop() {
			if _, err := in.Write(one); err != nil {
				b.Fatal(err)
			}
			if _, err := out.Read(one); err != nil {
				b.Fatal(err)
			}
		}
		in.Close()
		cat.Wait()
	}
	b.Run("untraced", bounce)
	b.Run("traced", func(b *testing.B) {
		open(b, Options{})
		bounce(b)
	})
}

// BenchmarkFlood is a reader under signals without end: how much of a processor
// it takes is bounded by pace, not by who sends.
func BenchmarkFlood(b *testing.B) {
	in := open(b, Options{})
	deaf, _, _ := start(b, "hold")
	if err := syscall.Kill(deaf.Process.Pid, unix.SIGSTOP); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	events, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := in.Next(ctx); err != nil {
				return
			}
			events++
		}
	}()
	for b.Loop() {
		if err := syscall.Kill(deaf.Process.Pid, unix.SIGTERM); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-done
	st, sec := in.Stats(), b.Elapsed().Seconds()
	b.ReportMetric(float64(st.Rounds)/sec, "rounds/s")
	b.ReportMetric(float64(events)/sec, "events/s")
	b.ReportMetric(float64(b.N)/sec, "signals/s")
	b.ReportMetric(float64(st.Lost)/float64(b.N), "lost/signal")
}

// BenchmarkEvent is one signal from its sending to being told, with sender and
// target looked up.
func BenchmarkEvent(b *testing.B) {
	in := open(b, Options{Signals: []syscall.Signal{quiet}})
	alone(b, in)
	in.pace = pace{}
	deaf, _, _ := start(b, "hold")
	if err := syscall.Kill(deaf.Process.Pid, unix.SIGSTOP); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		in.pace = pace{} // how long it rests is not what is measured
		if err := syscall.Kill(deaf.Process.Pid, quiet); err != nil && err != unix.EAGAIN {
			b.Fatal(err)
		}
		if _, err := in.Next(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookup is finding out about one process.
func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		if _, ok := readProcess("/proc", os.Getpid()); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkPage is a full page of signals, read without looking anybody up.
func BenchmarkPage(b *testing.B) {
	l := layouts["little endian"]
	in := &Instance{layout: l, signals: mustFormat(b, fixture(b, "6.18", "signal_generate")), victims: format{id: -1}}
	w := newPage(l, 1)
	for i := range int32(78) {
		w.event(1, packed(binary.LittleEndian, uint16(in.signals.id), uint16(0), 4711+i, int32(9), int32(0), int32(0), name16("tail"), int32(815), int32(1), int32(0)))
	}
	data := w.page(0)
	c := &cpu{}
	b.ReportAllocs()
	for b.Loop() {
		in.raws = in.raws[:0]
		if in.take(c, data); len(in.raws) != 78 {
			b.Fatalf("%d events", len(in.raws))
		}
	}
}
