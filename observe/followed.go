package observe

import "time"

// Followed is a running container whose readings are wanted.
type Followed struct {
	// PID is its main process (a host pid), and Started when that began.
	PID     int
	Started time.Time
	// Service is the name under which its readings are kept.
	Service string
	// MemoryLimit (bytes) and CPUQuota (CPUs) are the engine's word; 0 for none.
	MemoryLimit int64
	CPUQuota    float64
}
