// Command oomwatch tells why containers die: a daemon that follows the kernel
// log, the container engine and the control groups, and a command line that
// explains deaths with it, without it, and from saved logs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/store"
)

// Exit statuses.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitNothing = 3
	// exitLocked is EX_TEMPFAIL of sysexits(3): another daemon has the store.
	exitLocked = 75
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errNothing is returned when there is nothing to tell. What there was to say
// about it has been said.
var errNothing = errors.New("nothing found")

// endWithin is how long an orderly end may take; the daemon takes 5 s at the most.
const endWithin = 10 * time.Second

func main() {
	// The first signal asks for an orderly end, the second ends the program at
	// once, as signals do that nobody takes.
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan os.Signal, 1)
	signal.Notify(first, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-first
		signal.Stop(first) // before anybody can see that the end has begun
		cancel()
		// A read of a terminal or of a pipe that is silent cannot be ended.
		time.Sleep(endWithin)
		fmt.Fprintf(os.Stderr, "oomwatch: ended by the signal: what it was doing took more than %s\n", endWithin)
		os.Exit(exitFailed)
	}()
	code := execute(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	cancel()
	os.Exit(code)
}

// streams are where a command reads and writes.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// execute runs one command line and returns the exit status.
func execute(ctx context.Context, args []string, std *streams) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errNothing):
		return exitNothing
	case errors.Is(err, errFindings):
		return exitFailed
	case errors.As(err, new(*store.LockedError)):
		fmt.Fprintf(std.err, "oomwatch: %v\n", err)
		return exitLocked
	case errors.As(err, &usage):
		fmt.Fprintf(std.err, "oomwatch: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(std.err, "oomwatch: %v\n", err)
		return exitFailed
	}
}

func newRoot(std *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "oomwatch",
		Short: "Say why containers die",
		Long: `oomwatch says why containers die. It joins the kernel log, the container engine's
events and the control groups, and names the cause with its evidence.`,
		Example: `  oomwatch run                          follow everything, print each alert
  oomwatch explain web                  why did the container "web" die?
  oomwatch explain --log kern.log       the same from a saved kernel log
  oomwatch doctor                       what can be seen from here?`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       "oomwatch " + build.Version(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newRun(), newExplain(), newTop(), newHistory(), newTriage(), newAudit(), newDoctor(), newNotify(), newSilence(), newConfig(), newVersion(), newMan(root),
	)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		strict(c)
	}
	return root
}

// strict makes every wrong argument below cmd a usage error.
func strict(cmd *cobra.Command) {
	check := cmd.Args
	switch {
	case cmd.HasSubCommands() && !cmd.Runnable():
		cmd.Args = unknownCommand
		cmd.RunE = func(c *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s needs a command; see: %s --help", c.CommandPath(), c.CommandPath())}
		}
	case check == nil:
		check = cobra.NoArgs
		fallthrough
	default:
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see: %s --help", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		strict(c)
	}
}

// unknownCommand refuses an argument where a command is wanted.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	text := fmt.Sprintf("unknown command %q.", args[0])
	if near := config.Nearest(args[0], names); near != "" {
		text = fmt.Sprintf("unknown command %q, did you mean %q?", args[0], near)
	}
	return usageError{fmt.Errorf("%s Known: %s", text, strings.Join(names, ", "))}
}

// textValue is a flag whose value knows what it accepts.
type textValue struct {
	set  func([]byte) error
	get  func() string
	kind string
}

func (v textValue) Set(s string) error { return v.set([]byte(s)) }
func (v textValue) String() string {
	if v.get == nil {
		return ""
	}
	return v.get()
}
func (v textValue) Type() string { return v.kind }

// addText adds a flag for a value of the configuration's types. kind is the word
// for the value in the help text.
func addText[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](fs *pflag.FlagSet, p P, name, short, kind, usage string) {
	fs.VarP(textValue{set: p.UnmarshalText, kind: kind, get: func() string {
		if s := fmt.Sprint(*p); s != "0" && s != "0s" {
			return s
		}
		return ""
	}}, name, short, usage)
}
