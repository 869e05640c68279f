package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/web"
)

// completeWait bounds how long a shell waits for words.
const completeWait = time.Second

// containerWords are the names of running containers, each with how it stands.
func (p *places) containerWords(ctx context.Context, prefix string) (out []string) {
	rows, err := p.daemon().Top(ctx)
	if err != nil {
		return nil // a shell shows no errors
	}
	for _, r := range rows {
		if r.ID != "" && strings.HasPrefix(r.Name, prefix) && !strings.ContainsAny(r.Name, "\t\n") {
			out = append(out, r.Name+"\t"+redact.Sanitize(incident.FormatBytes(r.Memory)+" in use"))
		}
	}
	return out
}

// incidentWords are the ids of the newest incidents, each with what happened.
func (p *places) incidentWords(ctx context.Context, prefix string) (out []string) {
	list, err := p.daemon().Incidents(ctx, web.Query{Limit: 20, NewestFirst: true})
	if err != nil {
		return nil
	}
	for _, inc := range list {
		if strings.HasPrefix(inc.ID, prefix) {
			out = append(out, inc.ID+"\t"+redact.Sanitize(inc.Summary))
		}
	}
	return out
}

// completeContainer offers running containers for a flag.
func (p *places) completeContainer(cmd *cobra.Command, flag string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completeWait)
		defer cancel()
		return p.containerWords(ctx, prefix), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag is not there: a mistake in this program
	}
}

// completeWhat offers running containers and the newest incidents for an argument.
func (p *places) completeWhat(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completeWait)
		defer cancel()
		return append(p.containerWords(ctx, prefix), p.incidentWords(ctx, prefix)...), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSilence offers the silences that last for an argument.
func (p *places) completeSilence(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, _ []string, prefix string) (out []string, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completeWait)
		defer cancel()
		list, err := p.daemon().Silences(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, x := range list {
			if strings.HasPrefix(x.ID, prefix) {
				out = append(out, x.ID+"\t"+redact.Sanitize(x.Reason))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
