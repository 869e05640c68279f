package incident

// Zombies are processes of one container, or of the host outside of all, that have ended
// and whose parent has not waited for them.
type Zombies struct {
	// Container is its id; "" for the host.
	Container string `json:"container,omitempty"`
	N         int    `json:"n"`
	// The parent that has the most of them, by its pid on the host; Main is true where it
	// is the container's main process.
	Parent     int    `json:"parent_pid,omitempty"`
	ParentComm string `json:"parent_comm,omitempty"`
	Main       bool   `json:"parent_is_main,omitempty"`
}

// OpenFiles is the process of a container, or of the host outside of all, that is nearest
// its limit of open files.
type OpenFiles struct {
	Container string `json:"container,omitempty"`
	PID       int    `json:"pid"`
	Comm      string `json:"comm"`
	Open      int64  `json:"open"`
	Limit     int64  `json:"limit"`
}

// HostCounts are what the kernel has of tasks and open files, and the most of each.
type HostCounts struct {
	Tasks    int64 `json:"tasks"`
	TasksMax int64 `json:"tasks_max"`
	// TasksOf is the setting that TasksMax comes from.
	TasksOf  string `json:"tasks_of"`
	Files    int64  `json:"files"`
	FilesMax int64  `json:"files_max"`
}
