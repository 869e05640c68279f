package main

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/web"
)

// completeWait bounds how long a shell waits for words.
const completeWait = time.Second

// How many of the newest incidents are offered by their ids, and looked through for
// the names of containers.
const (
	completeIDs   = 20
	completeNames = 200
)

// offer is a word that a shell may put on its command line and what stands beside it.
// It is "" for one that a shell or a terminal would read as more than a word: where
// several words fit, shells put down what they have in common without quoting it.
func offer(word, prefix, about string) string {
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_.-/:@%+=,", r)
	}
	if word == "" || !strings.HasPrefix(word, prefix) || word[0] == '-' || strings.ContainsFunc(word, special) {
		return ""
	}
	return word + "\t" + redact.Sanitize(about)
}

// containerWords are the names of the containers that run, each with how it stands, then
// of those that died, each with its newest incident.
func (p *places) containerWords(ctx context.Context, prefix string) (out []string) {
	had := map[string]bool{}
	add := func(name, about string) {
		if w := offer(name, prefix, about); w != "" && !had[name] {
			had[name] = true
			out = append(out, w)
		}
	}
	rows, err := p.daemon().Top(ctx)
	if err != nil {
		return nil // a shell shows no errors
	}
	for _, r := range rows {
		if r.ID != "" {
			add(r.Name, incident.FormatBytes(r.Memory)+" in use")
		}
	}
	list, err := p.daemon().Incidents(ctx, web.Query{Limit: completeNames, NewestFirst: true})
	if err != nil {
		return out
	}
	for _, inc := range list {
		if inc.Container != nil {
			add(inc.Container.Name, inc.Summary)
		}
	}
	return out
}

// incidentWords are the ids of the newest incidents, each with what happened.
func (p *places) incidentWords(ctx context.Context, prefix string) (out []string) {
	list, err := p.daemon().Incidents(ctx, web.Query{Limit: completeIDs, NewestFirst: true})
	if err != nil {
		return nil
	}
	for _, inc := range list {
		if w := offer(inc.ID, prefix, inc.Summary); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// completeContainer offers containers for a flag.
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

// completeWhat offers containers and the newest incidents for an argument.
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

// completeRunning offers the containers that run for each argument.
func (p *places) completeRunning(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, prefix string) (out []string, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completeWait)
		defer cancel()
		rows, err := p.daemon().Top(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, r := range rows {
			if w := offer(r.Name, prefix, incident.FormatBytes(r.Memory)+" in use"); w != "" && r.ID != "" && !slices.Contains(args, r.Name) {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
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
			if w := offer(x.ID, prefix, x.Reason); w != "" {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
