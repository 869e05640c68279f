package docker

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// PodmanSocket is where Podman listens for the whole machine, as podman.socket has it;
// userSockets are those of its users.
const (
	PodmanSocket = "unix:///run/podman/podman.sock"
	userSockets  = "/run/user/*/podman/podman.sock"
)

// PodmanSockets are Podman's usual sockets on this machine: that of the whole machine, be
// it there or not, and those of its users that are there.
func PodmanSockets() []string {
	all := []string{PodmanSocket}
	found, err := filepath.Glob(userSockets)
	if err != nil {
		return all
	}
	for _, f := range found {
		all = append(all, "unix://"+f)
	}
	return all
}

// PodmanListens is true where the socket of a user's Podman is there, the machine's for root.
func PodmanListens(uid int) bool {
	if uid == 0 {
		return Listens(PodmanSocket)
	}
	return Listens("unix://" + strings.Replace(userSockets, "*", strconv.Itoa(uid), 1))
}

// NamedPodman are the sockets to follow: the named ones, "off" for none, or else the usual
// ones, of which nothing is said while they are not there (optional).
func NamedPodman(named []string) (sockets []string, optional bool) {
	if len(named) == 0 {
		return PodmanSockets(), true
	}
	for _, s := range named {
		if s != "off" {
			sockets = append(sockets, s)
		}
	}
	return sockets, false
}

// FoundPodman are the sockets that can be asked at once: the named ones, or else the usual
// ones that are there and are not Docker's as well.
func FoundPodman(named []string) []string {
	sockets, optional := NamedPodman(named)
	if optional {
		sockets = slices.DeleteFunc(sockets, func(s string) bool { return !Listens(s) || SameSocket(s) })
	}
	return sockets
}

// Listens is true where a socket is there.
func Listens(socket string) bool {
	_, err := os.Stat(strings.TrimPrefix(socket, "unix://"))
	return err == nil
}

// PodmanName is what the source of a socket of Podman's is called: "podman", "podman user
// 1000", or with the socket where it is neither.
func PodmanName(socket string) string {
	if socket == PodmanSocket {
		return "podman"
	}
	if ok, err := filepath.Match("unix://"+userSockets, socket); ok && err == nil {
		return "podman user " + strings.Split(socket, "/")[5]
	}
	return "podman " + socket
}
