package verdict

// crashSignals are those that the program's own fault raises.
var crashSignals = map[int]string{
	3: "quit and dumped core", 4: "ran an illegal instruction", 5: "hit a trap", 6: "aborted itself",
	7: "accessed memory that could not be provided (bus error)", 8: "divided by zero or made another arithmetic fault",
	11: "made a bad memory access", 24: "used up its CPU time limit", 25: "exceeded its file size limit",
	31: "made a system call that is not allowed",
}
