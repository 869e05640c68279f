package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/audit/gather"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/web"
)

// errFindings ends a command that found what it was asked to look for: it was printed.
var errFindings = errors.New("findings")

// auditor is the audit command.
type auditor struct {
	where   places
	docker  dockerHosts
	cri     engineSockets
	podman  engineSockets
	file    string
	inspect []string
	least   config.Severity
	rules   bool
	out     outputFormat

	cmd *cobra.Command
}

func newAudit() *cobra.Command {
	a := &auditor{least: config.Severity(incident.Warning)}
	cmd := &cobra.Command{
		Use:   "audit [CONTAINER...]",
		Short: "Find running containers that are set up to die badly or to hurt the host",
		Long: `Audit names running containers that are set up to die badly, or to hurt their host: the
rule, the evidence, the consequence, and the fix, in the form in which the
container is defined (compose file, pod, swarm service, docker run).

It asks the running daemon, which also judges by what it has recorded. Where none runs it
asks the engines (Docker, Podman, and containerd or CRI-O for pods) and /proc, and the
daemon's store where there is one. With --inspect it reads only what docker inspect or
crictl inspect printed, or the manifest of a Pod or of what makes Pods, of this machine or
another. It changes nothing.

The label oomwatch.audit.ignore=RULE[,RULE] on a container, of a pod the annotation, leaves
rules out for it, the configuration's audit.ignore for many; * stands for any text in both.

Exit status: 0 nothing of that severity was found; 1 something was, or the audit failed;
2 wrong usage.`,
		Example: `  oomwatch audit
  oomwatch audit --min-severity critical
  oomwatch audit web -o json --min-severity info
  docker inspect $(docker ps -q) | oomwatch audit --inspect -
  kubectl get deployments -o yaml | oomwatch audit --inspect -
  oomwatch audit --rules`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args) },
	}
	a.cmd = cmd
	flags := cmd.Flags()
	flags.StringArrayVar(&a.inspect, "inspect", nil, "judge saved output of docker inspect or crictl inspect, or manifests of Pods, from `FILE`, - for stdin; may be given many times")
	addText(flags, &a.least, "min-severity", "", "SEVERITY", "print findings of this severity or above, and exit with 1 if there are any: "+config.List(config.Severities))
	flags.BoolVar(&a.rules, "rules", false, "list the rules, without looking at containers")
	flags.StringVar(&a.file, "config", "", "configuration `FILE` with exclusions, where no daemon is asked")
	addText(flags, &a.docker, "docker", "", "HOST", "Docker engine to ask where no daemon runs; repeat it for further ones (default DOCKER_HOST, else the default socket)")
	addText(flags, &a.cri, "cri", "", "SOCKET", "containerd or CRI-O to ask where no daemon runs, or off; repeat it for further ones (default the known sockets, where they are)")
	addText(flags, &a.podman, "podman", "", "SOCKET", "Podman to ask where no daemon runs, or off; repeat it for further ones (default its usual sockets, where they are)")
	a.where.add(cmd)
	a.where.completeRunning(cmd)
	addOutput(cmd, &a.out)
	complete(cmd, "min-severity", config.Severities...)
	return cmd
}

func (a *auditor) run(ctx context.Context, names []string) error {
	w := a.cmd.OutOrStdout()
	if a.rules {
		if a.out.json() {
			return writeLines(w, audit.Rules())
		}
		return writeRules(w)
	}
	report, err := a.report(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if unknown := report.Only(names); len(unknown) > 0 {
			return fmt.Errorf("no container %q was looked at: oomwatch audit looks at running ones; docker ps lists them", unknown[0])
		}
	}
	found := report.AtLeast(incident.Severity(a.least))
	for _, n := range report.Notes {
		fmt.Fprintf(a.cmd.ErrOrStderr(), "note: %s\n", redact.Sanitize(n))
	}
	if a.out.json() {
		err = writeLines(w, found)
	} else {
		err = writeAudit(w, report, found, terminal.Width(w), terminal.Colour(w))
	}
	if err == nil && len(found) > 0 {
		return errFindings
	}
	return err
}

// report gets the findings: of saved files, from the daemon, or from the engine.
func (a *auditor) report(ctx context.Context) (*audit.Report, error) {
	cfg, _, err := config.Load(a.file)
	if err != nil {
		return nil, err
	}
	if len(a.inspect) > 0 {
		for _, flag := range []string{"socket", "store", "docker", "cri", "podman"} {
			if a.cmd.Flags().Changed(flag) {
				return nil, usageError{fmt.Errorf("--%s does nothing with saved files: leave it out", flag)}
			}
		}
		if n := len(slices.DeleteFunc(slices.Clone(a.inspect), func(name string) bool { return name != "-" })); n > 1 {
			return nil, usageError{errors.New("standard input can be read once: give - for one file only")}
		}
		facts, err := gather.Files(ctx, a.inspect, a.cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		return audit.Judge(facts, cfg.Audit.Exclusions()), nil
	}
	if a.where.askFirst() && len(a.docker)+len(a.cri)+len(a.podman) == 0 && a.file == "" {
		report, err := a.where.daemon().Audit(ctx)
		if err == nil {
			return report, nil
		}
		if !a.where.noDaemon(err, a.cmd.ErrOrStderr()) {
			return nil, err
		}
	}
	return a.look(ctx, cfg)
}

// look asks the engines itself, and what an earlier daemon left.
func (a *auditor) look(ctx context.Context, cfg *config.Config) (*audit.Report, error) {
	if len(a.docker) > 0 {
		cfg.Docker.Host, cfg.Docker.More = a.docker[0], a.docker[1:]
	}
	if len(a.cri) > 0 {
		cfg.CRI.Sockets = a.cri
	}
	if len(a.podman) > 0 {
		cfg.Podman.Sockets = a.podman
	}
	h := daemon.Audited(cfg)
	kept, err := store.OpenHistory(ctx, store.HistoryOptions{Store: a.where.storePath(), ReadOnly: true})
	switch {
	case err == nil:
		defer kept.Close() // it was only read
		h.History = kept
		if h.Timeouts, err = daemon.ReadStore(ctx, a.where.storePath(), web.Query{Kind: incident.KindDeath, Cause: incident.KillStopTimeout, Since: time.Now().Add(-gather.Month)}); err != nil && a.where.store != "" {
			return nil, err
		}
	case a.where.store != "":
		return nil, err
	case !errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(a.cmd.ErrOrStderr(), "note: %v; going on without readings\n", err)
	}
	facts, err := h.Facts(ctx)
	if err != nil {
		return nil, err
	}
	return audit.Judge(facts, cfg.Audit.Exclusions()), nil
}
