package triage

import "strings"

// tasks sums a task table by program.
type tasks map[string]*program

// program is what all processes of one name held.
type program struct {
	held, lost, largest int64 // lost: by the victim
	tasks, pid          int   // pid: of the largest
}

func (t tasks) add(comm string, pid int, held int64, victim bool) {
	p := t[comm]
	if p == nil {
		p = &program{}
		t[comm] = p
	}
	p.held += held
	p.tasks++
	if held > p.largest {
		p.largest, p.pid = held, pid
	}
	if victim {
		p.lost += held
	}
}

// into notes the program that held the most.
func (t tasks) into(d *Death) {
	for comm, p := range t {
		if p.held > d.HogHeld || p.held == d.HogHeld && comm < d.Hog {
			d.Hog, d.HogHeld, d.HogLost, d.HogTasks, d.HogPID = comm, p.held, p.lost, p.tasks, p.pid
		}
	}
	d.Hog = strings.Clone(d.Hog)
}
