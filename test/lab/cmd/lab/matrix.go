package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/oomwatch/oomwatch/test/lab"
)

// matrix prints the lines that tests left in files, or in their output.
func matrix(w io.Writer, files []string) error {
	var all []lab.Told
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		some, err := lab.ReadMatrix(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return errors.New("no death was told of in the files")
	}
	if wrong := lab.WriteMatrix(w, all); wrong > 0 {
		return fmt.Errorf("%d deaths were told wrong", wrong)
	}
	return nil
}
