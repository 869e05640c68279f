// Package fault kills the daemon at random and at named moments, fills and breaks
// its disk, and holds what it then tells to what happened. Run it with: make fault
package fault
