package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/chart"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/explain"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/web"
)

// maxStories is how many stories follow the table unless all are asked for.
const maxStories = 3

// explainer is the explain command.
type explainer struct {
	where  places
	docker config.DockerHost
	cri    engineSockets
	podman engineSockets
	files  explain.Files
	svg    string
	all    bool
	out    outputFormat

	cmd *cobra.Command
}

func newExplain() *cobra.Command {
	e := &explainer{}
	cmd := &cobra.Command{
		Use:   "explain [CONTAINER or INCIDENT-ID]",
		Short: "Explain why a container died",
		Long: `Explain says why a container died: the cause, how sure it is, the evidence word for
word, and what to do next. Without an argument it explains the newest death.

It asks the running daemon. Where none runs it asks the container engine, the
kernel's log ring, the journal and the daemon's store itself. With --log, --inspect or
--events it reads only the files that are named, of this machine or another, and
explains every kill in them, in their order.

Kernel logs may be of any format and kernel: dmesg, kern.log, journalctl, serial
console, plain or compressed with gzip, zstd, xz or bzip2; "-" is standard input. Files that
follow a --log are logs too.

Exit status: 0 explained; 1 failed; 2 wrong usage; 3 nothing found.`,
		Example: `  oomwatch explain
  oomwatch explain web
  dmesg -T | oomwatch explain --log -
  oomwatch explain web --svg web.svg
  oomwatch explain --log kern.log* -o json
  oomwatch explain --log kern.log --inspect web.json --events events.json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := explain.TakeLogs(&e.files.Logs, args, 1, cmd.ErrOrStderr())
			if err != nil {
				return usageError{err}
			}
			if len(args) > 1 {
				return usageError{fmt.Errorf("explain takes one CONTAINER or INCIDENT-ID, not %d; see: %s --help", len(args), cmd.CommandPath())}
			}
			return e.run(cmd.Context(), strings.Join(args, ""))
		},
	}
	e.cmd = cmd
	fs := cmd.Flags()
	fs.StringArrayVar(&e.files.Logs, "log", nil, "read a saved kernel log from `FILE`, - for stdin; may be given many times")
	fs.StringArrayVar(&e.files.Inspect, "inspect", nil, "read saved output of docker inspect from `FILE`; may be given many times")
	fs.StringArrayVar(&e.files.Events, "events", nil, "read saved output of docker events --format '{{json .}}' from `FILE`; may be given many times")
	fs.StringVar(&e.svg, "svg", "", "also draw the newest incident's memory as a picture to `FILE`; - for stdout, in place of the text")
	fs.BoolVar(&e.all, "all", false, "print every incident found, each in full")
	addText(fs, &e.docker, "docker", "", "HOST", "Docker engine to ask where no daemon runs (default DOCKER_HOST, else the default socket)")
	addText(fs, &e.cri, "cri", "", "SOCKET", "containerd or CRI-O to ask where no daemon runs, or off (default the known sockets, where they are)")
	addText(fs, &e.podman, "podman", "", "SOCKET", "Podman to ask where no daemon runs, or off (default its usual sockets, where they are)")
	e.where.add(cmd)
	e.where.completeWhat(cmd)
	addOutput(cmd, &e.out)
	return cmd
}

func (e *explainer) run(ctx context.Context, what string) error {
	if len(e.files.Logs) > 0 || e.files.FromEngine() {
		for _, flag := range []string{"socket", "store", "docker", "cri", "podman"} {
			if e.cmd.Flags().Changed(flag) {
				return usageError{fmt.Errorf("--%s does nothing with saved files: leave it out", flag)}
			}
		}
		if e.svg != "" {
			return usageError{errors.New("--svg draws the readings that a daemon took, and saved files have none: leave it out")}
		}
		return e.offline(ctx, what)
	}
	list, others, err := e.ask(ctx, what)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return e.nothing(what, others)
	}
	if names := explain.Choices(others, what); len(names) > 0 && !e.all {
		fmt.Fprintf(e.cmd.ErrOrStderr(), "note: %s matches several; this is the newest. The others by their names: %s\n", redact.Sanitize(what), redact.Sanitize(strings.Join(names, ", ")))
	}
	return e.print(list)
}

// maxOthers is how many of the newest incidents are looked through for other names.
const maxOthers = 500

// ask gets the answer from the daemon, else from the sources themselves. others are
// incidents among which the word's other meanings are, or those that it may have meant.
func (e *explainer) ask(ctx context.Context, what string) (list, others []*incident.Incident, err error) {
	if e.where.askFirst() {
		list, err := e.where.daemon().Explain(ctx, what, e.all)
		if err == nil {
			return list, e.others(ctx, what, len(list) > 0), nil
		}
		if !e.where.noDaemon(err, e.cmd.ErrOrStderr()) {
			return nil, nil, err
		}
	}
	kept, err := daemon.ReadStore(ctx, e.where.storePath(), web.Query{})
	switch {
	case err == nil:
	case errors.As(err, new(*daemon.LeftOutError)):
		fmt.Fprintf(e.cmd.ErrOrStderr(), "note: %v\n", err)
	case e.where.store != "":
		return nil, nil, err
	case !errors.Is(err, daemon.ErrNoStore):
		fmt.Fprintf(e.cmd.ErrOrStderr(), "note: %v; going on without the store\n", err)
	}
	here := explain.Host{Docker: string(e.docker), CRI: config.Named(e.cri), Podman: config.Named(e.podman), Facts: host.Facts(), LogLines: config.DefaultLogLines, Notes: e.cmd.ErrOrStderr()}
	seen, err := here.Incidents(ctx)
	if err != nil && len(kept) == 0 {
		return nil, nil, err
	}
	all := explain.Merge(kept, seen)
	return explain.Pick(all, what, e.all), all, nil
}

// others asks the daemon for the newest incidents of what has that name, or of anything
// where nothing has it. They only help the reader: an error leaves them out.
func (e *explainer) others(ctx context.Context, what string, found bool) []*incident.Incident {
	if what == "" || e.all {
		return nil
	}
	q := web.Query{Limit: maxOthers}
	if found {
		q.Container = what
	}
	list, err := e.where.daemon().Incidents(ctx, q)
	if err != nil {
		return nil
	}
	return list
}

// nothing says that there is nothing to explain.
func (e *explainer) nothing(what string, others []*incident.Incident) error {
	w := e.cmd.ErrOrStderr()
	if what == "" {
		fmt.Fprintln(w, "oomwatch: no death or kill is on record")
	} else {
		fmt.Fprintf(w, "oomwatch: no death or kill of %q is on record; see: oomwatch history, and for what cannot be seen: oomwatch doctor\n", what)
	}
	if names := explain.Near(others, what); what != "" && len(names) > 0 {
		fmt.Fprintf(w, "did you mean %s?\n", redact.Sanitize(strings.Join(names, ", ")))
	}
	return errNothing
}

// print tells what was found: one story, or a table and then stories.
func (e *explainer) print(list []*incident.Incident) error {
	if err := e.draw(list); err != nil || e.svg == "-" {
		return err
	}
	w := e.cmd.OutOrStdout()
	if e.out.json() {
		return writeLines(w, list)
	}
	return e.printText(w, list, len(list))
}

// draw writes the picture of the newest incident that has one.
func (e *explainer) draw(list []*incident.Incident) error {
	if e.svg == "" {
		return nil
	}
	for _, inc := range slices.Backward(list) {
		svg, ok := chart.SVG(inc)
		if !ok {
			continue
		}
		if e.svg == "-" {
			_, err := e.cmd.OutOrStdout().Write(svg)
			return err
		}
		if err := os.WriteFile(e.svg, svg, 0o644); err != nil {
			return fmt.Errorf("write the picture: %w", err)
		}
		return nil
	}
	return errors.New("draw the memory: no readings from before it are known; the daemon takes them while a container runs, kernel logs have none")
}

// printText tells the incidents of list, which may be the last of total.
func (e *explainer) printText(w io.Writer, list []*incident.Incident, total int) error {
	if total > 1 {
		if total > len(list) {
			fmt.Fprintf(w, "The newest %d of %d are listed; -o json prints each of them.\n\n", len(list), total)
		}
		if err := writeTable(w, e.cmd.OutOrStdout(), list); err != nil {
			return err
		}
	}
	stories := list
	if !e.all && len(list) > maxStories {
		stories = list[len(list)-maxStories:]
		fmt.Fprintf(w, "\nThe newest %d of %d (all of them: --all):\n", maxStories, total)
	}
	for i, inc := range stories {
		if i > 0 || total > 1 {
			fmt.Fprintln(w)
		}
		if err := writeStory(w, e.cmd.OutOrStdout(), inc); err != nil {
			return err
		}
	}
	return nil
}
