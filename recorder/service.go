package recorder

// Host is the service name of the host itself; no container can have it.
const Host = "(host)"
