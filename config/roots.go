package config

import (
	"crypto/x509"
	"fmt"
)

// rootsWith are the system's certificate authorities and those of a file.
func rootsWith(file string) (*x509.CertPool, error) {
	pem, err := readFile(file, maxRoots)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without any: the file's alone
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}
