package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
	"time"
)

// maxReaders is how many questions read at once: each has a connection of its own
// beside the writer's, with a small cache, and half of the processors is the
// writer's. More wait.
var maxReaders = max(1, runtime.NumCPU()/2)

// longestRest is how long long answers rest after a page at most: as long as it took.
const longestRest = 50 * time.Millisecond

// readPragmas are those of a connection that only reads.
const readPragmas = "&_pragma=busy_timeout(2000)&_pragma=mmap_size(0)&_pragma=query_only(ON)&_pragma=cache_size(-256)"

// onlyRead is how the file is opened for reading beside the writer.
func onlyRead(path string) string { return dsn(path, "mode=ro"+readPragmas) }

// readers are the connections for reading, apart from the writer's. A question reads
// a page of its answer and lets go of the connection: who takes the answer slowly
// keeps nobody waiting, and nothing in the log.
type readers struct {
	mu sync.Mutex
	db *sql.DB
}

// lead has all further questions go to another database.
func (r *readers) lead(dsn string) error {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(maxReaders)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(30 * time.Second)
	r.use(db)
	return nil
}

func (r *readers) use(db *sql.DB) {
	r.mu.Lock()
	old := r.db
	r.db = db
	r.mu.Unlock()
	if old != nil {
		go old.Close() // it waits for the questions that it still answers
	}
}

func (r *readers) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db == nil {
		return nil
	}
	return r.db.Close()
}

// errClosed is database/sql's, which does not export it.
const errClosed = "sql: database is closed"

// QueryContext asks the database that is in use.
func (r *readers) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	for {
		r.mu.Lock()
		db := r.db
		r.mu.Unlock()
		if db == nil {
			return nil, errors.New("the store is not open")
		}
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil && err.Error() == errClosed {
			r.mu.Lock()
			same := r.db == db
			r.mu.Unlock()
			if !same {
				continue // another has taken its place
			}
		}
		return rows, err
	}
}

// scanOne reads the one row of a question; sql.ErrNoRows where there is none.
func scanOne(ctx context.Context, q querier, query string, args []any, into ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	return rows.Close()
}

// each reads the rows of a query into pointers and calls f after each.
func each(ctx context.Context, from querier, query string, into []any, f func() error) error {
	return eachOf(ctx, from, query, nil, into, f)
}

// eachOf is each with arguments.
func eachOf(ctx context.Context, from querier, query string, args, into []any, f func() error) error {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}
