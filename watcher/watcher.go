// Package watcher joins what the sources saw (kernel log, engine, control
// groups) into incidents, and owns the window in which it waits for the rest of
// a story.
package watcher
