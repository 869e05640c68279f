package incident

// Sanitize placeholder until redact.go lands
func Sanitize(s string) string { return s }
