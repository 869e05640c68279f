package store

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// parsed is a database whose statements are parsed once: to parse one costs as
// much as to run it. The text of a statement is its key, so that no text may hold
// a value.
type parsed struct {
	*sql.DB
	mu   sync.Mutex
	have map[string]*sql.Stmt
	want map[string]bool // met in a transaction, where none can be parsed for later
	// floor is what the numbers of new rows begin above.
	floor atomic.Int64
}

func newParsed(db *sql.DB) *parsed {
	return &parsed{DB: db, have: map[string]*sql.Stmt{}, want: map[string]bool{}}
}

// statement is the parsed form of a text.
func (p *parsed) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	st := p.have[text]
	p.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st, err := p.DB.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.have[text]; first != nil {
		return first, st.Close() // somebody else was quicker
	}
	p.have[text] = st
	return st, nil
}

// QueryContext is sql.DB's.
func (p *parsed) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// parseWanted parses what the transactions before have met. What cannot be parsed
// (its table is not made yet) is met again.
func (p *parsed) parseWanted(ctx context.Context) {
	p.mu.Lock()
	want := p.want
	p.want = map[string]bool{}
	p.mu.Unlock()
	for text := range want {
		_, _ = p.statement(ctx, text)
	}
}

// tx is a transaction on a parsed database.
type tx struct {
	*sql.Tx
	db *parsed
}

// statement is the parsed form of a text within the transaction; nil where there
// is none yet.
func (t *tx) statement(ctx context.Context, text string) *sql.Stmt {
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	st := t.db.have[text]
	if st == nil {
		t.db.want[text] = true
		return nil
	}
	return t.StmtContext(ctx, st)
}

// ExecContext is sql.Tx's.
func (t *tx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if st := t.statement(ctx, text); st != nil {
		return st.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, text, args...)
}

// QueryContext is sql.Tx's.
func (t *tx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if st := t.statement(ctx, text); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, text, args...)
}

// QueryRowContext is sql.Tx's.
func (t *tx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if st := t.statement(ctx, text); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, text, args...)
}
