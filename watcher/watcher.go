// Package watcher joins what the witnesses saw (kernel log, engine, control
// groups) into incidents, and owns the window in which it waits for the rest of
// a story.
package watcher
