package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"modernc.org/sqlite"
)

// place is where the connections of a store lead: its file, or memory while that
// cannot be written. It implements driver.Connector.
type place struct{ dsn atomic.Pointer[string] }

// Connect implements driver.Connector.
func (p *place) Connect(ctx context.Context) (driver.Conn, error) {
	to := p.dsn.Load()
	if to == nil {
		return nil, errors.New("the store is not open")
	}
	c, err := sqlite.NewConnector(*to)
	if err != nil {
		return nil, err
	}
	return c.Connect(ctx)
}

// Driver implements driver.Connector.
func (p *place) Driver() driver.Driver { return &sqlite.Driver{} }

func (p *place) lead(dsn string) { p.dsn.Store(&dsn) }

// closeConn has a connection closed, so that the next use opens another.
func closeConn(conn *sql.Conn) error {
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

// dropConn closes the writer's connection.
func (s *Store) dropConn(ctx context.Context) {
	conn, err := s.db.Conn(context.WithoutCancel(ctx))
	if err != nil {
		return // there is none
	}
	defer conn.Close()
	_ = closeConn(conn) // the next use says what is wrong
}
